#!/usr/bin/env python3
"""Boots Debian 12 with the package in it in QEMU, cuts its power while readings flow, and boots it again from what is on the disk.

    python3 -B tests/systemd/emulated_boot_test.py build/packages/tidegate_0.1.0-1_arm64.deb [--cuts flushed given sectors] [--seed N]
    ... --only cuts      without the control: a gateway that acknowledges before it syncs, and has to be seen to lose
    ... --only control   that alone
    ... --keep FOLDER    leaves root, disk, log of writes and console there, and takes the root that is there

The machine is of the package's architecture. Sensors of this machine publish to the gateway's listener with QoS 1 and count what
is acknowledged, an HTTP server takes what the gateway sends on. Each cut ends QEMU with SIGKILL and leaves of its disk what
emulated_machine.py says. After each boot the service is up at its first start, in its sandbox, with its watchdog, and all that was
acknowledged before any cut is in the log once, as it was sent and in order. At the end it is also at the HTTP server and in the file
of the other uplink. A system call that the unit does not list kills the gateway here.

Root, QEMU, mmdebstrap with arch-test, qemu-user-static and binfmt_misc where the package is of another architecture than this machine,
a mirror of Debian within reach. 77: it could not be made here, and the text says why.
"""
import argparse
import collections
import contextlib
import http.server
import json
import pathlib
import random
import sys
import threading
import time
import zlib

import paho.mqtt.client as mqtt

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "package"))
import foreign  # noqa: E402
from debian_root import Root, architecture_of, folder_for, needs  # noqa: E402
from emulated_machine import CUTS, KINDS, PACKAGES, Disk, EmulatedMachine, free_port, prepare  # noqa: E402
from machine import Failed, expect, expect_confined, expect_nothing_denied, wait_for  # noqa: E402

LISTENER = 1883
SENSORS, IN_FLIGHT = 4, 64
MESSAGES = 3000  # acknowledged between two cuts, at the least
PATIENCE = 600
SHOWN_MAX = 5
SETTLED_SECONDS = 60  # daemon/start_pages.h has 45
RESTARTS = 5
STAMPS = ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
CONFIGURATION = """[gateway]
id = "emulated"
data_dir = "/var/lib/tidegate"
admin = "127.0.0.1:8480"
[buffer]
{buffer}
[[driver.simulator]]
name = "sim"
devices = 2
tags = 4
interval = "100ms"
[[driver.mqtt_listener]]
name = "direct"
listen = "0.0.0.0:{listener}"
  [[driver.mqtt_listener.subscribe]]
  topic = "plant/{{device}}/{{tag}}"
  payload = "text"
[[rule]]
name = "high"
type = "threshold"
tags = ["sim-*"]
raise = "> 60"
clear = "< 50"
[[uplink.http]]
name = "lake"
url = "http://10.0.2.2:{lake}/readings"
streams = ["readings", "events"]
[[uplink.file]]
name = "export"
path = "/srv/export/{{stream}}.ndjson"
"""
SYNCED = 'ack = "durable"'
CONTROL = 'ack = "written"\nsync_interval = "1m"'
DROP_IN = "[Service]\nReadWritePaths=/srv/export\nSystemCallErrorNumber=kill\n"


def message(sensor, index):
    text = f"{sensor}:{index}:{'-' * (index * 37 % 200)}"
    return f"{text}:{zlib.crc32(text.encode())}"


class Sensors:
    """Publish for ever, each with so many messages on their way. A message is sent once, and never again after a cut."""

    def __init__(self):
        self.following = [0] * SENSORS
        self.acknowledged = [set() for _ in range(SENSORS)]
        self.refused = None
        self.clients = []

    def count(self):
        return sum(map(len, self.acknowledged))

    def start(self, port):
        for sensor in range(SENSORS):
            client = mqtt.Client(f"sensor-{sensor}", reconnect_on_failure=False)
            client.max_inflight_messages_set(IN_FLIGHT)
            on_their_way = {}
            client.on_connect = self._begins(sensor, on_their_way)
            client.on_publish = self._acknowledged(sensor, on_their_way)
            client.connect("127.0.0.1", port)
            client.loop_start()
            self.clients.append(client)

    def _publish(self, client, sensor, on_their_way):
        index = self.following[sensor]
        self.following[sensor] += 1
        on_their_way[client.publish(f"plant/sensor-{sensor}/count", message(sensor, index), qos=1).mid] = index

    def _begins(self, sensor, on_their_way):
        def on_connect(client, _, __, code):
            self.refused = code or None
            for _ in range(IN_FLIGHT):
                self._publish(client, sensor, on_their_way)
        return on_connect

    def _acknowledged(self, sensor, on_their_way):
        def on_publish(client, _, number):
            self.acknowledged[sensor].add(on_their_way.pop(number))
            self._publish(client, sensor, on_their_way)
        return on_publish

    def stop(self):
        for client in self.clients:
            client.disconnect()
            client.loop_stop()
        self.clients = []


