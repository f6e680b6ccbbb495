"""The log of writes that QEMU's blklogwrites driver keeps, in the format of Linux' dm-log-writes, and the disks that a
power cut may leave behind.

Little endian, in sectors of the size that the first one names (the superblock: magic u64, version u64, entries u64,
sector size u32). An entry is a sector (first sector u64, number of sectors u64, flags u64, data length u64) and, unless
it is a discard, that many sectors of data. QEMU logs an operation when it is complete, and brings the superblock up to
date only at a flush: entries may follow that it does not count.
"""
import mmap
import random
import struct
from dataclasses import dataclass

SECTOR = 512
MAGIC, VERSION = 0x6A736677736872, 1
SUPERBLOCK, ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
FLUSH, DISCARD = 1, 4
FLAGS_KNOWN = 0x1F


@dataclass(frozen=True)
class Entry:
    offset: int  # in the disk
    size: int
    data: int  # where it lies in the log
    is_flush: bool


class WriteLog:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, version, self.counted, sector = SUPERBLOCK.unpack_from(self.bytes)
        if (magic, version, sector) != (MAGIC, VERSION, SECTOR):
            raise ValueError(f"{path}: magic {magic:#x}, version {version}, sectors of {sector} bytes: no log of writes as QEMU makes it")
        self.entries = list(self._parse(path))

    def _parse(self, path):
        at = SECTOR
        for number in range(self.counted):
            if at + SECTOR > len(self.bytes):
                raise ValueError(f"{path}: ends in entry {number} of {self.counted}")
            first, count, flags, _ = ENTRY.unpack_from(self.bytes, at)
            if flags & ~FLAGS_KNOWN:
                raise ValueError(f"{path}: entry {number} at offset {at} has the flags {flags:#x}")
            size = 0 if flags & DISCARD else count * SECTOR
            yield Entry(first * SECTOR, size, at + SECTOR, bool(flags & FLUSH))
            at += SECTOR + size

    def data(self, entry):
        return self.bytes[entry.data:entry.data + entry.size]

    def flushes(self):
        return [number for number, entry in enumerate(self.entries) if entry.is_flush]


@dataclass(frozen=True)
class Cut:
    """The power goes after the first `entries` operations. `variant` 0: nothing that was not flushed is on the disk;
    other numbers: a choice of it that follows from the seed."""
    entries: int
    variant: int
    seed: int

    def __str__(self):
        return f"{self.entries}:{self.variant}:{self.seed}"

    @staticmethod
    def parse(text):
        return Cut(*(int(number) for number in text.split(":")))


def kept_sectors(cut, sizes):
    """What a power cut leaves of unflushed writes of so many sectors: for each a set of those that are on the disk."""
    if cut.variant == 0:
        return [frozenset()] * len(sizes)
    rng = random.Random(f"{cut}")
    everything = [frozenset(range(size)) for size in sizes]
    if not sizes:
        return everything
    kind = rng.choice(["all", "half", "first", "all-but-one", "one", "torn", "sectors"])
    one = rng.randrange(len(sizes))
    if kind == "half":
        return [all_of if rng.random() < 0.5 else frozenset() for all_of in everything]
    if kind == "first":
        return [all_of if number < one else frozenset() for number, all_of in enumerate(everything)]
    if kind == "all-but-one":
        return [all_of if number != one else frozenset() for number, all_of in enumerate(everything)]
    if kind == "one":
        return [all_of if number == one else frozenset() for number, all_of in enumerate(everything)]
    if kind == "torn":  # some whole, some not at all, the others up to somewhere
        return [frozenset(range(rng.choice([0, size, rng.randint(0, size)]))) for size in sizes]
    if kind == "sectors":
        share = rng.random()
        return [frozenset(sector for sector in range(size) if rng.random() < share) for size in sizes]
    return everything


class Replay:
    """A disk that goes forward through the log and shows what a cut leaves there. Cuts come in rising order."""

    def __init__(self, log, disk):
        self.log, self.disk = log, bytearray(disk)
        self.applied = 0  # entries that are on the disk for good: all before a flush
        self.is_in_part = False  # of the last image: some of what was not flushed is there, some is not

    def image(self, cut):
        if cut.entries < self.applied:
            raise ValueError(f"cut {cut} lies before one that was shown already")
        flushed = max((number + 1 for number in self._flushes_before(cut.entries)), default=self.applied)
        for entry in self.log.entries[self.applied:flushed]:
            self.disk[entry.offset:entry.offset + entry.size] = self.log.data(entry)
        self.applied = flushed
        image = bytearray(self.disk)
        unflushed = self.log.entries[flushed:cut.entries]
        choice = kept_sectors(cut, [entry.size // SECTOR for entry in unflushed])
        self.is_in_part = 0 < sum(map(len, choice)) < sum(entry.size // SECTOR for entry in unflushed)
        for entry, kept in zip(unflushed, choice):
            data = self.log.data(entry)
            for sector in kept:
                at = sector * SECTOR
                image[entry.offset + at:entry.offset + at + SECTOR] = data[at:at + SECTOR]
        return image

    def _flushes_before(self, entries):
        return (number for number in range(self.applied, entries) if self.log.entries[number].is_flush)
