#!/usr/bin/env python3
"""The processes of scripts/demo: starts them, takes the upstream away and brings it back, prints and judges.

What arrived is counted by a receiver of its own behind the upstream broker, not by the daemon's word.
"""
import argparse
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

MOSQUITTO = "/usr/sbin/mosquitto"
CYCLE_SECONDS = 60
SENSOR_RATE = 200
DRAIN_SECONDS = 60

CONFIGURATION = """\
[gateway]
id = "demo"
data_dir = "{folder}/data"
runtime_dir = "{folder}/run"
admin = "127.0.0.1:{admin}"

[[driver.mqtt]]
name = "sensors"
broker = "mqtt://127.0.0.1:{local}"
  [[driver.mqtt.subscribe]]
  topic = "plant/{{device}}/{{tag}}"
  value = "/value"
  time = "/ts"

[[driver.modbus]]
name = "line-1"
url = "tcp://127.0.0.1:{modbus}"
timeout = "300ms"
  [[driver.modbus.device]]
  name = "boiler"
  unit = 1
  interval = "1s"
  tags = [
    {{ name = "temp", address = "holding:2", type = "float32", unit = "°C" }},
    {{ name = "uptime", address = "holding:4", type = "uint32", unit = "ms" }},
    {{ name = "level", address = "holding:1", type = "int16", scale = 0.1 }},
    {{ name = "run", address = "coil:3" }},
  ]
  [[driver.modbus.device]]
  name = "pump"
  unit = 2
  interval = "500ms"
  tags = [
    {{ name = "flow", address = "input:2", type = "float32", unit = "m3/h" }},
    {{ name = "fault", address = "discrete:0" }},
  ]
  [[driver.modbus.device]]
  name = "switched-off"
  unit = 9
  tags = [ {{ name = "temp", address = "holding:0", type = "int16" }} ]

[[rule]]
name = "boiler-hot"
type = "threshold"
tags = ["boiler/temp"]
raise = "> 23"
clear = "< 21"
severity = "critical"
message = "{{tag}} is {{value}} {{unit}}"

[[rule]]
name = "sensor-high"
type = "threshold"
tags = ["sensor-*/value-1"]
raise = "> 90"
clear = "< 85"

[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:{upstream}"
"""


class Failure(Exception):
    """Said in one line; the demo ends with exit code 1."""


def free_port():
    """A port below the range of outgoing connections, so that nobody connects to it by accident while it is free."""
    for _ in range(200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(20000, 32000)))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise Failure("no free port on 127.0.0.1")


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(reached, seconds, what):
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not reached():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds} s")
        pause.wait(0.05)


def die_with_parent():
    set_pdeathsig = 1
    ctypes.CDLL(None).prctl(set_pdeathsig, signal.SIGKILL)


class Process:
    """A program whose output goes to a file, or to a pipe that we read."""

    def __init__(self, name, command, folder, pipe=False):
        self.name = name
        self.log = folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if pipe else log, stderr=log,
                                            start_new_session=True, preexec_fn=die_with_parent)

    def check_running(self):
        if self.process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-800:]
            raise Failure(f"{self.name} ended with {self.process.returncode}: {tail}")

    def stop(self, seconds=15):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class Broker:
    def __init__(self, name, folder, persistent=False):
        self.name, self.folder, self.port = name, folder, free_port()
        self.process = None
        data = folder / f"{name}-data"
        data.mkdir()
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "log_dest stderr"]
        if os.geteuid() == 0:
            lines.append("user root")
        if persistent:
            lines += ["persistence true", f"persistence_location {data}/"]
        self.configuration = folder / f"{name}.conf"
        self.configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self):
        self.process = Process(self.name, [MOSQUITTO, "-c", str(self.configuration)], self.folder)
        wait_until(lambda: accepts(self.port), 10, f"{self.name} takes connections")
        self.process.check_running()

    def stop(self):
        if self.process:
            self.process.stop()


