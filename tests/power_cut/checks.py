"""What has to hold on a disk after a power cut: all that had been acknowledged or called durable is there, unaltered, or
a gap record answers for it; and the daemon starts on it."""
import json
import os
import re
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from claims import STREAMS, Claims
from machine import configuration, run

START_SECONDS_MAX = 60
SHOWN_MAX = 5
LETTERS = ["".join(chr(ord("a") + (seed + i * i * 3 + i) % 26) for i in range(300)) for seed in range(26)]


def reading_text(sensor, index):
    """As guest_sensor.cc makes it."""
    seed = sensor * 131 + index * 37
    return f"{sensor}:{index}:{LETTERS[seed % 26][:15 + seed % 283]}"


@lru_cache(maxsize=200_000)  # the same lines stand on the disks of many cuts
def parse_line(line):
    """((epoch, sequence), record) of a line as `tidegate log cat` and the export write them. Where the document of an event
    has an epoch of its own, the record's is called log_epoch."""
    record = json.loads(line)
    return (record["log_epoch" if "log_epoch" in record else "epoch"], record["seq"]), record


@dataclass
class Disk:
    """The mounted disk of one cut."""
    tidegate: Path
    folder: Path
    claims: Claims
    place: Path  # outside of it, for what the daemon needs to run
    notes: set = field(default_factory=set)  # what was met, and is no defect