class Lake:
    """The HTTP server upstream; it stands outside of the machine and forgets nothing."""

    def __init__(self):
        self.readings, self.gaps, self.altered = {}, [], []
        lake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self):
                with contextlib.suppress(ConnectionError):  # a cut
                    super().handle()

            def do_POST(self):  # noqa: N802, the name is that of the library
                size = int(self.headers["Content-Length"])
                body = self.rfile.read(size)
                if len(body) < size:
                    raise ConnectionResetError
                lake.take(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, batch):
        if batch["stream"] == "events":
            self.gaps += [event for event in batch["events"] if event["event"] == "gap"]
            return
        for reading in batch["readings"]:
            key, found = (batch["epoch"], reading["seq"]), (reading["tag"], reading["value"])
            if self.readings.setdefault(key, found) != found:
                self.altered.append(key)

    def values(self):
        return collections.Counter(value for tag, value in list(self.readings.values()) if tag.startswith("sensor-"))


class Boot:
    """What is looked at in one boot."""

    def __init__(self, machine):
        self.machine = machine
        wait_for("the service", lambda: machine.show("tidegate", "ActiveState")["ActiveState"] == "active", PATIENCE)

    def check_service(self):
        shown = self.machine.show("tidegate", "SubState", "Type", "NRestarts", "WatchdogUSec")
        expect(shown == {"SubState": "running", "Type": "notify", "NRestarts": "0", "WatchdogUSec": "30s"}, f"the service: {shown}")
        self.check_clock()

        def fed():
            times = self.machine.show("tidegate", "WatchdogTimestampMonotonic", "ActiveEnterTimestampMonotonic")
            return int(times["WatchdogTimestampMonotonic"]) > int(times["ActiveEnterTimestampMonotonic"])
        wait_for("the watchdog to be fed", fed, PATIENCE)

    def check_clock(self):
        """It may have needed more than one start: it has ten seconds for it, which a machine that is emulated beside others can miss."""
        def is_up():
            return self.machine.show("tidegate-clock", "ActiveState")["ActiveState"] == "active"
        wait_for("tidegate-clock", is_up, PATIENCE)
        restarts = self.machine.show("tidegate-clock", "NRestarts")["NRestarts"]
        late = [entry for entry in self.machine.journal("tidegate-clock") if "start operation timed out" in str(entry.get("MESSAGE"))]
        expect(int(restarts) == len(late), f"tidegate-clock started again {restarts} times, {len(late)} of them as it was late")
        if late:
            print(f"tidegate-clock was not up within its time at {len(late)} starts", flush=True)

    def pid(self):
        return self.machine.show("tidegate", "MainPID")["MainPID"]

    def check_sandbox(self):
        expect_confined(self.machine.run(f"cat /proc/{self.pid()}/status"))
        score = self.machine.run(f"cat /proc/{self.pid()}/oom_score_adj").strip()
        expect(score == "-500", f"oom_score_adj is {score}")

    def log(self, stream):
        """The records of a stream by (epoch, sequence), in their order."""
        said = self.machine.run(f"tidegate log cat --data-dir /var/lib/tidegate --stream {stream}", patience=PATIENCE)
        records = [json.loads(line) for line in said.splitlines() if line]
        return {(record["log_epoch" if "log_epoch" in record else "epoch"], record["seq"]): record for record in records}

    def exported(self):
        """Values of the sensors in the file of the uplink; a line that a cut tore is cut off by the gateway."""
        said = self.machine.run("cat /srv/export/readings.ndjson", patience=PATIENCE)
        return {record["value"] for record in map(json.loads, said.splitlines()) if record["tag"].startswith("sensor-")}

    def start_seconds(self):
        """From exec to ready, of the last start."""
        unit = self.machine.show("tidegate", *STAMPS)
        return (int(unit[STAMPS[1]]) - int(unit[STAMPS[0]])) / 1e6

    def restarted(self):
        """The same with the machine at rest, in rising order."""
        seconds = []
        for _ in range(RESTARTS):
            self.machine.run("systemctl restart tidegate")
            seconds.append(self.start_seconds())
        return sorted(seconds)

    def idle(self):
        """The memory of a start that has nothing to do, when it has given back what only the start has used."""
        ready = int(self.machine.show("tidegate", STAMPS[1])[STAMPS[1]]) / 1e6
        # The machine waits by itself: it is slow where it is asked, and its time passes fast where it is idle.
        self.machine.run(f"while [ $(cut -d. -f1 /proc/uptime) -le {int(ready) + SETTLED_SECONDS} ]; do sleep 5; done")
        return self.memory()

    def figures(self):
        """Seconds of this boot and of the start of the daemon."""
        manager = self.machine.run("systemctl show --property=UserspaceTimestampMonotonic --property=FinishTimestampMonotonic").split()
        kernel, finished = (int(line.split("=")[1]) / 1e6 for line in sorted(manager, reverse=True))
        ready = int(self.machine.show("tidegate", STAMPS[1])[STAMPS[1]]) / 1e6
        return f"kernel {kernel:.1f} s, booted in {finished:.1f} s; the daemon from exec to ready {self.start_seconds():.2f} s, at {ready:.1f} s"

    def memory(self):
        pid = self.pid()
        said = self.machine.run(f"cat /proc/{pid}/status /proc/{pid}/smaps_rollup").splitlines()
        found = {words[0]: int(words[1]) / 1024 for words in map(str.split, said) if len(words) == 3 and words[2] == "kB"}
        return ", ".join(f"{name} {found[name + ':']:.1f} MiB" for name in ("VmRSS", "RssAnon", "RssFile", "VmHWM", "Pss", "Private_Dirty"))


