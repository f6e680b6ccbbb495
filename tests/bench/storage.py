#!/usr/bin/env python3
"""What the ring log costs the disk, and what a slow disk costs those who wait for readings.

  tests/bench/storage.py --build build/release [--seconds 60] [--only NAME ...]

  device   bytes at a block device (a loop device with an ext4 of its own) a reading, at 1,000 readings/s and
           sync_interval = 250ms, beside SQLite (WAL, synchronous=FULL) with one transaction each 250 ms; needs root
  stalls   how long readings take to the target broker while each fdatasync and fsync of the daemon, SQLite's among
           them, takes 500 ms longer; beside the same without that
Prints a table and writes BUILD/storage.json.
"""
import argparse
import json
import math
import os
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from end_to_end import RELAY, target_broker
from rig import Rig, wait_until

RATE = 1000
SECTOR = 512
TAGS = 100
WARM_UP = 70
RING_MIB = 64


class LoopDisk:
    """An ext4 on a loop device, and what has been written to that device."""

    def __init__(self, folder, mebibytes=512):
        self.image, self.path = folder / "disk.img", folder / "disk"
        with open(self.image, "wb") as image:
            image.truncate(mebibytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image], check=True)
        self.device = subprocess.run(["losetup", "--find", "--show", self.image], check=True, capture_output=True, text=True).stdout.strip()
        try:
            self.path.mkdir()
            subprocess.run(["mount", self.device, self.path], check=True)
        except BaseException:
            self.detach()
            raise

    def written(self):
        os.sync()
        fields = Path(f"/sys/block/{Path(self.device).name}/stat").read_text(encoding="ascii").split()
        return int(fields[6]) * SECTOR

    def close(self):
        """Also of a disk that a daemon still has, which ends with its rig."""
        try:
            subprocess.run(["umount", "--lazy", self.path], check=True)
        finally:
            self.detach()

    # A device that is still mounted goes with its last user.
    def detach(self):
        subprocess.run(["losetup", "--detach", self.device], check=True)


def metric(daemon, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.admin}/metrics") as answer:
        text = answer.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((name + " ", name + "{")))


def stored(daemon):
    return metric(daemon, 'tidegate_log_stored_readings{stream="readings"}')


def evicted(daemon):
    return metric(daemon, "tidegate_readings_accepted_total") - stored(daemon)


def simulator(devices, interval):
    return f'[buffer]\nsize = "{RING_MIB}MiB"\nsync_interval = "250ms"\n[[driver.simulator]]\nname = "sim"\n' \
           f'devices = {devices}\ntags = {TAGS}\ninterval = "{interval}ms"\n'


def device_tidegate(build, seconds):
    with Rig(build) as rig:
        disk = LoopDisk(rig.folder)
        try:
            # What counts is how it goes on for years: with a ring that is full, whose files are written again and again.
            filler = rig.daemon(simulator(200, 20), data=disk.path / "data")
            wait_until(lambda: evicted(filler) > 2 * stored(filler), "the ring is full of files that were written before", 300)
            filler.end()
            daemon = rig.daemon(simulator(1, 1000 * TAGS // RATE), data=disk.path / "data")
            # The counter goes on where the filler left it. Not counted: the first half minute, while the database's
            # write-ahead log grows to the size that it keeps.
            start = metric(daemon, "tidegate_readings_accepted_total")
            wait_until(lambda: metric(daemon, "tidegate_readings_accepted_total") > start + RATE * WARM_UP, "readings come", 2 * WARM_UP)
            before, first, of_log = disk.written(), metric(daemon, "tidegate_readings_accepted_total"), metric(daemon, "tidegate_log_written_bytes_total")
            threading.Event().wait(seconds)
            after, last = disk.written(), metric(daemon, "tidegate_readings_accepted_total")
            of_log = metric(daemon, "tidegate_log_written_bytes_total") - of_log
            daemon.end()
        finally:
            disk.close()
        return {"bytes_a_reading": (after - before) / (last - first), "of_log": of_log / (last - first), "readings": last - first}


def device_sqlite(build, seconds):
    with Rig(build) as rig:
        disk = LoopDisk(rig.folder)
        try:
            database = sqlite3.connect(disk.path / "readings.db", isolation_level=None)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("CREATE TABLE readings(tag INTEGER, time INTEGER, value REAL, quality INTEGER)")
            before, begun, written, pause = None, 0, 0, threading.Event()
            end = time.monotonic() + WARM_UP + seconds
            while time.monotonic() < end:
                if before is None and time.monotonic() > end - seconds:
                    before, begun = disk.written(), written
                database.execute("BEGIN")
                for i in range(RATE // 4):
                    number = written + i
                    value = round(20 + 5 * math.sin(number / 500), 2)
                    database.execute("INSERT INTO readings VALUES(?,?,?,0)", (number % TAGS, time.time_ns(), value))
                database.execute("COMMIT")
                written += RATE // 4
                pause.wait(0.25)
            after = disk.written()
            database.close()
        finally:
            disk.close()
        return {"bytes_a_reading": (after - before) / (written - begun), "readings": written - begun}


def device(build, arguments):
    return {"tidegate": device_tidegate(build, arguments.seconds), "sqlite": device_sqlite(build, arguments.seconds)}


def relay(build, seconds, environment):
    with Rig(build) as rig:
        source, target = rig.broker("source"), target_broker(rig)
        # Small batches: it is the way through the daemon that is measured, not the wait for a full one.
        body = RELAY.format(source=source.port, target=target.port, each="") + '  [uplink.mqtt.batch]\n  max_delay = "10ms"\n'
        daemon = rig.daemon(body, environment)
        wait_until(lambda: source.says("bench/"), "the daemon subscribes")
        code, text = rig.load(source, target, "--count", RATE * seconds, "--rate", RATE, "--listen", "tidegate/+/readings")
        daemon.end()
        result = json.loads(text)
        result["complete"] = code == 0
        return result


def stalls(build, arguments):
    library = Path(build) / "slow_sync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).with_name("slow_sync.c")], check=True)
    slow = {"LD_PRELOAD": str(library.resolve()), "TIDEGATE_SYNC_MS": "500"}
    return {"quick": relay(build, arguments.seconds, {}), "stalled": relay(build, arguments.seconds, slow)}


def show(results):
    if "device" in results:
        both = results["device"]
        print(f"\n{'bytes at the device a reading':<32}{'bytes':>10}")
        for name, figures in both.items():
            print(f"{name:<32}{figures['bytes_a_reading']:>10.1f}")
        print(f"tidegate to SQLite: {both['tidegate']['bytes_a_reading'] / both['sqlite']['bytes_a_reading']:.3f}")
    if "stalls" in results:
        print(f"\n{'to the target broker':<32}{'p50 ms':>10}{'p99 ms':>10}{'p99.9 ms':>10}{'lost':>6}")
        for name, figures in results["stalls"].items():
            print(f"{name:<32}{figures['p50_ms']:>10.2f}{figures['p99_ms']:>10.2f}{figures['p999_ms']:>10.2f}{figures['lost']:>6}")


PARTS = {"device": device, "stalls": stalls}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    results = {name: PARTS[name](arguments.build, arguments) for name in arguments.only}
    show(results)
    Path(arguments.build, "storage.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0 if all(result["complete"] for result in results.get("stalls", {}).values()) else 1


if __name__ == "__main__":
    sys.exit(main())