class Receiver:
    """Behind the upstream broker, with a persistent session: counts records by identity and follows the chain."""

    def __init__(self, port, folder):
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-i", "demo-receiver", "-c", "-q", "1", "-t", "tidegate/#"]
        self.process = Process("receiver", command, folder, pipe=True)
        self.lock = threading.Lock()
        self.identities = {}   # by stream
        self.chain = {}        # by stream: (epoch, next sequence)
        self.sensor_readings = self.repeats = self.holes = self.alarms_raised = 0
        threading.Thread(target=self.read_all, daemon=True).start()

    def read_all(self):
        for line in self.process.process.stdout:
            with self.lock:
                self.take(json.loads(line))

    def take(self, batch):
        stream, epoch = batch["stream"], batch["epoch"]
        known = self.identities.setdefault(stream, set())
        last_epoch, following = self.chain.get(stream, (epoch, batch["from"]))
        if epoch == last_epoch and batch["from"] > following:
            self.holes += batch["from"] - following
        self.chain[stream] = max((last_epoch, following), (epoch, batch["to"] + 1))
        for record in batch[stream]:
            identity = (epoch, record["seq"])
            if identity in known:
                self.repeats += 1
                continue
            known.add(identity)
            if stream == "readings" and record["tag"].startswith("sensor-"):
                self.sensor_readings += 1
            if stream == "alarms" and record["state"] == "raised":
                self.alarms_raised += 1

    def received(self, stream="readings"):
        with self.lock:
            return len(self.identities.get(stream, ()))


class Daemon:
    def __init__(self, program, configuration, admin, folder):
        self.admin = admin
        self.process = Process("tidegate", [program, "run", "--config", str(configuration)], folder)
        wait_until(self.is_ready, 20, "the daemon is ready")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as reply:
            return reply.read().decode()

    def is_ready(self):
        self.process.check_running()
        try:
            return "ready" in self.get("/readyz")
        except OSError:
            return False

    def figures(self):
        samples = {}
        for line in self.get("/metrics").splitlines():
            if match := re.fullmatch(r"(\w+)(\{.*\})? (\S+)", line):
                samples[match[1] + (match[2] or "")] = float(match[3])

        def total(name, label=""):
            return int(sum(value for key, value in samples.items() if key.split("{")[0] == name and label in key))

        readings = 'stream="readings"'
        return {
            "accepted": total("tidegate_readings_accepted_total"),
            "stored": total("tidegate_log_stored_readings", readings),
            "delivered": total("tidegate_readings_delivered_total", readings),
            "backlog": total("tidegate_uplink_backlog_readings", readings),
            "lost": total("tidegate_readings_dropped_total", readings),
            "alarms": total("tidegate_alarms_active"),
            "up": total("tidegate_uplink_up") > 0,
        }


