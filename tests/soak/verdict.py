"""The end of a soak: sources stop, everything drains, and what arrived is compared with what was acknowledged and with what the log had."""
import itertools
import json
import subprocess
import time

import analysis
from rig import wait_until
from seen import Arrivals, Bits

ONCE = ("table", "fleet")
SILENT_SECONDS = 15  # longer than an uplink takes to find its target again
SETTLE_SECONDS = 30  # for what the targets' brokers have and their subscribers do not


class Verdict:
    def __init__(self, test, patience):
        self.test, self.patience, self.problems, self.lines = test, patience, list(dict.fromkeys(test.problems)), []
        self.warm_up = analysis.warm_up(test.arguments.minutes * 60, test.arguments.round)

    def complain(self, text):
        self.problems.append(text)

    def say(self, text):
        self.lines.append(text)

    def reach(self):
        test = self.test
        if not test.gateway.is_running():
            daemon = test.gateway.daemon
            self.complain(f"the daemon ended with {daemon.process.returncode}: {daemon.log.read_text(errors='replace')[-2000:]}")
            return
        self.problems += analysis.complaints(test.samples, self.warm_up)
        for step in (self.end_sources, self.drain, self.look_at_sequences, self.look_at_tables, self.look_at_numbers, self.look_at_contents,
                     self.end_daemon):
            try:
                step()
            except (RuntimeError, OSError, subprocess.CalledProcessError) as problem:
                self.complain(f"{step.__name__}: {problem}")
                return
        self.look_at_losses()

    def end_sources(self):
        """The sensors first, so that all that they were told is acknowledged has come through; then the drivers, so that nothing more comes."""
        test = self.test
        for sensors in test.sensors:
            sensors.end(self.patience)
        for node in test.nodes:
            node.end()
        wait_until(lambda: not self.not_there(), "what was acknowledged to sensors is in the files", self.patience, lambda: str(self.not_there()))
        for sensors in test.sensors:
            sensors.leave()
        test.gateway.end_sources()
        wait_until(lambda: test.gateway.metrics().sum("tidegate_driver_up") == 0, "the drivers have ended", self.patience)

    def not_there(self):
        """Acknowledged numbers that the files do not have, the first few by tag."""
        self.test.collector.collect()
        self.test.collector.take_open_files()
        return dict(self.lacking(self.test.arrivals["export"]))

    def lacking(self, arrivals):
        for sensors in self.test.sensors:
            for tag, acknowledged in sensors.acknowledged.items():
                if missing := arrivals.numbers.get(tag, Bits()).missing(acknowledged):
                    yield tag, missing

    def backlog(self):
        return self.test.gateway.metrics().sum("tidegate_uplink_backlog_readings")

    def drain(self):
        began = time.monotonic()
        wait_until(lambda: self.backlog() == 0, "all backlogs are 0", self.patience, lambda: self.test.gateway.get("/api/v1/status")[-3000:])
        self.say(f"all backlogs were 0 {time.monotonic() - began:.1f} s after the sources had ended")
        self.wait_for_silence()
        self.not_there()
        if self.test.has_kafka:
            self.test.fleet.take_all(self.test.arrivals["fleet"])

    def wait_for_silence(self):
        """Until nothing more is recorded: an uplink that comes up late says so in an event."""
        self.ends, quiet_since = {}, time.monotonic()

        def is_silent():
            nonlocal quiet_since
            streams = json.loads(self.test.gateway.get("/api/v1/status"))["log"]["streams"]
            ends = {stream: int(streams[stream]["end"].split(":")[1]) for stream in Arrivals.STREAMS}
            if ends != self.ends or self.backlog() != 0:
                self.ends, quiet_since = ends, time.monotonic()
            return time.monotonic() - quiet_since > SILENT_SECONDS
        wait_until(is_silent, "nothing more is recorded", self.patience, lambda: str(self.ends))

    def look_at_sequences(self):
        """Whatever the log ever had is at each target; behind brokers it may still be on its way."""
        arrivals = self.test.arrivals
        self.begins = {stream: min(one.seen[stream].begin() for one in arrivals.values()) for stream in Arrivals.STREAMS}
        for stream, one in itertools.product(Arrivals.STREAMS, arrivals.values()):
            begin, end = self.begins[stream], self.ends[stream]
            try:
                wait_until(lambda: one.seen[stream].count >= end - begin, f"{one.name} has {stream} {begin} to {end - 1}", SETTLE_SECONDS)
            except RuntimeError:
                missing = one.seen[stream].holes(begin, end)
                self.complain(f"{one.name} has {one.seen[stream].count} of {end - begin} {stream}; missing are {missing} ...")
            if one.seen[stream].end > end:
                self.complain(f"{one.name} has {stream} beyond the end of the log, {end}")
        for one in arrivals.values():
            self.problems += one.complaints
            if len(one.epochs) != 1:
                self.complain(f"{one.name} has records of epochs {sorted(one.epochs)}: the daemon was not started but once")
            if one.name in ONCE and one.repeats:
                self.complain(f"{one.name} has {one.repeats} records more than once")
        counts = ", ".join(f"{stream} {self.ends[stream] - self.begins[stream]}" for stream in Arrivals.STREAMS)
        self.say(f"records in the log: {counts}; repeats by target: " + ", ".join(f"{one.name} {one.repeats}" for one in arrivals.values()))

    def look_at_tables(self):
        for stream in Arrivals.STREAMS:
            begin, end = self.begins[stream], self.ends[stream]
            account = self.test.table.account(stream)
            if account != [end - begin, end - begin, begin, end - 1]:
                self.complain(f"the table of {stream} has (rows, different, first, last) {account}; the log had {begin} to {end - 1}")
        self.say("PostgreSQL has each of them in one row")

    def look_at_numbers(self):
        """Of what was acknowledged to a sensor, at each target that tells values."""
        for one in self.test.arrivals.values():
            for tag, missing in self.lacking(one) if one.has_content else ():
                self.complain(f"{one.name} lacks values of {tag} that were acknowledged to the sensor: {missing} ...")
        acknowledged = {tag: bits.count for sensors in self.test.sensors for tag, bits in sensors.acknowledged.items()}
        rows = self.test.table.numbers()
        for tag, count in acknowledged.items():
            if rows.get(tag, 0) < count:
                self.complain(f"PostgreSQL lacks values of {tag}: {rows.get(tag, 0)} of {count}")
        self.say(f"acknowledged to sensors: {sum(acknowledged.values())} readings")

    def look_at_contents(self):
        sums = {one.name: f"{one.content:08x}" for one in self.test.arrivals.values() if one.has_content}
        if len(set(sums.values())) != 1:
            self.complain(f"targets had different readings under the same sequences: {sums}")
        self.say(f"the same readings at {', '.join(sums)}")

    def end_daemon(self):
        daemon = self.test.gateway.daemon
        code = daemon.end()
        if code != 0:
            self.complain(f"the daemon ended with {code} when it was told to")
        command = [self.test.program, "log", "verify", "--data-dir", self.test.rig.folder / "data"]
        verified = subprocess.run(command, capture_output=True, text=True, check=False)
        if verified.returncode != 0:
            self.complain(f"log verify: {verified.stdout[-500:]}{verified.stderr[-500:]}")

    def look_at_losses(self):
        for event in self.test.collector.gaps:
            self.complain(f"the daemon says that something is lost: {event}")
        for name in ("lost", "dead_letters", "sync_failures"):
            if self.test.samples[-1][name]:
                self.complain(f"{name}: {self.test.samples[-1][name]}")

    def text(self):
        test, last = self.test, self.test.samples[-1]
        began = sum(mark["what"] == "begin" for mark in test.marks)
        resets = sum(proxy.resets for proxy in test.proxies.by_name.values()) // 2
        most = {uplink: int(max(sample[f"backlog_{uplink}"] for sample in test.samples)) for uplink in test.gateway.uplinks}
        lines = [f"{last['seconds'] / 60:.1f} minutes, {last['round'] + 1} rounds, seed {test.arguments.seed}, {began} faults "
                 f"({test.left_out} left out for want of room), {test.gateway.reloads} reloads, {resets} connections reset",
                 self.rates(), f"resident {last['rss_kib'] / 1024:.1f} MiB at the end, {last['rss_most_kib'] / 1024:.1f} at the most; "
                 f"anonymous {last['anonymous_kib'] / 1024:.1f}"]
        lines += [str(analysis.Growth(test.samples, name, self.warm_up)) for name in ("anonymous_kib", "in_use_kib", "rss_kib", "pss_kib")]
        for name in ("descriptors", "steady", "pooled", "passing", "threads"):
            lines.append(f"{name}, least of each calm part: {analysis.least_by_round(test.samples, name, self.warm_up)}")
        lines.append(f"largest backlogs: {most}")
        lines.append(f"events: {test.collector.events}; rewritten segments: {last['rewritten_segments']:.0f}")
        lines += [*self.lines, *(f"WRONG: {problem}" for problem in self.problems), "red" if self.problems else "green"]
        return "\n".join(lines) + "\n"

    def rates(self):
        first, last = self.test.samples[0], self.test.samples[-1]

        def a_second(name):
            return (last[name] - first[name]) / (last["seconds"] - first["seconds"])
        return (f"{a_second('accepted'):.1f} readings/s, {a_second('syncs'):.2f} syncs/s, log {a_second('log_written_bytes') / 1024:.1f} KiB/s, "
                f"pages written {a_second('written_bytes') / 1024:.1f} KiB/s, {a_second('cpu_seconds') * 100:.1f} % of a processor")
