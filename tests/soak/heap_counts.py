"""What the daemon has in use of its heap, counted by heap_shim.cc, which is preloaded into it."""
import struct
from pathlib import Path

CLASSES = 128
LAYOUT = struct.Struct(f"{2 + CLASSES}q")


class HeapCounts:
    def __init__(self, build, folder):
        self.file = folder / "heap-counts"
        self.file.write_bytes(bytes(LAYOUT.size))
        self.environment = {"LD_PRELOAD": str(Path(build).resolve() / "tests/soak/libheap_shim.so"), "TIDEGATE_HEAP_COUNTS": str(self.file)}

    def read(self):
        """(bytes, blocks, {least size of a class: blocks})."""
        size, blocks, *by_class = LAYOUT.unpack(self.file.read_bytes())
        if size <= 0 or blocks <= 0:
            raise RuntimeError("nothing is counted: the daemon runs without the heap shim")
        return size, blocks, {least_of(at): count for at, count in enumerate(by_class) if count}


def least_of(at):
    return (4 + at % 4) << at // 4 >> 2
