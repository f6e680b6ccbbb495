#!/usr/bin/env python3
"""A reader of the ring log made from docs/ring-log-format.md alone, as a check of that document.

  read_log.py DATA_DIR STREAM        prints the records as JSON lines, oldest first
"""
import ctypes
import json
import struct
import sys
from pathlib import Path

STREAMS = ["readings", "alarms", "events"]
QUALITIES = ["good", "uncertain", "bad"]
REASONS = ["", "nan", "stale", "not-connected", "poll-missed", "out-of-range", "sensor-failure", "timeout", "device-busy",
           "illegal-function", "illegal-address", "illegal-value", "device-failure", "gateway-failure", "bad-reply", "wrong-type"]
BLOCK, MASK = 4096, 2**64 - 1
ZSTD = ctypes.CDLL("libzstd.so.1")
ZSTD.ZSTD_decompress.restype = ctypes.c_size_t
ZSTD.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
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


def unpack(body):
    head = body.varint()
    if head % 2 == 0:
        return body.take(head // 2)
    stored, plain = body.take(body.varint()), ctypes.create_string_buffer(head // 2)
    size = ZSTD.ZSTD_decompress(plain, head // 2, bytes(stored), len(stored))
    assert size == head // 2, "a part is not what zstd writes"
    return plain.raw


def unpack_numbers(body, count):
    firsts, seconds, others = unpack(body), Body(unpack(body)), Body(unpack(body))
    numbers = []
    for first in firsts:
        number = first & 127
        if first > 127:
            second = seconds.take(1)[0]
            number |= (second & 127) << 7
            if second > 127:
                number |= others.varint() << 14
        numbers.append(number)
    assert len(numbers) == count and seconds.at == len(seconds.data) and others.at == len(others.data), "numbers are missing"
    return numbers


def unpack_planes(body, count, width):
    planes = [unpack(body) for _ in range(width)]
    assert all(len(plane) == count for plane in planes), "values are missing"
    return [bytes(plane[i] for plane in planes) for i in range(count)]


def unpack_texts(body, count):
    lengths, texts = unpack_numbers(body, count), Body(unpack(body))
    return [texts.take(length).decode() for length in lengths]


def moments(body, wall, boot):
    """The wall time of each record."""
    n = body.varint()
    counts, _ = unpack_numbers(body, n), unpack_numbers(body, n)
    unit = 10**7 if body.take(1)[0] else 1
    boots, offsets, walls, offset = unpack_numbers(body, n), unpack_numbers(body, n), [], wall - boot
    for count, change, shift in zip(counts, boots, offsets):
        boot += unzigzag(change) * unit
        offset += unzigzag(shift)
        walls += [signed(boot + offset & MASK)] * (count + 1)
    return walls


def dense_order(body, count, tags):
    follower, order, seen = {}, [], 0
    for number in unpack_numbers(body, count):
        before = order[-1] if order else None
        tag = number - 1 if number else follower.get(before, seen)
        assert tag <= seen and tag < tags, "a tag comes out of order"
        if order:
            follower[before] = tag
        seen += tag == seen
        order.append(tag)
    return order


def dense_times(body, order, by_tag, walls, wall):
    unit, way = [1, 10**3, 10**6, 10**9][body.take(1)[0]], body.take(1)[0]
    base = wall + body.zigzag()
    found, last, step, first, apart = [0] * len(order), 0, 0, 0, 0
    for at, difference in enumerate(unpack_numbers(body, len(order))):
        index = by_tag[at] if way == 1 else at
        starts = at == 0 or order[by_tag[at - 1]] != order[by_tag[at]]
        behind = signed(walls[index] - base & MASK) // unit
        expected = [last, first if starts else last + step, behind, behind + apart][way]
        number = signed(expected + unzigzag(difference) & MASK)
        first, step = (number, step) if starts else (first, number - last)
        last, apart = number, number - behind
        found[index] = signed(base + number * unit & MASK)
    return found


def dense_readings(body, count, wall, boot):
    walls = moments(body, wall, boot)
    tags = body.varint()
    text = Body(unpack(body))
    paths = [text.text() for _ in range(tags)]
    order = dense_order(body, count, tags)
    by_tag = sorted(range(count), key=lambda index: order[index])
    states = unpack_numbers(body, count)
    times = dense_times(body, order, by_tag, walls, wall)
    kinds = unpack_numbers(body, count)
    integers = iter(unpack_numbers(body, sum(kind in (3, 4) or kind >= 16 for kind in kinds)))
    floats = iter(unpack_planes(body, kinds.count(6), 4))
    doubles = iter(unpack_planes(body, kinds.count(5), 8))
    texts = iter(unpack_texts(body, kinds.count(7)))
    records, last = [None] * count, {}
    for index, state, kind in zip(by_tag, states, kinds):
        if kind in (3, 4) or kind >= 16:
            key = (order[index], kind)
            last[key] = last.get(key, 0) + unzigzag(next(integers)) & MASK
            value = last[key] if kind == 4 else signed(last[key])
            value = value / 10 ** ((kind - 16) % 16) if kind >= 16 else value
            value = struct.unpack("<f", struct.pack("<f", value))[0] if kind >= 32 else value
        else:
            value = {0: lambda: None, 1: lambda: False, 2: lambda: True, 5: lambda: struct.unpack("<d", next(doubles))[0],
                     6: lambda: struct.unpack("<f", next(floats))[0], 7: lambda: next(texts)}[kind]()
        records[index] = {"tag": paths[order[index]], "time": times[index] // 10**6, "value": value,
                          "quality": QUALITIES[state & 3]} | ({"reason": REASONS[state >> 3]} if state >> 3 else {})
    return records


def dense_documents(body, count, wall, boot):
    moments(body, wall, boot)
    return [json.loads(text) for text in unpack_texts(body, count)]


def frames(content, seed):
    """Every frame that holds, whatever lies between them."""
    at = BLOCK
    while at + 64 <= len(content):
        head = content[at:at + 64]
        size, body_crc, first, count, epoch, wall, boot, codec, _, flags, _, section = struct.unpack("<IIQIIqqBBHIQ", head[8:])
        body = content[at + 64:at + 64 + size]
        if head[:4] == b"TGFR" and crc(head[8:], seed) == struct.unpack("<I", head[4:8])[0] and crc(body, seed) == body_crc:
            yield first, count, epoch, wall, boot, codec, flags & 1, section, Body(body)
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
    for first, count, epoch, wall, boot, codec, begins, section, body in frames(content, seed):
        if (epoch, section) != current:
            tags, current = {}, (epoch, section)
        body.take(16 if begins else 0)
        for _ in range(body.varint()):
            body.take(8)
            body.varint()
        if codec == 1:
            dictionary(body, tags)
            found = list(readings(body, count, wall, tags))
        elif codec in (3, 4):
            found = (dense_readings if codec == 3 else dense_documents)(body, count, wall, boot)
        else:
            found = [json.loads(body.text()) for _ in range(count)]
        for i, record in enumerate(found):
            own = "log_epoch" if "epoch" in record else "epoch"  # a gap tells of another one
            yield {own: epoch, "seq": first + i} | record
        assert body.at == len(body.data), "something follows the last value"


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in STREAMS:
        sys.exit(__doc__)
    for segment in sorted((Path(sys.argv[1]) / "log" / sys.argv[2]).glob("*.seg")):
        for line in records(segment, sys.argv[2]):
            print(json.dumps(line, ensure_ascii=False))