class Demo:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.started = []
        self.upstream_down = False
        self.stopping = threading.Event()

    def begin(self, process):
        self.started.append(process)
        return process

    def start(self):
        self.local = self.begin(Broker("local-broker", self.folder))
        self.upstream = self.begin(Broker("upstream-broker", self.folder, persistent=True))
        self.local.start()
        self.upstream.start()
        self.receiver = Receiver(self.upstream.port, self.folder)
        self.begin(self.receiver.process)
        modbus_port = free_port()
        self.modbus = self.begin(self.simulate("modbus", "--listen", f"127.0.0.1:{modbus_port}", "--units", "1,2"))
        wait_until(lambda: accepts(modbus_port), 10, "the simulated Modbus devices answer")
        admin = free_port()
        configuration = self.folder / "tidegate.toml"
        configuration.write_text(CONFIGURATION.format(folder=self.folder, admin=admin, local=self.local.port, modbus=modbus_port,
                                                      upstream=self.upstream.port), encoding="utf-8")
        self.daemon = Daemon(self.program, configuration, admin, self.folder)
        self.begin(self.daemon.process)
        wait_until(lambda: self.daemon.figures()["up"], 20, "the uplink is connected")
        self.sensors = self.begin(self.simulate("mqtt", "--broker", f"mqtt://127.0.0.1:{self.local.port}", "--devices", "4", "--tags", "2",
                                                "--rate", str(SENSOR_RATE)))
        print(f"status page: http://127.0.0.1:{admin}/   status: http://127.0.0.1:{admin}/api/v1/status   metrics: http://127.0.0.1:{admin}/metrics")
        print(f"8 MQTT tags at {SENSOR_RATE} readings/s through a local broker, 2 Modbus devices and one that is switched off, "
              "2 rules, 1 uplink\n")
        print("  time   upstream   accepted     stored  delivered   received    backlog   lost  alarms")

    def simulate(self, *arguments):
        return Process(f"simulated-{arguments[0]}", [self.program, "simulate", *arguments], self.folder)

    def line(self, elapsed):
        self.daemon.process.check_running()
        figures = self.daemon.figures()
        link = "DOWN" if self.upstream_down else "up" if figures["up"] else "reconnect"
        lost = figures["lost"] + self.receiver.holes
        print(f"{elapsed:5.0f} s  {link:>9} {figures['accepted']:>10} {figures['stored']:>10} {figures['delivered']:>10} "
              f"{self.receiver.received():>10} {figures['backlog']:>10} {lost:>6} {figures['alarms']:>7}", flush=True)
        return figures

    def run(self, seconds):
        began = time.monotonic()
        period = seconds or CYCLE_SECONDS
        ticks = 0
        while not self.stopping.is_set():
            elapsed = time.monotonic() - began
            if seconds and elapsed >= seconds:
                break
            self.move_upstream(1 / 3 <= (elapsed % period) / period < 2 / 3)
            self.line(elapsed)
            ticks += 1
            self.stopping.wait(max(0, began + ticks - time.monotonic()))
        self.move_upstream(False)
        return time.monotonic() - began

    def move_upstream(self, down):
        if down == self.upstream_down:
            return
        self.upstream_down = down
        if down:
            print("         ---- the upstream broker is taken away ----", flush=True)
            self.upstream.stop()
        else:
            self.upstream.start()
            print("         ---- the upstream broker is back ----", flush=True)

    def settle(self, elapsed):
        """Ends the sources, lets the backlog drain, and compares. Returns the number of lost readings."""
        self.stopping.clear()
        self.sensors.stop()
        self.modbus.stop()
        counted = re.search(r"published (\d+) acknowledged (\d+)", self.sensors.log.read_text(encoding="utf-8"))
        if counted is None:
            raise Failure(f"the sensors do not say how much they published; see {self.sensors.log}")
        published = int(counted[2])
        deadline = time.monotonic() + DRAIN_SECONDS
        print("         ---- sensors stopped; the backlog drains ----", flush=True)
        while True:
            figures = self.line(elapsed)
            arrived = self.receiver.received() >= figures["accepted"] and self.receiver.sensor_readings >= published
            if (arrived and figures["backlog"] == 0) or time.monotonic() > deadline or self.stopping.is_set():
                break
            self.stopping.wait(1)
            elapsed += 1
        if figures["backlog"] > 0:
            print(f"ended with a backlog of {figures['backlog']}, which counts as lost here; the daemon has it, and would send it when it runs again")
        return self.judge(figures, published)

    def judge(self, figures, published):
        receiver = self.receiver
        lost = max(figures["accepted"] - receiver.received(), figures["lost"] + receiver.holes)
        print(f"\naccepted {figures['accepted']}, received behind the upstream {receiver.received()} "
              f"(repeats, with the same identity: {receiver.repeats}), alarms raised {receiver.alarms_raised}")
        print(f"MQTT readings that the sensors' broker acknowledged {published}, received {receiver.sensor_readings}")
        lost = max(lost, published - receiver.sensor_readings)
        if not published or not figures["accepted"]:
            raise Failure("no reading came, so none could get lost; see the logs")
        if self.daemon.process.stop() != 0:
            raise Failure("the daemon did not stop cleanly; see its log")
        print(f"lost: {lost}")
        return lost

    def end(self):
        for process in reversed(self.started):
            process.stop()


def seconds_of(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}': a duration such as 60s, 2m")
    seconds = float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2] or "s"]
    if seconds < 6:
        raise argparse.ArgumentTypeError(f"'{text}': 6s at least, so that the upstream can go and come back")
    return seconds


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--for", dest="seconds", type=seconds_of, help="end by itself after this time, such as 60s")
    parser.add_argument("--keep", action="store_true", help="leave configuration, data and logs behind")
    parser.add_argument("--check-arguments", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.check_arguments:
        return 0
    folder = Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
    demo = Demo(os.path.abspath(arguments.program), folder)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: demo.stopping.set())
    lost = 1
    try:
        demo.start()
        lost = demo.settle(demo.run(arguments.seconds))
    except (Failure, OSError) as failure:
        print(f"demo: {failure}", file=sys.stderr)
        arguments.keep = True
    finally:
        demo.end()
        if arguments.keep:
            print(f"configuration, data and logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
