"""What the daemon has in use of its heap, counted by heap_shim.cc, which is preloaded into it."""
import shutil
import struct
import time
from pathlib import Path

CLASSES = 128
LOOKS, LOOK_SECONDS = 40, 0.05
LAYOUT = struct.Struct(f"{2 + CLASSES}q")


class HeapCounts:
    def __init__(self, build, folder):
        self.file = folder / "heap-counts"
        self.file.write_bytes(bytes(LAYOUT.size))
        # A copy: what is built meanwhile must not change under a daemon that runs for hours.
        shim = shutil.copy2(Path(build) / "tests/soak/libheap_shim.so", folder.resolve())
        self.environment = {"LD_PRELOAD": str(shim), "TIDEGATE_HEAP_COUNTS": str(self.file)}

    def read(self):
        """(bytes, blocks, {least size of a class: blocks})."""
        size, blocks, *by_class = LAYOUT.unpack(self.file.read_bytes())
        if size <= 0 or blocks <= 0:
            raise RuntimeError("nothing is counted: the daemon runs without the heap shim")
        return size, blocks, {least_of(at): count for at, count in enumerate(by_class) if count}

    def least(self):
        """(bytes, blocks), the least of two seconds: batches that are on their way come on top of that."""
        looks = []
        for _ in range(LOOKS):
            looks.append(self.read()[:2])
            time.sleep(LOOK_SECONDS)
        return min(looks)


def least_of(at):
    return (4 + at % 4) << at // 4 >> 2
