#!/usr/bin/env python3
"""Power cuts of a whole machine: a virtual one runs the daemon under load on ext4, every write and flush of its disk is
logged, and the log is cut in many places.

  tests/power_cut/power_cut.py --build build/release [--flushes N] [--cuts N] [--seed N] [--start-every N]
                               a new recording, then its cuts
  ... --replay FOLDER          the cuts of the recording in that folder
  ... --replay FOLDER --cut C  that cut alone; with --image FILE its disk is left there
  ... --control syncs          every fourth sync of the daemon is a lie: exits 1 when no loss is found
  ... --control acks           the same with acknowledgements that do not wait for the sync

A cut is the disk after so many operations. What was flushed is on it; of what was not, nothing, all, or a choice by
the sector of 512 bytes, so that writes are lost, torn and reordered. On each, the kernel replays the journal of the file
system, all that the machine had marked as acknowledged or durable before the cut has to be there (checks.py), and on
every so-manieth the daemon has to start. Needs root, for loop devices. Exits 1 when anything is missing.
"""
import argparse
import collections
import concurrent.futures
import dataclasses
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import checks
import machine
from claims import Claims, Marks
from write_log import Cut, Replay, WriteLog

SIGKILL, SIGTERM = 9, 15
SENSORS = 8
# Of each recording: configuration, messages acknowledged in that life, signal. The first begins with an empty disk, the
# second with one that a cut of the first left.
LIVES = [[("always", 2500, SIGKILL), ("interval", 3500, SIGTERM), ("interval", 3000, SIGKILL), ("always", 3000, SIGTERM)],
         [("interval", 2000, SIGKILL), ("always", 2000, SIGTERM)]]
BLOCK = 40  # cuts; a worker goes through the log from its beginning for each
CONTROL_LIVES = {"syncs": [[("always", 2500, SIGTERM)]], "acks": [[("interval", 2500, SIGTERM)]]}


def places_between(log):
    """Where something of the file system is not flushed; and of these, those right before a flush."""
    places, last, unflushed = [], [], False
    for number, entry in enumerate(log.entries):
        if entry.is_flush and unflushed:
            last.append(number)
        unflushed = not entry.is_flush and (unflushed or entry.offset < machine.FILE_SYSTEM_BYTES)
        if unflushed:
            places.append(number + 1)
    return places, last


def choose_cuts(log, arguments):
    """Right behind flushes, and between them with a choice of what was not flushed."""
    rng = random.Random(arguments.seed)
    flushes, between = log.flushes(), places_between(log)
    at_flushes = flushes if len(flushes) <= arguments.flushes else sorted(rng.sample(flushes, arguments.flushes))
    cuts = [Cut(number + 1, 0, arguments.seed) for number in at_flushes]
    for variant in range(1, arguments.cuts + 1):
        cuts.append(Cut(rng.choice(between[variant % 2]), variant, arguments.seed))
    return sorted(cuts, key=lambda cut: (cut.entries, cut.variant))


