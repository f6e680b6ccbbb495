"""What the marks in a log of writes say: what had been acknowledged and called durable when each was written."""
import json
from bisect import bisect_left
from dataclasses import asdict, dataclass, field

from machine import FILE_SYSTEM_BYTES, MARK_BYTES

STREAMS = ("readings", "alarms", "events")


def position(text):
    """(epoch, sequence) of "3:120"."""
    epoch, sequence = text.split(":")
    return int(epoch), int(sequence)


@dataclass
class Claims:
    """`before` is what held for a disk that was cut already when the recording began."""
    acknowledged: list = field(default_factory=list)  # by sensor: its messages 0 to there, that not included
    durable: dict = field(default_factory=lambda: {stream: (0, 1) for stream in STREAMS})
    exported: dict = field(default_factory=lambda: {stream: (0, 1) for stream in STREAMS})
    given: dict = field(default_factory=lambda: {stream: (0, 1) for stream in STREAMS})  # behind the last identity that was
    epoch: int = 0
    before: "Claims" = None

    def may_be_lost(self, gap):
        """Whether a range that a gap record calls damaged was not durable when the power went, now or before."""
        first = gap["first"]
        if first >= self.durable[gap["stream"]][1]:
            return True
        return self.before is not None and gap["epoch"] <= self.before.epoch and self.before.may_be_lost(gap)

    def save(self, path):
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def load(path):
        return Claims._of(json.loads(path.read_text(encoding="utf-8")))

    @staticmethod
    def _of(values):
        if values is None:
            return None
        ends = {name: {stream: tuple(end) for stream, end in values[name].items()} for name in ("durable", "exported", "given")}
        return Claims(**{**values, **ends, "before": Claims._of(values["before"])})

    def after(self, mark):
        status = mark["status"]
        following = Claims(mark["acknowledged"], dict(self.durable), dict(self.exported), dict(self.given), self.epoch, self.before)
        if status is None:
            return following
        following.epoch = max(self.epoch, status["log"]["epoch"])
        export = next(uplink for uplink in status["uplinks"] if uplink["name"] == "export")
        for stream in STREAMS:
            log = status["log"]["streams"][stream]
            following.durable[stream] = max(self.durable[stream], position(log["durable"]))
            following.given[stream] = max(self.given[stream], position(log["end"]))
            following.exported[stream] = max(self.exported[stream], position(export["streams"][stream]["acked_to"]))
        return following


class Marks:
    def __init__(self, log, first):
        self.entries, self.claims, self.first = [], [], first
        last = first
        for number, entry in enumerate(log.entries):
            if entry.is_flush or entry.offset + entry.size <= FILE_SYSTEM_BYTES:
                continue
            if (entry.offset, entry.size) != (FILE_SYSTEM_BYTES, MARK_BYTES):
                raise ValueError(f"entry {number} writes {entry.size} bytes at {entry.offset}: neither file system nor mark")
            last = last.after(json.loads(log.data(entry).rstrip(b"\0")))
            self.entries.append(number)
            self.claims.append(last)

    def at(self, entries):
        """What was known when so many operations were complete. It counts whether the mark itself outlived the cut or not."""
        known = bisect_left(self.entries, entries)
        return self.claims[known - 1] if known else self.first
