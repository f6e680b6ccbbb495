#!/usr/bin/env python3
"""The daemon and its targets in two network namespaces, with a cable between them that is cut, flaps, and is slow.

  tests/integration/namespaces.py --build build/release [--seconds 60] [--only NAME ...]

A proxy, as in network_faults_test.cc, can only do what a peer does. Here it is the network: nobody answers, no reset comes, an
address is gone. Readings with numbers go to the listener all the while; the uplinks "cloud" (MQTT), "scada" (a Sparkplug node),
"lake" (HTTP) and, where root runs this, whom alone PostgreSQL's server can be started by, "table" (PostgreSQL) are behind the
cable, "local" is not.
  blackhole  what comes from upstream is dropped in silence: half-open connections
  unplugged  the cable is out
  flapping   it is out and in again every three seconds
  address    the gateway gets another address, as on a mobile link; what it had open is dead
  slow       1 kB/s
Each lasts --seconds. Exits 1 when a reading is missing after it, or is in the table twice, when a message of the node is not what a Sparkplug host expects (births, seq,
aliases, is_historical, the chain of its batches), when "local" had less than 95 % meanwhile, when the accounts do
not add up, or the daemon grew by more than 1.5 MiB for each uplink behind the cable. Needs unshare, nsenter and ip; makes a user namespace
of its own where it is not root.
"""
import argparse
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import paho.mqtt.client as mqtt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
from drain import Postgresql  # noqa: E402
from sparkplug_node import Node  # noqa: E402
from rig import Rig, free_port, wait_until  # noqa: E402

GATEWAY, OTHER_GATEWAY, UPSTREAM = "10.77.0.1", "10.77.0.3", "10.77.0.2"
RATE = 500
PATIENCE = 120
GROWTH_MAX = 1.5 * 1024 * 1024  # for each uplink behind the cable: what it has on its way, once, however long a fault lasts
CONFIG = """
[[driver.mqtt_listener]]
name = "direct"
listen = "127.0.0.1:{listener}"
  [[driver.mqtt_listener.subscribe]]
  topic = "plant/{{device}}/{{tag}}"
  value = "/value"
[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://{upstream}:{broker}"
keep_alive = "5s"
retry_most = "1s"
batch = {{ max_delay = "100ms" }}
[[uplink.mqtt]]
name = "scada"
broker = "mqtt://{upstream}:{broker}"
format = "sparkplug"
sparkplug = {{ group = "works", node = "gate" }}
keep_alive = "5s"
retry_most = "1s"
batch = {{ max_delay = "100ms" }}
[[uplink.http]]
name = "lake"
url = "http://{upstream}:{http}/in"
timeout = "5s"
retry_most = "1s"
batch = {{ max_delay = "100ms" }}
{table}[[uplink.mqtt]]
name = "local"
broker = "mqtt://127.0.0.1:{local}"
batch = {{ max_delay = "100ms" }}
"""

