#!/usr/bin/env python3
"""Throughput, processor time, memory and start times of the daemon, beside a mosquitto bridge on the same traffic.

  tests/bench/end_to_end.py --build build/release [--rounds 3] [--count 200000] [--only NAME ...]

Each round measures, in turn, on the same kind of brokers:
  bridge       a mosquitto of its own that bridges from the source to the target broker, where the daemon would stand
  joined       the source broker itself bridges to the target broker: one process less
  tidegate     the daemon
  floor        a subscriber on Paho that does nothing
Prints medians and writes BUILD/end_to_end.json. Exits 1 when a reading was lost.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import threading
import time
from pathlib import Path

from rig import Rig, wait_until

MIB = 1024 * 1024

RELAY = """
[[driver.mqtt]]
name = "local"
broker = "mqtt://127.0.0.1:{source}"
  [[driver.mqtt.subscribe]]
  topic = "bench/{{device}}/{{tag}}"
  value = "/value"
  time = "/ts"
  {each}
[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:{target}"
"""


def bridge(name, port, direction):
    return (f"connection {name}\naddress 127.0.0.1:{port}\ntopic bench/# {direction} 1\ncleansession false\n"
            f"remote_clientid {name}\nlocal_clientid local-{name}\ntry_private false\nnotifications false\n")


def target_broker(rig):
    return rig.broker("target", f"persistence true\npersistence_location {rig.folder}/\n")


class Relay:
    """Something between two brokers, and what it cost to carry a load through."""

    def __init__(self, build, arguments, batch=1):
        self.build, self.arguments, self.batch = build, arguments, batch

    def measure(self, name):
        with Rig(self.build) as rig:
            source, target, forwarder = getattr(self, f"start_{name}")(rig)
            before = {process.name: process.cpu_seconds() for process in rig.processes}
            count = self.arguments.batched_count if self.batch > 1 else self.arguments.count
            listen = "tidegate/+/readings" if name == "tidegate" else "bench/#"
            code, text = rig.load(source, target, "--count", count, "--batch", self.batch, "--listen", listen)
            result = json.loads(text)
            result["complete"] = code == 0
            result["cpu_us"] = (forwarder.cpu_seconds() - before[forwarder.name]) / count * 1e6
            result["all_cpu_us"] = {process.name: (process.cpu_seconds() - before[process.name]) / count * 1e6
                                    for process in rig.processes}
            result["resident_mib"] = forwarder.resident_bytes() / MIB
            return result

    def start_tidegate(self, rig):
        source, target = rig.broker("source"), target_broker(rig)
        each = 'each = "/readings"' if self.batch > 1 else ""
        daemon = rig.daemon(RELAY.format(source=source.port, target=target.port, each=each))
        wait_until(lambda: source.says("bench/"), "the daemon subscribes")
        return source, target, daemon

    def start_bridge(self, rig):
        source, target = rig.broker("source"), target_broker(rig)
        middle = rig.broker("bridge", bridge("in", source.port, "in") + bridge("out", target.port, "out"))
        wait_until(lambda: source.says("bench/#"), "the bridge subscribes")
        return source, target, middle

    def start_joined(self, rig):
        target = target_broker(rig)
        source = rig.broker("source", bridge("out", target.port, "out"))
        return source, target, source

    def measure_floor(self):
        with Rig(self.build) as rig:
            source = rig.broker("source")
            count = self.arguments.count
            subscriber = rig.start("null", rig.build / "bin/null_subscriber", f"mqtt://127.0.0.1:{source.port}", "bench/#", count + 1)
            wait_until(lambda: subscriber.says("subscribed"), "the null subscriber subscribes")
            before = subscriber.cpu_seconds()
            # The load looks at the source broker itself, so it ends when all has been published and heard.
            rig.load(source, source, "--count", count)
            wait_until_quiet(subscriber)
            return {"cpu_us": (subscriber.cpu_seconds() - before) / count * 1e6, "resident_mib": subscriber.resident_bytes() / MIB}


def wait_until_quiet(process, seconds=0.5):
    pause, last = threading.Event(), -1.0
    while process.cpu_seconds() > last:
        last = process.cpu_seconds()
        pause.wait(seconds)


def median(results, key):
    return statistics.median(result[key] for result in results)


def throughput(build, arguments):
    relay = Relay(build, arguments)
    rounds = {name: [] for name in ("bridge", "joined", "tidegate", "floor")}
    for _ in range(arguments.rounds):
        for name in ("bridge", "joined", "tidegate"):
            rounds[name].append(relay.measure(name))
        rounds["floor"].append(relay.measure_floor())
    return rounds


def batched(build, arguments):
    return [Relay(build, arguments, batch=100).measure("tidegate") for _ in range(arguments.rounds)]


def modbus_tags(count):
    return "".join(f'    {{ name = "r{i}", address = "holding:{i}", type = "uint16" }},\n' for i in range(count))


def idle(build, _arguments, seconds=30):
    """A thousand tags of one Modbus device polled each second and carried to a broker."""
    with Rig(build) as rig:
        target = target_broker(rig)
        devices = rig.start("modbus", rig.build / "bin/tidegate", "simulate", "modbus", "--listen", "127.0.0.1:0", "--registers", "2000")
        wait_until(lambda: devices.says("listening on"), "the simulated devices listen")
        port = devices.log.read_text().split("listening on ")[1].split()[0].rsplit(":", 1)[1]
        daemon = rig.daemon(f'[[driver.modbus]]\nname = "line"\nurl = "tcp://127.0.0.1:{port}"\n  [[driver.modbus.device]]\n  name = "d"\n'
                            f'  unit = 1\n  interval = "1s"\n  tags = [\n{modbus_tags(1000)}  ]\n'
                            f'[[uplink.mqtt]]\nname = "cloud"\nbroker = "mqtt://127.0.0.1:{target.port}"\n')
        threading.Event().wait(seconds / 3)
        before = daemon.cpu_seconds()
        threading.Event().wait(seconds)
        return {"resident_mib": daemon.resident_bytes() / MIB, "cpu_percent": (daemon.cpu_seconds() - before) / seconds * 100}


def start_times(build, arguments):
    """From exec to READY=1, with an empty log and with a log of a GiB of texts, after a clean stop and after a kill."""
    times = {"empty": [], "gib_after_stop": [], "gib_after_kill": []}
    for _ in range(arguments.starts):
        with Rig(build) as rig:
            times["empty"].append(rig.daemon("").ready_seconds)
    if arguments.log_mib == 0:
        return {name: values for name, values in times.items() if values}
    with Rig(build) as rig:
        source = rig.broker("source", "message_size_limit 0\n")
        body = (f'[buffer]\nsize = "{arguments.log_mib * 2}MiB"\n[[driver.mqtt]]\nname = "local"\nbroker = "mqtt://127.0.0.1:{source.port}"\n'
                '  [[driver.mqtt.subscribe]]\n  topic = "fill/{device}/{tag}"\n  payload = "text"\n')
        daemon = rig.daemon(body)
        wait_until(lambda: source.says("fill/"), "the daemon subscribes")
        fill_log(rig, source, arguments.log_mib)
        for _ in range(arguments.starts):
            for name, number in (("gib_after_stop", signal.SIGTERM), ("gib_after_kill", signal.SIGKILL)):
                daemon.end(number)
                daemon = rig.daemon(body)
                times[name].append(daemon.ready_seconds)
        times["log_mib"] = log_bytes(rig) / MIB
    return times


def log_bytes(rig):
    return sum(file.stat().st_size for file in (rig.folder / "data/log").rglob("*") if file.is_file())


def fill_log(rig, source, mebibytes):
    """Random text of 60,000 bytes a message, until the log holds as much as asked for."""
    text = rig.folder / "text"
    while log_bytes(rig) < mebibytes * MIB:
        text.write_text("\n".join(os.urandom(30000).hex() for _ in range(100)) + "\n", encoding="utf-8")
        publisher = rig.start("fill", "/bin/sh", "-c", f"exec mosquitto_pub -h 127.0.0.1 -p {source.port} -q 1 -t fill/a/b -l < {text}")
        publisher.process.wait(120)
        before = -1
        while log_bytes(rig) > before:
            before = log_bytes(rig)
            threading.Event().wait(0.05)


def print_throughput(rounds):
    print(f"\n{'one reading a message':<24}{'readings/s':>12}{'CPU us':>9}{'RSS MiB':>9}{'p50 ms':>9}{'p99 ms':>9}{'lost':>6}")
    for name in ("bridge", "joined", "tidegate"):
        results = rounds[name]
        print(f"{name:<24}{median(results, 'rate'):>12.0f}{median(results, 'cpu_us'):>9.1f}{median(results, 'resident_mib'):>9.1f}"
              f"{median(results, 'p50_ms'):>9.1f}{median(results, 'p99_ms'):>9.1f}{sum(r['lost'] for r in results):>6}")
    floor = median(rounds["floor"], "cpu_us")
    cpu = median(rounds["tidegate"], "cpu_us")
    print(f"{'floor (Paho, nothing)':<24}{'':>12}{floor:>9.1f}{median(rounds['floor'], 'resident_mib'):>9.1f}")
    for name in ("bridge", "joined"):
        print(f"tidegate to {name}: throughput {median(rounds['tidegate'], 'rate') / median(rounds[name], 'rate'):.2f}, "
              f"CPU a reading {cpu / median(rounds[name], 'cpu_us'):.2f}")
    print(f"tidegate above the floor: {cpu - floor:.1f} us a reading")


def print_batched(results):
    print(f"\nbatches of 100: {median(results, 'rate'):.0f} readings/s through, {median(results, 'cpu_us'):.2f} us CPU a reading, "
          f"RSS {median(results, 'resident_mib'):.1f} MiB, lost {sum(r['lost'] for r in results)}")
    shares = {name: statistics.median(result["all_cpu_us"][name] for result in results) for name in results[0]["all_cpu_us"]}
    print("CPU us a reading by process: " + ", ".join(f"{name} {value:.2f}" for name, value in shares.items()))


def print_start_times(times):
    labels = {"empty": "empty log", "gib_after_stop": "large log, after a clean stop", "gib_after_kill": "large log, after a kill"}
    print()
    for name, label in labels.items():
        if times.get(name):
            print(f"start to ready, {label}: {statistics.median(times[name]) * 1000:.0f} ms (most {max(times[name]) * 1000:.0f})")
    if "log_mib" in times:
        print(f"the large log had {times['log_mib']:.0f} MiB")


def print_idle(result):
    print(f"\n1,000 Modbus tags a second: RSS {result['resident_mib']:.1f} MiB, {result['cpu_percent']:.1f} % of a processor")


PARTS = {
    "throughput": (throughput, print_throughput),
    "batched": (batched, print_batched),
    "start": (start_times, print_start_times),
    "idle": (idle, print_idle),
}


def lost_anything(results):
    relays = [result for name, rounds in results.get("throughput", {}).items() if name != "floor" for result in rounds]
    return any(not result["complete"] for result in relays + results.get("batched", []))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=200_000, help="readings of a run, one a message")
    parser.add_argument("--batched-count", type=int, default=2_000_000, help="readings of a run, 100 a message")
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--log-mib", type=int, default=1024, help="size of the large log; 0 leaves it out")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    results = {"machine": {"processors": os.cpu_count(), "time": time.strftime("%Y-%m-%d", time.gmtime())}}
    for name in arguments.only:
        measure, show = PARTS[name]
        results[name] = measure(arguments.build, arguments)
        show(results[name])
        sys.stdout.flush()
    output = Path(arguments.build) / "end_to_end.json"
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {output}")
    return 1 if lost_anything(results) else 0


if __name__ == "__main__":
    if shutil.which("mosquitto_pub") is None:
        sys.exit("mosquitto-clients is missing: scripts/setup installs it")
    sys.exit(main())
