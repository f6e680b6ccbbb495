#!/usr/bin/env python3
"""The daemon with every driver and every uplink for an hour or longer, while targets, devices and the network fail at random.

  tests/soak/soak.py --build build/release [--minutes 60] [--seed N] [--round 240] [--out build/release/soak]

Some 230 readings a second come by MQTT (ack written, and durable), as Sparkplug, from sensors at the listener, by Modbus over TCP and
over a serial line, and from the simulator; four rules judge them; and all of it goes by MQTT 3.1.1, by MQTT 5 (live first), as a Sparkplug
node, as JSON over HTTP, as line protocol, into files that rotate, into PostgreSQL, and, where scripts/test-kafka has fetched it, into
Apache Kafka. Time goes in rounds. In each, once and in random order: every target is ended and started again, and stopped for seconds;
every connection is reset, and falls silent behind a proxy; devices vanish; there is noise on the line and rubbish at every port; and
parts of the configuration are changed by SIGHUP, and back. The end of a round is calm.

Exits 1 when a reading that was acknowledged to a sensor is missing anywhere, when a sequence is missing at a target, or twice in
PostgreSQL or Kafka, when targets had different readings, when an account does not add up, when a backlog does not drain, when the daemon
was started again, or when it takes ever more: memory (analysis.py says how that is judged), descriptors, threads.
Writes samples.csv, heap.ndjson (blocks in use by size), faults.csv, summary.txt and soak.svg into --out. Root, for PostgreSQL; 0.6 GB of disk an hour.
"""
import argparse
import csv
import json
import random
import shutil
import signal
import sys
import time
from pathlib import Path

for _folder in ("bench", "integration"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / _folder))
import faults  # noqa: E402
import plot  # noqa: E402
from gateway import OTHER, Gateway, taken  # noqa: E402
from heap_counts import HeapCounts  # noqa: E402
from plant import ModbusDevices, Sensors, SerialLine, SparkplugNode  # noqa: E402
from proxy import Proxies  # noqa: E402
from rig import Rig, free_port, wait_until  # noqa: E402
from seen import Arrivals  # noqa: E402
from targets import (BrokerReceiver, FileCollector, Fleet, HttpReceiver, SparkplugHost, Table, broker, take_json, take_lines)  # noqa: E402
from verdict import Verdict  # noqa: E402

SAMPLE_SECONDS = 5
CALM_PART, JUDGED_SECONDS = 0.46, 35  # at the end of a round; of these, the last are the samples that count
BACKLOG_CALM = 2000  # records: what comes in some seconds
DRAIN_SECONDS = 180
EXIT_SECONDS = 10  # of a daemon that crashes, with its report