TABLE = """[[uplink.postgresql]]
name = "table"
url = "postgresql://{upstream}:{port}/postgres"
username = "postgres"
encryption = "none"
timeout = "5s"
retry_most = "1s"
batch = {{ max_delay = "100ms" }}
"""
# In the user namespace of somebody else the server would take itself for root's, which it refuses.
HAS_TABLE = os.geteuid() == 0 and os.environ.get("TIDEGATE_IN_NAMESPACE") != "as somebody"


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def accepts_at(address, port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


class Cable:
    """Between our namespace and another, which lives as long as this object's process."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != own, "the namespace is there")
        self.there = ["nsenter", f"--target={self.holder.pid}", "--net"]
        ip("link", "set", "lo", "up")
        ip("link", "add", "gw0", "type", "veth", "peer", "name", "up0", "netns", str(self.holder.pid))
        ip("address", "add", f"{GATEWAY}/24", "dev", "gw0")
        ip("link", "set", "gw0", "up")
        for words in (["link", "set", "lo", "up"], ["address", "add", f"{UPSTREAM}/24", "dev", "up0"], ["link", "set", "up0", "up"]):
            self.upstream(*words)

    def upstream(self, *words):
        subprocess.run([*self.there, "ip", *words], check=True)

    def close(self):
        self.holder.kill()
        self.holder.wait()

    # Each fault: begin() and end(); flapping has its own thread.
    def blackhole(self, is_on):
        for address in (GATEWAY, OTHER_GATEWAY):
            self.upstream("route", "add" if is_on else "del", "blackhole", f"{address}/32")

    def unplugged(self, is_on):
        self.upstream("link", "set", "up0", "down" if is_on else "up")

    def flapping(self, is_on):
        if not is_on:
            self.calm.set()
            self.thread.join()
            return
        self.calm = threading.Event()

        def flap():
            is_out = False
            while not self.calm.wait(3):
                is_out = not is_out
                self.unplugged(is_out)
            if is_out:
                self.unplugged(False)

        self.thread = threading.Thread(target=flap)
        self.thread.start()

    # It stays there: the next fault finds the gateway with the other address, and this one brings the first back.
    def address(self, is_on):
        old, new = (GATEWAY, OTHER_GATEWAY) if is_on else (OTHER_GATEWAY, GATEWAY)
        ip("address", "del", f"{old}/24", "dev", "gw0")
        ip("address", "add", f"{new}/24", "dev", "gw0")

    def slow(self, is_on):
        words = ["add", "dev", "gw0", "root", "tbf", "rate", "8kbit", "burst", "2kb", "latency", "1s"] if is_on else ["del", "dev", "gw0", "root"]
        subprocess.run(["tc", "qdisc", *words], check=True)


FAULTS = ("blackhole", "unplugged", "flapping", "address", "slow")


class Sensor:
    """Publishes readings whose values are their numbers."""

    def __init__(self, port):
        self.sent, self.acknowledged, self.is_paused = 0, 0, threading.Event()
        self.client = mqtt.Client("sensor")
        self.client.max_inflight_messages_set(2000)
        self.client.on_publish = self.count
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        threading.Thread(target=self.run, daemon=True).start()

    def count(self, *_):
        self.acknowledged += 1

    def run(self):
        due = time.monotonic()
        while True:
            due += 1 / RATE
            time.sleep(max(0, due - time.monotonic()))
            if self.is_paused.is_set():
                due = time.monotonic()
                continue
            self.client.publish("plant/dev/temp", json.dumps({"value": self.sent}), qos=1)
            self.sent += 1

    def pause(self):
        self.is_paused.set()
        wait_until(lambda: self.acknowledged == self.sent, "the listener acknowledges", PATIENCE)


def receive(broker, http):
    """In the other namespace: prints the numbers that came, and by what way."""
    lines = queue.Queue()

    def put(way, payload):
        batch = json.loads(payload)
        if batch["stream"] == "readings":
            lines.put(way + " " + " ".join(str(reading["value"]) for reading in batch["readings"]))

    node = Node()

    def put_message(message):
        if not message.topic.startswith("spBv1.0/"):
            return put("cloud", message.payload)
        lines.put("scada " + " ".join(map(str, node.take(message.topic, message.payload))))
        for complaint in node.complaints:
            lines.put("complaint " + complaint)
        node.complaints.clear()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            put("lake", self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):  # a connection that the cable has cost
            pass

    server = Server((UPSTREAM, http), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = mqtt.Client("receiver", clean_session=False)
    client.on_connect = lambda *_: client.subscribe([("tidegate/#", 1), ("spBv1.0/#", 1)])
    client.on_message = lambda _client, _self, message: put_message(message)
    client.on_subscribe = lambda *_: lines.put("ready")
    wait_until(lambda: accepts_at(UPSTREAM, broker), "the broker upstream takes connections")
    client.connect(UPSTREAM, broker)
    client.loop_start()
    while True:
        print(lines.get(), flush=True)


class Receiver:
    """Counts what receive() prints. Over MQTT what comes for the first time comes in order; HTTP requests go side by side."""

    def __init__(self, cable, broker, http):
        command = [*cable.there, sys.executable, "-B", __file__, "--receive", str(broker), str(http)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.seen = {"cloud": set(), "scada": set(), "lake": set()}
        self.repeats, self.late, self.complaints = 0, 0, []
        self.process.stdout.readline()  # ready
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        greatest = {"cloud": -1, "scada": -1}
        for line in self.process.stdout:
            way, *numbers = line.split()
            if way == "complaint":
                self.complaints.append(line.strip())
                continue
            for number in map(int, numbers):
                if number in self.seen[way]:
                    self.repeats += 1
                    continue
                self.seen[way].add(number)
                if way in greatest:
                    self.late += number < greatest[way]
                    greatest[way] = max(greatest[way], number)

    def counts(self):
        return {way: len(numbers) for way, numbers in self.seen.items()}


class Gateway:
    def __init__(self, rig, cable):
        ports = {name: free_port() for name in ("listener", "broker", "http")}
        configuration = rig.folder / "upstream.conf"
        configuration.write_text(f"user root\nlistener {ports['broker']} {UPSTREAM}\nallow_anonymous true\nmax_queued_messages 0\n", encoding="utf-8")
        rig.start("upstream", *cable.there, "/usr/sbin/mosquitto", "-c", configuration)
        local = rig.broker("local")
        self.uplinks, table = ["cloud", "scada", "lake"], ""
        if HAS_TABLE:
            self.uplinks.append("table")
            self.table = Postgresql(rig)
            self.table.start(UPSTREAM, cable.there)
            table = TABLE.format(upstream=UPSTREAM, port=self.table.port)
        self.receiver = Receiver(cable, ports["broker"], ports["http"])
        self.daemon = rig.daemon(CONFIG.format(local=local.port, upstream=UPSTREAM, table=table, **ports))
        self.sensor = Sensor(ports["listener"])

    def metric(self, name, uplink):
        with urlopen(f"http://127.0.0.1:{self.daemon.admin}/metrics", timeout=30) as reply:
            for line in reply.read().decode().splitlines():
                if line.startswith(name + "{") and f'uplink="{uplink}"' in line and ('stream="readings"' in line or "stream=" not in line):
                    return float(line.split()[-1])
        raise RuntimeError(f"there is no {name} of {uplink}")

    def wait_for_all(self):
        """Returns what is wrong with what came."""
        self.sensor.pause()
        wait_until(lambda: min(self.counts().values()) == self.sensor.sent and self.local_share() == 1,
                   f"all {self.sensor.sent} readings are there", PATIENCE, lambda: f"{self.counts()}, {self.daemon.log.read_text()[-3000:]}")
        problems = list(self.table_problems())
        self.sensor.is_paused.clear()
        return problems

    def counts(self):
        counts = self.receiver.counts()
        if HAS_TABLE:
            counts["table"] = int(self.delivered("table"))
        return counts

    def delivered(self, uplink):
        return self.metric("tidegate_readings_delivered_total", uplink)

    def table_problems(self):
        """What is wrong with the rows when all should be there once."""
        if not HAS_TABLE:
            return
        rows, different = map(int, self.table.ask("select count(*), count(distinct value_int) from tidegate_readings").split("|"))
        if not rows == different == self.sensor.sent:
            yield f"the table has {rows} rows and {different} different readings of {self.sensor.sent}"

    def local_share(self):
        return self.delivered("local") / self.sensor.sent

    def feels_for(self, seconds):
        """Whether a second's readings waited for each of those behind the cable, some time in so many seconds."""
        felt, end = set(), time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.25)
            felt |= {uplink for uplink in self.uplinks if self.metric("tidegate_uplink_backlog_readings", uplink) > RATE}
        return len(felt) == len(self.uplinks)