@contextmanager
def mounted(image, folder):
    """Mounts the image for reading and writing, so that the kernel replays the journal as after a real cut."""
    folder.mkdir(exist_ok=True)
    run("mount", "-t", "ext4", "-o", "loop", image, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


class Records:
    """What the files of one disk hold."""

    def __init__(self, tidegate, folder):
        self.folder, self.findings = folder, []
        self.stored = {stream: self._stored(tidegate, stream) for stream in STREAMS}
        self.exported, self.unreadable_lines = {stream: {} for stream in STREAMS}, 0
        for file in sorted((folder / "export").glob("*.ndjson")):
            self._read_export(file)
        self.gaps = [event for event in self.stored["events"].values() if event.get("event") == "gap"]

    def _stored(self, tidegate, stream):
        """By (epoch, sequence)."""
        if not (self.folder / "data/log" / stream).is_dir():
            return {}
        command = [tidegate, "log", "cat", "--data-dir", self.folder / "data", "--stream", stream]
        result = subprocess.run([str(word) for word in command], check=False, capture_output=True)
        if result.returncode != 0:
            self.findings.append(f"log cat {stream}: exit code {result.returncode}: {result.stderr.decode()[-300:]}")
        records, last = {}, (0, 0)
        for line in result.stdout.splitlines():
            key, record = parse_line(line)
            if key[0] < last[0] or key[1] <= last[1]:
                self.findings.append(f"{stream}: {key} comes behind {last}")
            records[key] = record
            last = key
        return records

    def _read_export(self, file):
        stream = file.name.split("-")[0]
        for line in file.read_bytes().splitlines():
            try:
                key, record = parse_line(line)
            except ValueError:
                self.unreadable_lines += 1  # torn: what it held was not called exported, or is found to be missing
                continue
            earlier = self.exported[stream].setdefault(key, record)
            if earlier.get("value") != record.get("value") or earlier.get("tag") != record.get("tag"):
                self.findings.append(f"export: {stream} {key} is {str(earlier)[:90]} and {str(record)[:90]}")


def shown(items):
    items = list(items)
    return f"{len(items)}: {', '.join(str(item) for item in items[:SHOWN_MAX])}{' ...' if len(items) > SHOWN_MAX else ''}"


def check_durable(records, claims):
    """Every sequence before the durable position is stored, or lies in a gap that was recorded when the ring was full."""
    for stream in STREAMS:
        end = claims.durable[stream][1]
        known = {sequence for _, sequence in records.stored[stream]}
        for gap in records.gaps:
            if gap["stream"] == stream and (gap["reason"] == "overflow" or claims.may_be_lost(gap)):
                known.update(range(gap["first"], gap["last"] + 1))
        missing = [sequence for sequence in range(1, end) if sequence not in known]
        if missing:
            yield f"{stream}: durable up to {claims.durable[stream]}, and neither stored nor explained are {shown(missing)}"
    for gap in records.gaps:
        if gap["reason"] != "overflow" and not claims.may_be_lost(gap):
            yield f"recorded as lost, and was durable: {gap}"


def sensor_message(record):
    """(sensor, index) of a reading of power_cut_guest's sensors; None of others; a text when it was altered."""
    if not record["tag"].startswith("sensor-"):
        return None
    value = record.get("value")
    try:
        sensor, index = (int(number) for number in value.split(":")[:2])
    except (AttributeError, ValueError):
        return f"{record['tag']} {record['seq']} has the value {str(value)[:60]}"
    if value != reading_text(sensor, index) or record["tag"] != f"sensor-{sensor}/text" or record.get("quality", "good") != "good":
        return f"{record['tag']} {record['seq']} is not as it was sent: {str(record)[:120]}"
    return sensor, index


def check_messages(records, claims):
    """Readings are as their sensors sent them, in order, and what was acknowledged is in the log or went to the export."""
    found = [set() for _ in claims.acknowledged]
    for place in (records.stored["readings"], records.exported["readings"]):
        last, sequence = {}, 0
        for key in sorted(place):
            if key[1] != sequence + 1:  # what lies between is explained, or found by check_durable
                last = {}
            sequence = key[1]
            message = sensor_message(place[key])
            if message is None:
                continue
            if isinstance(message, str):
                yield message
                continue
            sensor, index = message
            # A new connection begins at what was not acknowledged: back is possible, a jump forward is not.
            if sensor in last and index > last[sensor] + 1:
                yield f"sensor {sensor}: message {index} follows {last[sensor]}"
            last[sensor] = index
            if sensor < len(found):
                found[sensor].add(index)
    for sensor, count in enumerate(claims.acknowledged):
        missing = [index for index in range(count) if index not in found[sensor]]
        if missing:
            yield f"sensor {sensor}: {count} messages were acknowledged, and neither stored nor exported are {shown(missing)}"


def check_export(records, claims):
    """What the export's cursor had passed and is still stored stands in the exported files."""
    for stream in STREAMS:
        missing = [key for key in records.stored[stream] if key < claims.exported[stream] and key not in records.exported[stream]]
        if missing:
            yield f"export of {stream}: acknowledged up to {claims.exported[stream]}, and not in the files are {shown(missing)}"
        for key, record in records.stored[stream].items():
            exported = records.exported[stream].get(key, record)
            if exported.get("value") != record.get("value") or exported.get("tag") != record.get("tag"):
                yield f"{stream} {key} is {str(record)[:90]}, and was exported as {str(exported)[:90]}"


def check_verify(disk):
    """`tidegate log verify` names no damage of what was durable; what was not may be torn."""
    command = [disk.tidegate, "log", "verify", "--data-dir", disk.folder / "data"]
    result = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
    for stream, first in re.findall(r"DAMAGED \S*/(\w+)/\d+\.seg: .*sequences (\d+) to \d+ lost", result.stdout):
        claimed = (disk.claims.before or disk.claims).durable[stream][1]
        if int(first) < claimed:
            yield f"log verify: {result.stdout[-300:]}"
    if "DAMAGED" in result.stdout:
        disk.notes.add("damage behind what was durable, named by log verify")


def check_files(disk):
    records = Records(disk.tidegate, disk.folder)
    yield from records.findings
    yield from check_verify(disk)
    yield from check_durable(records, disk.claims)
    yield from check_messages(records, disk.claims)
    yield from check_export(records, disk.claims)
    if any(gap["reason"] != "overflow" for gap in records.gaps):
        disk.notes.add("gap records of what was not durable")
    if records.unreadable_lines:
        disk.notes.add("torn lines of the export")


class Daemon:
    """The real daemon on a mounted disk."""

    def __init__(self, disk):
        self.tidegate, place = disk.tidegate, disk.place
        self.admin = f"unix:{place}/admin.sock"
        config = place / "tidegate.toml"
        config.write_text(configuration(disk.folder, place / "run", self.admin, "interval", 0), encoding="utf-8")
        self.log = place / "daemon.log"
        notify = place / "notify.sock"
        notify.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(notify))
        self.socket.settimeout(0.1)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(disk.tidegate), "run", "--config", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "NOTIFY_SOCKET": str(notify)})

    def is_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                if b"READY=1" in self.socket.recv(4096):
                    return True
            except TimeoutError:
                pass
        return False

    def status(self):
        return json.loads(run(self.tidegate, "status", "--json", "--admin", self.admin))

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(START_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.socket.close()


def check_identities(before, claims, epoch):
    """The daemon goes on under a new epoch, or, after a stop in good order, behind everything that it ever gave out."""
    for stream in STREAMS:
        end = max((sequence + 1 for _, sequence in before.stored[stream]), default=1)
        given = [claims.given[stream]] + [(key[0], key[1] + 1) for key in before.exported[stream]]
        if (epoch, end) < max(given):
            yield f"{stream}: the daemon goes on at {epoch}:{end}, and {max(given)} was given out before"


def check_start(disk):
    """The daemon starts, takes readings under an epoch that was never used, stops cleanly, and all is still there."""
    before = Records(disk.tidegate, disk.folder)
    daemon = Daemon(disk)
    try:
        if not daemon.is_ready():
            yield f"the daemon does not start: {daemon.log.read_text(errors='replace')[-500:]}"
            return
        status = daemon.status()
    finally:
        code = daemon.end()
    if code != 0:
        yield f"the daemon ends with {code}: {daemon.log.read_text(errors='replace')[-500:]}"
    if not status["log"]["taking_records"]:
        yield f"the daemon takes no records: {status['log'].get('detail')}"
    yield from check_identities(before, disk.claims, status["log"]["epoch"])
    said = daemon.log.read_text(errors="replace")
    if "bytes of unfinished writes dropped" in said:
        disk.notes.add("torn tails of the log")
    yield from check_files(disk)