class Soak:
    def __init__(self, rig, arguments):
        self.rig, self.arguments, self.chance = rig, arguments, random.Random(arguments.seed)
        self.counts = HeapCounts(arguments.build, rig.folder)
        self.program = rig.folder / "bin/tidegate"  # a copy, as of the shim that counts
        self.program.parent.mkdir()
        shutil.copy2(Path(arguments.build) / "bin/tidegate", self.program)
        self.samples, self.marks, self.left_out, self.problems = [], [], 0, []
        self.has_kafka = Fleet.is_there(arguments.build)
        self.arrivals = {name: Arrivals(name) for name in ("cloud", "cloud5", "scada", "lake", "influx", "export", "fleet")}
        if not self.has_kafka:
            del self.arrivals["fleet"]

    # What there is.
    def start(self):
        self.proxies = Proxies()
        self.start_targets()
        self.start_devices()
        places = {name: proxy.port for name, proxy in self.proxies.by_name.items()}
        places |= {"listener": self.listener, "serial": self.line.paths[0], "export": self.collector.folder}
        self.rig.build = self.rig.folder
        self.gateway = Gateway(self.rig, places, self.has_kafka, self.counts.environment)
        self.start_sources()

    def start_targets(self):
        arrivals, rig = self.arrivals, self.rig
        hub, hub5, source = (broker(rig, name) for name in ("hub", "hub5", "source"))
        self.host = SparkplugHost(arrivals["scada"])
        take = {name: (lambda message, name=name: arrivals[name].take_batch(json.loads(message.payload))) for name in ("cloud", "cloud5")}
        self.receivers = [BrokerReceiver(hub.port, {"tidegate": take["cloud"], "spBv1.0": self.host.take_message}),
                          BrokerReceiver(hub5.port, {"tidegate": take["cloud5"]})]
        lake = HttpReceiver(rig, "lake", arrivals["lake"], take_json(arrivals["lake"]))
        influx = HttpReceiver(rig, "influx", arrivals["influx"], take_lines(arrivals["influx"]))
        self.collector = FileCollector(rig.folder / "export", arrivals["export"])
        self.collector.folder.mkdir()
        self.table = Table(rig)
        self.brokers, self.http_servers = [hub, hub5, source], [lake, influx]
        behind = {"cloud": hub.port, "scada": hub.port, "cloud5": hub5.port, "source": source.port, "durable": source.port,
                  "lake": lake.port, "influx": influx.port, "table": self.table.port}
        self.others = [(self.table.start_server(), signal.SIGQUIT)]
        if self.has_kafka:
            self.fleet = Fleet(rig)
            behind["fleet"] = self.fleet.port
        for name, port in behind.items():
            self.proxies.add(name, port)
        if self.has_kafka:
            self.fleet.advertised = self.proxies.by_name["fleet"].port
            self.others.append((self.fleet.start_server(), signal.SIGKILL))

    def start_devices(self):
        self.line = SerialLine()
        self.modbus = ModbusDevices(self.rig, "modbus", self.program)
        self.meter = ModbusDevices(self.rig, "meter", self.program, self.line.paths[1])
        self.proxies.add("modbus", self.modbus.port)
        self.listener = free_port()
        self.sensor_proxy = self.proxies.add("sensors", self.listener)
        self.node_proxy = self.proxies.add("node", self.brokers[2].port)

    def start_sources(self):
        source = self.brokers[2].port
        wait_until(lambda: self.brokers[2].process.log.read_text(errors="replace").count("/+/+") >= 2, "both drivers have subscribed")
        self.sensors = [Sensors("written", source, 8, 80), Sensors("durable", source, 4, 40), Sensors("direct", self.sensor_proxy.port, 4, 60)]
        self.nodes = [SparkplugNode(1, source), SparkplugNode(2, self.node_proxy.port)]

    # What goes wrong.
    def faults_of_a_round(self):
        for server in self.brokers:
            yield from faults.of_server(server)
        for server in self.http_servers:
            yield from faults.of_server(server, signal.SIGKILL)
            yield from faults.of_http(server)
        for server, number in self.others:
            yield from faults.of_server(server, number)
        for devices in (self.modbus, self.meter):
            yield from faults.of_device(devices.server)
        for name, proxy in self.proxies.by_name.items():
            yield from faults.of_proxy(name, proxy)
        for name in ("sensors", "node"):
            yield from faults.of_absent(name, self.proxies.by_name[name])
        yield from faults.of_line(self.line, self.chance)
        yield from faults.of_rubbish([self.brokers[2].port, self.listener], self.gateway.daemon.admin, self.chance)
        yield from faults.of_reloads(self.gateway, [name for name in OTHER if self.has_kafka or name != "compression"], self.chance)

        if self.arguments.control:
            yield faults.Fault("lake loses a request", "targets", lambda: self.http_servers[0].send(signal.SIGUSR2))

    def tell(self, fault, is_begin):
        self.marks.append({"seconds": round(time.monotonic() - self.began, 1), "row": fault.row, "fault": fault.name,
                           "what": "begin" if is_begin else "end"})

    # What it takes.
    def sample(self, number, is_calm):
        metrics = self.gateway.metrics()
        row = {"seconds": round(time.monotonic() - self.began, 1), "round": number, "calm": int(is_calm), "pid": self.gateway.daemon.pid}
        row |= taken(self.gateway.pid, self.gateway.pools)
        size, row["blocks"], by_class = self.counts.read()
        row["in_use_kib"] = size / 1024
        self.files["heap"].write(json.dumps({"seconds": row["seconds"], "round": number, "blocks": by_class}) + "\n")
        row |= {"cpu_seconds": self.gateway.daemon.cpu_seconds(), "accepted": metrics.sum("tidegate_readings_accepted_total"),
                "lost": metrics.sum("tidegate_readings_dropped_total") + metrics.sum("tidegate_log_dropped_readings_total"),
                "syncs": metrics.sum("tidegate_log_sync_seconds_count"), "sync_failures": metrics.sum("tidegate_log_sync_failures_total"),
                "log_written_bytes": metrics.sum("tidegate_log_written_bytes_total"),
                "alarms_active": metrics.sum("tidegate_alarms_active"), "dead_letters": metrics.sum("tidegate_uplink_dead_letters"),
                "rewritten_segments": metrics.sum("tidegate_log_rewritten_segments_total")}
        for uplink in self.gateway.uplinks:
            named = f'uplink="{uplink}"'
            row[f"backlog_{uplink}"] = metrics.sum("tidegate_uplink_backlog_readings", named)
            row[f"delivered_{uplink}"] = metrics.sum("tidegate_readings_delivered_total", named, 'stream="readings"')
        if is_calm and max(row[f"backlog_{uplink}"] for uplink in self.gateway.uplinks) > BACKLOG_CALM:
            row["calm"] = 0
        self.problems += [f"an account does not add up: {places}" for places in metrics.mismatches()][:1]
        self.samples.append(row)
        self.files["samples"].writerow(row)

    def run(self):
        folder = self.arguments.out
        self.began = time.monotonic()
        with (open(folder / "samples.csv", "w", newline="", encoding="utf-8") as samples,
              open(folder / "heap.ndjson", "w", encoding="utf-8") as heap):
            self.files = {"samples": Rows(samples), "heap": heap}
            number = 0
            try:
                while time.monotonic() - self.began < self.arguments.minutes * 60 - 1 and self.gateway.is_running():
                    self.run_round(number)
                    samples.flush()
                    number += 1
            except OSError:
                # The verdict says how a daemon ended that does not answer because it is not there.
                wait_until(lambda: not self.gateway.is_running(), "the daemon does not answer, and does not end", EXIT_SECONDS)
        with open(folder / "faults.csv", "w", newline="", encoding="utf-8") as marks:
            writer = csv.DictWriter(marks, ["seconds", "row", "fault", "what"])
            writer.writeheader()
            writer.writerows(self.marks)

    def run_round(self, number):
        began, length = time.monotonic(), self.arguments.round
        plan = faults.Round(list(self.faults_of_a_round()), began, length, CALM_PART * length, self.chance)
        self.left_out += plan.left_out
        next_sample = began
        while (now := time.monotonic()) < began + length and self.gateway.is_running():
            plan.run_due(now, self.tell)
            if now >= next_sample:
                self.collector.collect()
                self.sample(number, now >= began + length - JUDGED_SECONDS and not plan.steps)
                next_sample += SAMPLE_SECONDS * (1 + int((now - next_sample) / SAMPLE_SECONDS))
            time.sleep(max(0, min(next_sample, plan.next_at(), began + length) - time.monotonic()))
        plan.finish(self.tell)
        self.report(number, self.samples[-1])

    @staticmethod
    def report(number, last):
        backlog = sum(value for name, value in last.items() if name.startswith("backlog_"))
        print(f"{last['seconds'] / 60:5.1f} min, round {number}: anonymous {last['anonymous_kib'] / 1024:.2f} MiB, resident "
              f"{last['rss_kib'] / 1024:.2f} MiB, {last['descriptors']} descriptors, {last['threads']} threads, {last['accepted']:.0f} accepted, "
              f"{last['syncs']:.0f} syncs, backlog {backlog:.0f}, lost {last['lost']:.0f}", flush=True)


