#!/usr/bin/env python3
"""How fast a backlog leaves when its target comes back: ten million readings into MQTT, HTTP, Kafka,
PostgreSQL and a file.

  tests/bench/drain.py --build build/release [--readings 10000000] [--rounds 3] [--only NAME ...]

The readings are taken in by the MQTT listener while the target is away; then it is started, and the time runs from the
first to the last reading that it has acknowledged. CPU us: processor time of the daemon a reading, in microseconds.
  mqtt   batches to mosquitto, QoS 1
  http   requests to nginx, which reads them and answers 204
  kafka  a message a reading to Apache Kafka, where scripts/test-kafka has fetched it; at least once and exactly once; -bare: without headers; -avro: in Avro
  postgresql  a row a reading to PostgreSQL with its defaults, so that a commit waits for its disk; exactly once
  file   NDJSON to a file on the same disk
Prints medians and writes BUILD/drain.json. Exits 1 when a reading was not delivered.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

from end_to_end import median
from listener import LISTENER, load
from rig import Rig, accepts, free_port, wait_until

BATCH = 100  # readings a message, as they come in
BUFFER = '[buffer]\nsize = "2GiB"\n'
PATIENCE = 900
COMMON = 'name = "up"\nstreams = ["readings"]\ninflight = 32\nbatch = { max_readings = 2000, max_bytes = "256KiB" }\n'


def metric(daemon, name):
    with urlopen(f"http://127.0.0.1:{daemon.admin}/metrics", timeout=30) as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith(name):
                return float(line.split()[-1])
    return 0


def delivered(daemon):
    return metric(daemon, 'tidegate_readings_delivered_total{uplink="up",stream="readings"}')


class Mqtt:
    def __init__(self, rig):
        self.rig, self.port = rig, free_port()
        self.uplink = f'[[uplink.mqtt]]\nbroker = "mqtt://127.0.0.1:{self.port}"\n' + COMMON

    def start(self):
        configuration = self.rig.folder / "target.conf"
        configuration.write_text(f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
        self.rig.start("target", "/usr/sbin/mosquitto", "-c", configuration)


class Http:
    def __init__(self, rig):
        self.rig, self.port = rig, free_port()
        self.uplink = f'[[uplink.http]]\nurl = "http://127.0.0.1:{self.port}/"\nformat = "json"\n' + COMMON

    def start(self):
        folder = self.rig.folder / "nginx"
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 1;\n"
            "events { worker_connections 256; }\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body; client_max_body_size 16m;\n"
            f"server {{ listen 127.0.0.1:{self.port}; location / {{ return 204; }} }} }}\n", encoding="utf-8")
        self.rig.start("target", "/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf")


class Kafka:
    delivery, more = "at-least-once", ""

    def __init__(self, rig):
        self.rig, self.port = rig, free_port()
        self.advertised = self.port
        self.uplink = (f'[[uplink.kafka]]\nbrokers = ["127.0.0.1:{self.port}"]\ndelivery = "{self.delivery}"\n{self.more}' + COMMON)

    def start(self):
        folder, controller = self.rig.folder / "kafka", free_port()
        folder.mkdir()
        properties = folder / "server.properties"
        properties.write_text(
            f"process.roles=broker,controller\nnode.id=1\nlog.dirs={folder}/data\nnum.partitions=4\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.advertised}\ncontroller.listener.names=CONTROLLER\n"
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\noffsets.topic.replication.factor=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n", encoding="utf-8")
        # What it unpacks of its libraries stays where it is killed.
        java = ["/usr/bin/java", "-Xmx1g", f"-Djava.io.tmpdir={folder}", "-cp", f"{kafka_jars(self.rig.build)}/*"]
        subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", str(properties)],
                       check=True, capture_output=True)
        self.rig.start("target", *java, "kafka.Kafka", properties)
        wait_until(lambda: accepts(self.port), "Kafka takes connections")


class KafkaOnce(Kafka):
    delivery = "exactly-once"


class KafkaBare(Kafka):
    more = "headers = false\n"


class KafkaOnceBare(KafkaOnce):
    more = "headers = false\n"


class KafkaAvro(Kafka):
    def __init__(self, rig):
        self.registry = FixedRegistry()
        self.more = f'format = "avro"\nschema_registry = {{ url = "http://127.0.0.1:{self.registry.server_port}" }}\n'
        super().__init__(rig)


class FixedRegistry(ThreadingHTTPServer):
    """A schema registry that knows whatever it is asked for as 7."""
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"id":7}')

        def log_message(self, *_):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        Thread(target=self.serve_forever, daemon=True).start()


class Postgresql:
    def __init__(self, rig):
        self.rig, self.port = rig, free_port()
        self.uplink = (f'[[uplink.postgresql]]\nurl = "postgresql://127.0.0.1:{self.port}/postgres"\n'
                       'username = "postgres"\n' + COMMON)

    def start(self, address="127.0.0.1", around=()):
        """`around`: the words of a program that the server runs in."""
        servers = Path("/usr/lib/postgresql").glob("*/bin/initdb")  # a version may have its clients alone there
        programs = max(servers, key=lambda path: int(path.parent.parent.name)).parent
        owner, folder = [], self.rig.folder / "postgresql"
        folder.mkdir()
        if os.geteuid() == 0:  # whom the server does not let
            self.rig.folder.chmod(0o755)
            shutil.chown(folder, "postgres", "postgres")
            owner = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]
        subprocess.run([*owner, programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                        "--no-locale"], check=True, capture_output=True)
        (folder / "data/pg_hba.conf").write_text("local all all trust\nhost all all all trust\n", encoding="utf-8")
        self.rig.start("target", *around, *owner, programs / "postgres", "-D", folder / "data", "-p", str(self.port),
                       "-c", f"listen_addresses={address}", "-k", folder)
        wait_until((folder / f".s.PGSQL.{self.port}").exists, "PostgreSQL takes connections")

    def ask(self, query):
        """By its socket, which is there for other network namespaces too."""
        command = ["psql", "-h", self.rig.folder / "postgresql", "-p", str(self.port), "-U", "postgres", "-At", "-c", query, "postgres"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class File:
    def __init__(self, rig):
        self.rig = rig
        self.there = rig.folder / "there"
        self.uplink = f'[[uplink.file]]\npath = "{self.there}/out.ndjson"\n' + COMMON

    def start(self):
        self.there.mkdir()


def kafka_jars(build):
    return Path(build).resolve().parent / "kafka-broker"


def measure(build, make_target, count):
    with Rig(build) as rig:
        target = make_target(rig)
        port = free_port()
        listener = LISTENER.format(port=port, sync="interval", each='each = "/readings"', topic="load", inflight=20000)
        daemon = rig.daemon(listener.replace("[buffer]\n", BUFFER, 1) + target.uplink)
        taken = load(rig, port, "--messages", count // BATCH, "--batch", BATCH)
        if not taken["complete"]:
            raise RuntimeError("the listener did not take all readings")
        target.start()
        wait_until(lambda: delivered(daemon) > 0, "the target takes readings", PATIENCE)
        began, first, before = time.monotonic(), delivered(daemon), daemon.cpu_seconds()
        wait_until(lambda: delivered(daemon) >= count, "everything is delivered", PATIENCE)
        seconds, cpu = time.monotonic() - began, daemon.cpu_seconds() - before
        return {"rate": (count - first) / seconds, "cpu_us": cpu / (count - first) * 1e6,
                "resident_mib": daemon.resident_bytes() / 1024 / 1024}


TARGETS = {"mqtt": Mqtt, "http": Http, "kafka": Kafka, "kafka-once": KafkaOnce, "kafka-bare": KafkaBare, "kafka-once-bare": KafkaOnceBare, "kafka-avro": KafkaAvro, "postgresql": Postgresql, "file": File}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--readings", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    arguments = parser.parse_args()
    count = arguments.readings // BATCH // 50 * 50 * BATCH  # the generator shares them out over 50 connections
    results = {}
    print(f"{'target':<16}{'readings/s':>12}{'CPU us':>9}{'RSS MiB':>9}")
    for name in arguments.only:
        if name.startswith("kafka") and not (kafka_jars(arguments.build) / "complete").exists():
            print(f"{name:<16} not measured: scripts/test-kafka fetches Apache Kafka")
            continue
        results[name] = [measure(arguments.build, TARGETS[name], count) for _ in range(arguments.rounds)]
        print(f"{name:<16}{median(results[name], 'rate'):>12.0f}{median(results[name], 'cpu_us'):>9.2f}"
              f"{median(results[name], 'resident_mib'):>9.1f}", flush=True)
    output = Path(arguments.build) / "drain.json"
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
