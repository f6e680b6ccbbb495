#!/usr/bin/env python3
"""A reader of the ring log made from docs/ring-log-format.md alone, as a check of that document.

  read_log.py DATA_DIR STREAM        prints the records as JSON lines, oldest first
"""
import json
import struct
import sys
from pathlib import Path

STREAMS = ["readings", "alarms", "events"]
QUALITIES = ["good", "uncertain", "bad"]
REASONS = ["", "nan", "stale", "not-connected", "poll-missed", "out-of-range", "sensor-failure", "timeout", "device-busy",
           "illegal-function", "illegal-address", "illegal-value", "device-failure", "gateway-failure", "bad-reply", "wrong-type"]
BLOCK, MASK = 4096, 2**64 - 1
TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc(data, start=0):
    value = start ^ 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ TABLE[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


def signed(number):
    return number - 2**64 if number >= 2**63 else number


class Body:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        assert self.at <= len(self.data), "the body ends too early"
        return self.data[self.at - count:self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def text(self):
        return self.take(self.varint()).decode()

    def column(self, count):
        numbers = []
        mode = self.take(1)[0]
        while len(numbers) < count:
            run = self.varint() if mode == 1 else 1
            numbers += [self.varint()] * run
        return numbers


def unzigzag(number):
    return (number >> 1) ^ -(number & 1)


def readings(body, count, wall, tags):
    numbers, number = [], 0
    for difference in body.column(count):
        number += unzigzag(difference)
        numbers.append(number)
    states = body.column(count)
    unit = [1, 10**3, 10**6, 10**9][body.take(1)[0]]
    times, step = [wall + body.zigzag()], 0
    for change in body.column(count - 1):
        step = step + unzigzag(change)
        times.append(signed(times[-1] + step * unit & MASK))
    last = {}
    for number, state, time, kind in zip(numbers, states, times, body.column(count)):
        if kind in (3, 4) or kind >= 16:
            before = last[number][1] if number in last and last[number][0] == kind else 0
            value = before + body.zigzag() & MASK
            last[number] = (kind, value)
            value = value if kind == 4 else signed(value)
            value = value / 10 ** (kind - 16) if kind >= 16 else value
        else:
            value = {0: lambda: None, 1: lambda: False, 2: lambda: True, 5: lambda: struct.unpack("<d", body.take(8))[0],
                     6: lambda: struct.unpack("<f", body.take(4))[0], 7: body.text}[kind]()
        record = {"tag": tags[number], "time": time // 10**6, "value": value, "quality": QUALITIES[state & 3]}
        yield record | ({"reason": REASONS[state >> 3]} if state >> 3 else {})


def frames(content, seed):
    """Every frame that holds, whatever lies between them."""
    at = BLOCK
    while at + 64 <= len(content):
        head = content[at:at + 64]
        size, body_crc, first, count, epoch, wall, _, codec, _, flags, _, section = struct.unpack("<IIQIIqqBBHIQ", head[8:])
        body = content[at + 64:at + 64 + size]
        if head[:4] == b"TGFR" and crc(head[8:], seed) == struct.unpack("<I", head[4:8])[0] and crc(body, seed) == body_crc:
            yield first, count, epoch, wall, codec, flags & 1, section, Body(body)
            at += (64 + size + 7) // 8 * 8
        else:
            at += 8


def dictionary(body, tags):
    for _ in range(body.varint()):
        first = body.varint()
        for i in range(body.varint()):
            tags[first + i] = body.text()


def records(path, stream):
    content = path.read_bytes()
    if content[:8] != b"TIDESEG\n" or int.from_bytes(content[32:40], "little") != int(path.stem):
        return
    seed = crc(content[16:32] + struct.pack("<QB", int(path.stem), STREAMS.index(stream)))
    tags, current = {}, None
    for first, count, epoch, wall, codec, begins, section, body in frames(content, seed):
        if (epoch, section) != current:
            tags, current = {}, (epoch, section)
        body.take(16 if begins else 0)
        for _ in range(body.varint()):
            body.take(8)
            body.varint()
        if codec == 1:
            dictionary(body, tags)
            found = list(readings(body, count, wall, tags))
        else:
            found = [json.loads(body.text()) for _ in range(count)]
        for i, record in enumerate(found):
            yield {"epoch": epoch, "seq": first + i} | record
        assert body.at == len(body.data), "something follows the last value"


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in STREAMS:
        sys.exit(__doc__)
    for segment in sorted((Path(sys.argv[1]) / "log" / sys.argv[2]).glob("*.seg")):
        for line in records(segment, sys.argv[2]):
            print(json.dumps(line, ensure_ascii=False))