def choose_broken(log, marks, seed):
    """A cut in the middle of work, with something unflushed, for the next recording to begin with."""
    rng = random.Random(seed)
    for variant in range(1, 10_000):
        cut = Cut(rng.randrange(len(log.entries) // 4, len(log.entries) * 3 // 4), variant, seed)
        known = marks.at(cut.entries)
        following = marks.at(min(cut.entries + 100, len(log.entries)))
        if not log.entries[cut.entries - 1].is_flush and known.epoch == following.epoch > 0:
            return cut
    raise RuntimeError("no operation in the middle of work is not a flush")


class Recording:
    """A folder with the disk first.img, what held for it, and the log of what was written to it."""

    def __init__(self, folder):
        self.folder = folder
        self.log = WriteLog(folder / "writes.log")
        self.marks = Marks(self.log, Claims.load(folder / "first.json"))

    def replay(self):
        return Replay(self.log, (self.folder / "first.img").read_bytes())


class Worker:
    """Checks cuts in rising order, in a process of its own."""

    def __init__(self, arguments, folder, scratch):
        self.arguments, self.recording = arguments, Recording(folder)
        self.replay = self.recording.replay()
        self.place = Path(tempfile.mkdtemp(dir=scratch))

    def check(self, number, cut):
        image = self.place / "disk.img"
        image.write_bytes(self.replay.image(cut))
        if self.arguments.image:
            shutil.copy(image, self.arguments.image)
        starts = number % self.arguments.start_every == 0
        with checks.mounted(image, self.place / "disk") as folder:
            disk = checks.Disk(self.arguments.build / "bin/tidegate", folder, self.recording.marks.at(cut.entries), self.place)
            if self.replay.is_in_part:
                disk.notes.add("writes that are on the disk in part")
            findings = list(checks.check_files(disk))
            if starts:
                findings += [f"after a start: {text}" for text in checks.check_start(disk)]
        return cut, starts, findings, disk.notes


def check_share(arguments, folder, scratch, share):
    worker = Worker(arguments, folder, scratch)
    return [worker.check(number, cut) for number, cut in share]


def check_all(arguments, folder, cuts):
    """Yields (cut, started, findings, notes). Every worker takes blocks of cuts that lie side by side."""
    numbered = list(enumerate(cuts))
    blocks = [numbered[at:at + BLOCK] for at in range(0, len(numbered), BLOCK)]
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="tidegate-power-cut-", dir=shared if shared.is_dir() else None) as scratch, \
            concurrent.futures.ProcessPoolExecutor(arguments.workers) as pool:
        futures = [pool.submit(check_share, arguments, folder, scratch, block) for block in blocks]
        for future in concurrent.futures.as_completed(futures):
            yield from future.result()


def report(arguments, folder, cut, findings):
    for text in findings[:checks.SHOWN_MAX]:
        print(f"  {text}")
    print(f"cut {cut} lost something; again, with its disk in cut.img:\n"
          f"  {Path(sys.argv[0])} --build {arguments.build} --replay {folder} --cut {cut} --image cut.img", flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--flushes", type=int, default=200, help="cuts of a recording right behind a flush, at most")
    parser.add_argument("--cuts", type=int, default=int(os.environ.get("TIDEGATE_POWER_CUTS", "200")), help="cuts of a recording anywhere")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("TIDEGATE_SEED", "1")))
    parser.add_argument("--start-every", type=int, default=3, help="on which cuts to start the daemon")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--replay", type=Path, metavar="FOLDER")
    parser.add_argument("--cut", type=Cut.parse)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--control", choices=sorted(CONTROL_LIVES))
    parser.add_argument("--accelerator", default=os.environ.get("TIDEGATE_ACCELERATOR", "tcg"), help="of QEMU")
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()
    return arguments


def begin_recording(arguments, folder, earlier):
    """The disk that a recording begins with, empty or as a cut of an earlier one leaves it, and what holds for it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if earlier is None:
        machine.make_disk(folder / "first.img")
        first = Claims([0] * SENSORS)
    else:
        cut = choose_broken(earlier.log, earlier.marks, arguments.seed)
        print(f"power-cut: going on with what cut {cut} left", flush=True)
        (folder / "first.img").write_bytes(earlier.replay().image(cut))
        known = earlier.marks.at(cut.entries)
        first = dataclasses.replace(known, before=known)
    first.save(folder / "first.json")
    return first


def make_recordings(arguments):
    """Yields folders, each as soon as it is there."""
    place = arguments.build / "power_cut"
    earlier = None
    for number, lives in enumerate(CONTROL_LIVES.get(arguments.control, LIVES), 1):
        folder = place / (f"control-{arguments.control}" if arguments.control else f"recording-{number}")
        first = begin_recording(arguments, folder, earlier)
        began = time.monotonic()
        words = [f"/etc/{sync}.toml:{count}:{signal}" for sync, count, signal in lives]
        said = machine.record(arguments.build, folder, machine.Run(words, first.acknowledged, arguments.control, arguments.accelerator))
        print(f"{said}power-cut: recorded in {time.monotonic() - began:.0f} s, in {folder}", flush=True)
        earlier = Recording(folder)
        yield folder


def check_recording(arguments, folder):
    """How many cuts lost something."""
    recording = Recording(folder)
    cuts = [arguments.cut] if arguments.cut else choose_cuts(recording.log, arguments)
    print(f"power-cut: {len(recording.log.entries)} operations, {len(recording.log.flushes())} of them flushes, "
          f"{len(recording.marks.entries)} marks; {len(cuts)} cuts with seed {arguments.seed}", flush=True)
    began, failed, started, noted = time.monotonic(), 0, 0, collections.Counter()
    for cut, starts, findings, notes in check_all(arguments, folder, cuts):
        started, failed = started + starts, failed + bool(findings)
        noted.update(notes)
        if findings and failed <= checks.SHOWN_MAX and not arguments.control:
            report(arguments, folder, cut, findings)
    print(f"power-cut: {len(cuts)} cuts, the daemon started on {started} of them, {failed} lost something; {time.monotonic() - began:.0f} s")
    print("".join(f"  {text}: on {count}\n" for text, count in sorted(noted.items())), end="", flush=True)
    return failed


def main():
    arguments = parse_arguments()
    if arguments.cut:
        arguments.start_every = 1
    folders = [arguments.replay] if arguments.replay else make_recordings(arguments)
    failed = sum(check_recording(arguments, folder) for folder in folders)
    if arguments.control:
        print("power-cut: the control " + ("is seen to lose" if failed else "LOSES NOTHING: these checks see nothing"))
        return 0 if failed else 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