class Rows:
    """Rows of CSV under the names of the first of them."""

    def __init__(self, file):
        self.file, self.writer = file, None

    def writerow(self, row):
        if self.writer is None:
            self.writer = csv.DictWriter(self.file, list(row))
            self.writer.writeheader()
        self.writer.writerow(row)


def keep_logs(rig, folder):
    for log in rig.folder.glob("*.log"):
        text = log.read_bytes()
        (folder / log.name).write_bytes(text if len(text) < 4_000_000 else text[:2_000_000] + b"\n...\n" + text[-2_000_000:])


def soak(arguments):
    with Rig(arguments.build) as rig:
        test = Soak(rig, arguments)
        print(f"seed {arguments.seed}; " + ("with Kafka" if test.has_kafka else "Kafka is LEFT OUT: scripts/test-kafka fetches it"), flush=True)
        try:
            test.start()
            wait_until(lambda: test.gateway.metrics().sum("tidegate_readings_accepted_total") > 500, "readings are taken", 60)
            test.run()
            verdict = Verdict(test, DRAIN_SECONDS)
            verdict.reach()
        finally:
            keep_logs(rig, arguments.out)
    text = verdict.text()
    (arguments.out / "summary.txt").write_text(text, encoding="utf-8")
    plot.write(arguments.out / "soak.svg", test.samples, test.marks, test.gateway.uplinks)
    print(text)
    return 1 if verdict.problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--round", type=float, default=240, help="seconds of a round")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--control", action="store_true", help="a target loses one request that it has acknowledged: has to end red")
    arguments = parser.parse_args()
    arguments.out = arguments.out or Path(arguments.build) / "soak"
    arguments.out.mkdir(parents=True, exist_ok=True)
    return soak(arguments)


if __name__ == "__main__":
    sys.exit(main())