def shown(items):
    items = sorted(items)
    return f"{len(items)}: {', '.join(map(str, items[:SHOWN_MAX]))}{' ...' if len(items) > SHOWN_MAX else ''}"


def faults_of(boot, sensors, lake):
    """What is wrong with the log after a cut."""
    readings = boot.log("readings")
    keys = list(readings)
    if any(one[0] > other[0] or one[1] >= other[1] for one, other in zip(keys, keys[1:])):
        yield "the sequences of the log do not rise"
    altered = [key for key in readings.keys() & lake.readings.keys() if (readings[key]["tag"], readings[key]["value"]) != lake.readings[key]]
    if altered or lake.altered:
        yield f"not as they were sent on: {shown(altered + lake.altered)}"
    if gaps := [event for event in boot.log("events").values() if event.get("event") == "gap"]:
        yield f"gap records: {gaps}"
    for sensor, acknowledged in enumerate(sensors.acknowledged):
        texts = [record["value"] for record in readings.values() if record["tag"] == f"sensor-{sensor}/count"]
        indices = [int(text.split(":")[1]) for text in texts]
        if wrong := [text for text, index in zip(texts, indices) if text != message(sensor, index)]:
            yield f"sensor {sensor}: not as they were sent: {shown(wrong)}"
        if any(one >= other for one, other in zip(indices, indices[1:])):
            yield f"sensor {sensor}: not in order, or twice"
        if missing := acknowledged - set(indices):
            yield f"sensor {sensor}: acknowledged and not in the log, of {len(acknowledged)}: {shown(missing)}"


def wait_for_delivery(boot, sensors, lake):
    """All that was acknowledged in any life is upstream and in the file, as it was sent."""
    expected = {message(sensor, index) for sensor in range(SENSORS) for index in sensors.acknowledged[sensor]}
    wait_for("the HTTP server to have everything", lambda: expected <= lake.values().keys(), PATIENCE)
    wait_for("the file to have everything", lambda: expected <= boot.exported(), PATIENCE)
    expect(not lake.altered and not lake.gaps, f"upstream: altered {lake.altered}, gaps {lake.gaps}")


def make_root(package, folder):
    """The folder of a Debian that this machine boots, with the package in it."""
    began, path = time.monotonic(), folder / "root"
    architecture = architecture_of(package)
    if path.exists():
        root = Root.__new__(Root)
        root.path = path
    else:
        root = Root(path, architecture, [*PACKAGES, "libcurl4"])
        prepare(root, KINDS[architecture])
    root.install(package)
    (path / "srv/export").mkdir(parents=True, exist_ok=True)
    root.run("chown", "tidegate:", "/srv/export")
    drop_in = path / "etc/systemd/system/tidegate.service.d/emulated.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(DROP_IN, encoding="utf-8")
    print(f"Debian of {architecture} made in {time.monotonic() - began:.0f} s", flush=True)
    return path


