#!/usr/bin/python3
"""The daemon's start on a disk of small blocks that is full but for some KiB: it waits for room, and is never ended by a signal.

  tests/integration/small_blocks_test.py BUILD_FOLDER

Root, for a file system in a file; NOT RUN where that cannot be mounted.
"""
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
from rig import Rig, free_port, is_ready, wait_until  # noqa: E402

WAITS, READY = "trying again every second", "gateway: ready"
FREE_KIB = [0, *range(8, 40, 8), *range(56, 100, 6), 120, 160, 240, 400]
BODY = """
[gateway]
id = "small"
data_dir = "{data}"
runtime_dir = "{run}"
admin = "127.0.0.1:{admin}"

[buffer]
size = "4MiB"
events_size = "1MiB"
alarms_size = "1MiB"

[[driver.simulator]]
name = "sim"
"""


class SmallBlocksTest(unittest.TestCase):
    build = "build/release"

    def mount(self):
        image, self.disk = self.rig.folder / "disk.img", self.rig.folder / "disk"
        self.disk.mkdir()
        with open(image, "wb") as file:
            file.truncate(32 << 20)
        subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-b", "1024", image], check=True)
        mounted = subprocess.run(["mount", "-o", "loop", image, self.disk], check=False, capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"NOT RUN: no file system can be mounted here: {mounted.stderr.strip()}")

    def fill(self, data, free_kib):
        """All but so much, beside a data directory that is empty."""
        subprocess.run(["rm", "-rf", data, self.disk / "fill"], check=True)
        data.mkdir()
        room = self.disk / "room"
        room.write_bytes(bytes(free_kib << 10))
        with open(self.disk / "fill", "wb", buffering=0) as file:
            for size in (1 << 16, 1 << 10):
                try:
                    while file.write(bytes(size)) > 0:
                        pass
                except OSError:
                    continue
        room.unlink()
        subprocess.run(["sync", "--file-system", self.disk], check=True)

    def test_it_waits_for_room(self):
        with Rig(self.build) as self.rig:
            self.mount()
            try:
                self.start_with_little_room()
            finally:
                subprocess.run(["umount", "--lazy", self.disk], check=True)

    def start_with_little_room(self):
        self.admin = free_port()
        configuration = self.rig.folder / "tidegate.toml"
        data = self.disk / "data"
        configuration.write_text(BODY.format(data=data, run=self.rig.runtime_folder(), admin=self.admin), encoding="utf-8")
        waited = 0
        for free_kib in FREE_KIB:
            self.fill(data, free_kib)
            daemon = self.rig.start(f"tidegate-{free_kib}", self.rig.build / "bin/tidegate", "run", "--config", configuration)
            wait_until(lambda: daemon.says(READY) or daemon.says(WAITS), f"{free_kib} KiB are free: it waits, or runs")
            waited += daemon.says(WAITS)
            (self.disk / "fill").unlink()
            wait_until(lambda: daemon.says("\0") or is_ready(self.admin), f"{free_kib} KiB were free: it has room now")
            self.assertEqual(0, daemon.end(signal.SIGTERM))
        self.assertGreater(waited, 5)
        self.assertLess(waited, len(FREE_KIB), "none was ready with little room")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        SmallBlocksTest.build = sys.argv.pop(1)
    unittest.main()