def complaints(gateway, began_with):
    grown = gateway.daemon.resident_bytes() - began_with
    if grown > GROWTH_MAX * len(gateway.uplinks):
        yield f"the daemon grew by {grown / 1024 / 1024:.1f} MiB"
    while gateway.receiver.complaints:
        yield "as a Sparkplug node: " + gateway.receiver.complaints.pop(0)
    if gateway.receiver.late:
        yield f"{gateway.receiver.late} readings came over MQTT behind a younger one"
    for uplink in (*gateway.uplinks, "local"):
        if gateway.metric("tidegate_uplink_account_mismatch", uplink) != 0:
            yield f"the account of {uplink} does not add up"


def run(arguments):
    with Rig(arguments.build) as rig:
        cable = Cable()
        gateway = Gateway(rig, cable)
        bad = 0
        try:
            wait_until(lambda: gateway.sensor.sent > RATE, "there are readings")
            gateway.wait_for_all()
            resident = gateway.daemon.resident_bytes()
            for name in arguments.only:
                getattr(cable, name)(True)
                was_felt, local = gateway.feels_for(arguments.seconds), gateway.local_share()
                getattr(cable, name)(False)
                began = time.monotonic()
                problems = gateway.wait_for_all() + list(complaints(gateway, resident))
                if not was_felt:
                    problems.append("the uplinks behind the cable did not notice: the fault was none")
                if local < 0.95:
                    problems.append(f"local had {local:.1%} only")
                print(f"{name:<10} {arguments.seconds} s: all {gateway.sensor.sent} readings there {time.monotonic() - began:.1f} s after it, repeats "
                      f"{gateway.receiver.repeats}, local had {local:.1%}, resident {gateway.daemon.resident_bytes() / 1024 / 1024:.1f} MiB"
                      + "".join(f"\n  {problem}" for problem in problems), flush=True)
                bad += len(problems)
        finally:
            cable.close()
            gateway.receiver.process.kill()
        return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--seconds", type=int, default=60, help="how long each fault lasts")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--receive", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive:
        return receive(*arguments.receive)
    if "TIDEGATE_IN_NAMESPACE" not in os.environ:
        is_root = os.geteuid() == 0
        os.environ["TIDEGATE_IN_NAMESPACE"] = "as root" if is_root else "as somebody"
        os.execvp("unshare", ["unshare", *([] if is_root else ["--map-root-user"]), "--net", sys.executable, "-B", *sys.argv])
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