class Test:
    def __init__(self, kind, folder, seed, buffer):
        self.kind, self.folder, self.rng = kind, folder, random.Random(seed)
        self.sensors, self.lake, self.port = Sensors(), Lake(), free_port()
        settings = CONFIGURATION.format(listener=LISTENER, lake=self.lake.port, buffer=buffer)
        (folder / "root/etc/tidegate/tidegate.toml").write_text(settings, encoding="utf-8")
        self.disk = Disk(folder, folder / "root")
        self.machine = None

    def boot(self):
        began = time.monotonic()
        self.machine = EmulatedMachine(self.kind, self.folder, self.disk, {LISTENER: self.port})
        boot = Boot(self.machine)
        print(f"up after {time.monotonic() - began:.0f} s here; {boot.figures()}", flush=True)
        boot.check_service()
        boot.check_sandbox()
        expect_nothing_denied(self.machine)
        return boot

    def flow(self, boot):
        """Readings flow, and flow on behind this."""
        acknowledged, sent_on = self.sensors.count(), len(self.lake.readings)
        began = time.monotonic()
        self.sensors.start(self.port)
        wait_for(f"{MESSAGES} acknowledgements", lambda: self.sensors.count() >= acknowledged + MESSAGES, PATIENCE)
        seconds = time.monotonic() - began
        expect(self.sensors.refused is None, f"a sensor was refused with {self.sensors.refused}")
        wait_for("readings upstream", lambda: len(self.lake.readings) > sent_on + MESSAGES / 2, PATIENCE)
        print(f"{MESSAGES / seconds:.0f} messages acknowledged a second; under load {boot.memory()}", flush=True)

    def cut(self, kept):
        self.machine.cut_between_flushes(self.disk, self.rng)
        self.sensors.stop()
        left = self.disk.leave(kept, self.rng.random())
        print(f"CUT, {kept}: {left.operations} operations of the disk, {left.flushes} flushes; {left.unflushed_sectors} sectors were not flushed, "
              f"{left.kept_sectors} of them are on the disk; {self.sensors.count()} messages acknowledged so far, "
              f"{len(self.lake.readings)} readings upstream", flush=True)

    def run(self, cuts):
        for kept in cuts:
            boot = self.boot()
            self.expect_all(boot)
            self.flow(boot)
            self.cut(kept)
        boot = self.boot()
        self.expect_all(boot)
        wait_for_delivery(boot, self.sensors, self.lake)
        epochs = {epoch for epoch, _ in self.lake.readings}
        expect(len(epochs) == len(cuts) + 1, f"epochs of {len(cuts)} cuts: {epochs}")
        print(f"at rest {boot.memory()}; from exec to ready {', '.join(f'{seconds:.2f}' for seconds in boot.restarted())} s", flush=True)
        print(f"idle {boot.idle()}", flush=True)
        self.machine.run("systemctl stop tidegate")
        ended = self.machine.show("tidegate", "ActiveState", "Result", "ExecMainStatus")
        expect(ended == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, f"after a stop: {ended}")
        expect_nothing_denied(self.machine)
        self.machine.power_off()
        print(f"{len(cuts)} cuts, {self.sensors.count()} messages acknowledged: all in the log, upstream and in the file")

    def expect_all(self, boot):
        faults = list(faults_of(boot, self.sensors, self.lake))
        expect(not faults, "\n".join(faults))

    def run_control(self):
        self.flow(self.boot())
        self.cut("flushed")
        faults = list(faults_of(self.boot(), self.sensors, self.lake))
        print("\n".join(faults))
        expect(any("acknowledged and not in the log" in fault for fault in faults), "the control LOSES NOTHING: this test sees nothing")
        print("the control is seen to lose", flush=True)

    def close(self):
        self.sensors.stop()
        self.lake.server.shutdown()
        if self.machine:
            self.machine.cut()


def try_with(test, run):
    try:
        run(test)
        return True
    except Failed as problem:
        print(f"emulated_boot_test: {problem}")
        if test.machine:
            with contextlib.suppress(OSError, Failed):
                print(test.machine.run("systemctl status tidegate --no-pager --full; journalctl --boot --unit tidegate --lines 40 --no-pager", check=False))
            print(test.machine.said()[-3000:])
        return False
    finally:
        test.close()


def try_in(folder, arguments, kind):
    make_root(arguments.package, folder)
    if arguments.only != "cuts" and not try_with(Test(kind, folder, arguments.seed, CONTROL), Test.run_control):
        return 1
    if arguments.only != "control" and not try_with(Test(kind, folder, arguments.seed, SYNCED), lambda test: test.run(arguments.cuts)):
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=pathlib.Path)
    parser.add_argument("--cuts", nargs="+", choices=CUTS, default=list(CUTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["control", "cuts"])
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER")
    arguments = parser.parse_args()
    architecture = architecture_of(arguments.package)
    kind = KINDS[architecture]
    needs("emulated_boot_test", kind.emulator, "mmdebstrap", "mke2fs", *(["arch-test"] if foreign.is_foreign(architecture) else []))
    with folder_for("emulated", arguments.keep) as folder, foreign.programs(architecture, "emulated_boot_test"):
        return try_in(folder, arguments, kind)


if __name__ == "__main__":
    sys.exit(main())
