"""What has arrived: a bit for each number, so that hours of readings take a few megabytes."""
import threading
import zlib

GROWTH = 1 << 16


class Bits:
    """A set of whole numbers from 0, of which most between the least and the greatest are in it."""

    def __init__(self):
        self.bytes, self.count, self.end = bytearray(GROWTH), 0, 0

    def add(self, number):
        """Returns whether it is new."""
        at, bit = number >> 3, 1 << (number & 7)
        if at >= len(self.bytes):
            self.bytes.extend(bytes(at + GROWTH - len(self.bytes)))
        if self.bytes[at] & bit:
            return False
        self.bytes[at] |= bit
        self.count += 1
        self.end = max(self.end, number + 1)
        return True

    def __contains__(self, number):
        at = number >> 3
        return at < len(self.bytes) and bool(self.bytes[at] & (1 << (number & 7)))

    def begin(self):
        return next((number for number in range(self.end) if number in self), 0)

    def missing(self, other, most=5):
        """Numbers of `other` that are not here, the first few."""
        return lowest(as_number(other) & ~as_number(self), most)

    def holes(self, begin, end, most=5):
        """Numbers of `begin` up to before `end` that are not here, the first few."""
        return lowest(((1 << end) - (1 << begin)) & ~as_number(self), most)


def as_number(bits):
    return int.from_bytes(bits.bytes, "little")


def lowest(bits, most):
    found = []
    while bits and len(found) < most:
        found.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return found


class Arrivals:
    """What came by one uplink. Each reading, once, goes into a sum that another uplink has to have too when it had the same."""

    STREAMS = ("readings", "alarms", "events")

    def __init__(self, name):
        self.name, self.lock = name, threading.Lock()
        self.seen = {stream: Bits() for stream in self.STREAMS}
        self.epochs, self.numbers = set(), {}
        self.repeats, self.content, self.has_content, self.complaints = 0, 0, False, []

    def complain(self, text):
        if len(self.complaints) < 20:
            self.complaints.append(f"{self.name}: {text}"[:400])

    def take(self, stream, epoch, seq):
        """Returns whether it is new."""
        self.epochs.add(epoch)
        if self.seen[stream].add(seq):
            return True
        self.repeats += 1
        return False

    def take_reading(self, epoch, seq, tag, value):
        if not self.take("readings", epoch, seq):
            return False
        self.has_content = True
        self.content ^= zlib.crc32(f"{seq} {tag} {value!r}".encode())
        if isinstance(value, int) and tag.startswith("counted-"):
            self.numbers.setdefault(tag, Bits()).add(value)
        return True

    def take_stretch(self, stream, epoch, first, last):
        for seq in range(first, last + 1):
            self.take(stream, epoch, seq)

    def take_batch(self, batch):
        with self.lock:
            stream, epoch = batch["stream"], batch["epoch"]
            for record in batch[stream]:
                if stream == "readings":
                    self.take_reading(epoch, record["seq"], record["tag"], record["value"])
                else:
                    self.take(stream, epoch, record["seq"])
