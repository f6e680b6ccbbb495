#!/usr/bin/env python3
"""Logs of writes made by hand, and the disks that cuts of them leave."""
import tempfile
import unittest
from pathlib import Path

from write_log import DISCARD, ENTRY, FLUSH, MAGIC, SECTOR, SUPERBLOCK, Cut, Replay, WriteLog, kept_sectors


def sector(letter):
    return letter.encode() * SECTOR


class WriteLogTest(unittest.TestCase):
    def log(self, *operations, uncounted=0, magic=MAGIC):
        """Of writes (sector, letters), flushes (None) and discards (sector, count)."""
        blocks = []
        for operation in operations:
            if operation is None:
                blocks.append(ENTRY.pack(0, 0, FLUSH, 0).ljust(SECTOR, b"\0"))
            elif isinstance(operation[1], int):
                blocks.append(ENTRY.pack(operation[0], operation[1], DISCARD, 0).ljust(SECTOR, b"\0"))
            else:
                first, letters = operation
                blocks.append(ENTRY.pack(first, len(letters), 0, 0).ljust(SECTOR, b"\0") + b"".join(map(sector, letters)))
        head = SUPERBLOCK.pack(magic, 1, len(operations) - uncounted, SECTOR).ljust(SECTOR, b"\0")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            path.write_bytes(head + b"".join(blocks))
            return WriteLog(path)

    def letters(self, image):
        return "".join(chr(image[at]) for at in range(0, len(image), SECTOR))

    def disks(self, log, *cuts):
        replay = Replay(log, sector("."))
        replay.disk = bytearray(b"".join(map(sector, "....")))
        return [self.letters(replay.image(cut)) for cut in cuts]

    def test_what_was_flushed_is_on_every_disk(self):
        log = self.log((0, "ab"), None, (1, "c"), None, (3, "d"))
        self.assertEqual(self.disks(log, Cut(1, 0, 1), Cut(2, 0, 1), Cut(3, 0, 1), Cut(4, 0, 1), Cut(5, 0, 1)),
                         ["....", "ab..", "ab..", "ac..", "ac.."])

    def test_cuts_without_a_flush_between_them_go_on_from_the_same_disk(self):
        log = self.log((0, "a"), None, (1, "b"), (2, "c"))
        self.assertEqual(self.disks(log, Cut(2, 0, 1), Cut(3, 0, 1), Cut(4, 0, 1)), ["a..."] * 3)

    def test_a_choice_of_the_unflushed_holds_old_or_new_content_and_nothing_else(self):
        log = self.log((0, "ab"), None, (0, "cd"), (2, "e"))
        seen = {disk for variant in range(1, 200) for disk in self.disks(log, Cut(4, variant, 7))}
        self.assertEqual(seen, {first + second + third + "." for first in "ac" for second in "bd" for third in ".e"})

    def test_the_same_cut_is_the_same_disk(self):
        sizes = [3, 1, 8, 2]
        self.assertEqual(kept_sectors(Cut(9, 4, 2), sizes), kept_sectors(Cut.parse("9:4:2"), sizes))
        self.assertEqual(len({tuple(kept_sectors(Cut(9, variant, 2), sizes)) for variant in range(1, 60)}) > 20, True)

    def test_a_cut_before_one_that_was_shown_is_refused(self):
        log = self.log((0, "a"), None, (1, "b"), None)
        with self.assertRaises(ValueError):
            self.disks(log, Cut(4, 0, 1), Cut(1, 0, 1))

    def test_discards_have_no_data(self):
        log = self.log((0, "a"), (1, 2), (3, "b"), None)
        self.assertEqual(self.disks(log, Cut(4, 0, 1)), ["a..b"])

    def test_what_the_superblock_does_not_count_was_not_flushed_and_is_left_out(self):
        self.assertEqual(len(self.log((0, "a"), None, (1, "b"), uncounted=1).entries), 2)

    def test_another_file_is_refused(self):
        with self.assertRaises(ValueError):
            self.log((0, "a"), magic=1)


if __name__ == "__main__":
    unittest.main()
