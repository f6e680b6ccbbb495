#!/usr/bin/env python3
"""Whether what the daemon has in use grows with what happens to it: one uplink at a time, which loses its connection or is refused as often as the code allows.

  tests/soak/cycles.py --build build/release [--cycles 200] [--only PART ...]

What is counted is the heap in use (heap_shim.cc), not resident memory, which swings more than a small leak: blocks and bytes, the least of
some seconds without a fault, at the beginning, in the middle and at the end. By the middle, what has an end is full: what streams keep in
memory, and the witnesses of dead letters. From there to the end GROWTH_MOST is allowed.
  kafka, kafka-once   a producer is refused, and with it made anew; exactly once also within a transaction
  postgresql, http, mqtt   each connection is reset by a proxy
  reload              uplinks and a driver are made anew by SIGHUP, one reload in two a wrong one
  admin               every address of the API, and a connection that says rubbish

Exits 1 when one grows. Root, for PostgreSQL.
"""
import argparse
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

for _folder in ("bench", "integration"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / _folder))
import mock_kafka  # noqa: E402
from drain import Postgresql  # noqa: E402
from gateway import Metrics  # noqa: E402
from heap_counts import HeapCounts  # noqa: E402
from proxy import Proxies  # noqa: E402
from rig import Rig, wait_until  # noqa: E402

GROWTH_MOST = 256 * 1024
GONE_ON = 30  # readings
BODY = """
[buffer]
size = "8MiB"
memory = "64KiB"
events_size = "1MiB"
alarms_size = "1MiB"

[[driver.simulator]]
name = "sim"
devices = 5
tags = 10
interval = "250ms"
"""
RETRY = 'retry_most = "1s"\nbatch = {{ max_delay = "50ms" }}\n'
API = ("/", "/metrics", "/api/v1/status", "/api/v1/readings/latest", "/api/v1/alarms", "/api/v1/records?stream=readings&limit=100", "/api/v1/deadletters", "/nothing")


class Part:
    """One configuration, and what happens to it. `uplink` has places for `port` and `timeout`."""
    uplink = ""

    def __init__(self, rig):
        self.rig, self.port = rig, 0

    def body(self, timeout=5):
        return BODY + self.uplink.format(port=self.port, timeout=timeout)

    def cycle(self, number):
        self.proxy.reset()

    def behind_proxy(self, port):
        self.proxy = Proxies().add("target", port)
        self.port = self.proxy.port


class KafkaPart(Part):
    delivery, uplink = "at-least-once", ""

    def __init__(self, rig):
        super().__init__(rig)
        self.cluster = mock_kafka.MockKafka({"cycles.readings": 4, "cycles.alarms": 4, "cycles.events": 4, "tidegate-cursors": 1})
        self.uplink = (f'[[uplink.kafka]]\nname = "up"\nbrokers = ["{self.cluster.address}"]\ntopic = "cycles.{{{{stream}}}}"\n'
                       f'delivery = "{self.delivery}"\n' + RETRY)

    def cycle(self, number):
        self.cluster.refuse(mock_kafka.PRODUCE, mock_kafka.NOT_AUTHORIZED_FOR_TOPIC)
        if number % 5 == 0:
            self.cluster.cut()


class KafkaOncePart(KafkaPart):
    delivery = "exactly-once"

    def cycle(self, number):
        if number % 2:
            return super().cycle(number)
        return self.cluster.refuse(mock_kafka.END_TRANSACTION, mock_kafka.NOT_AUTHORIZED_FOR_TRANSACTION)


class PostgresqlPart(Part):
    uplink = '[[uplink.postgresql]]\nname = "up"\nurl = "postgresql://127.0.0.1:{port}/postgres"\nusername = "postgres"\ntimeout = "{timeout}s"\n' + RETRY

    def __init__(self, rig):
        super().__init__(rig)
        server = Postgresql(rig)
        server.start()
        self.behind_proxy(server.port)


class Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802, the name is that of the library
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # a connection that is gone
        pass


class HttpPart(Part):
    uplink = '[[uplink.http]]\nname = "up"\nurl = "http://127.0.0.1:{port}/"\ntimeout = "{timeout}s"\n' + RETRY

    def __init__(self, rig):
        super().__init__(rig)
        self.server = Receiver(("127.0.0.1", 0), Taker)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.behind_proxy(self.server.server_port)


class MqttPart(Part):
    uplink = '[[uplink.mqtt]]\nname = "up"\nbroker = "mqtt://127.0.0.1:{port}"\nprotocol = "5"\nkeep_alive = "{timeout}s"\nreconnect_most = "1s"\n' + RETRY

    def __init__(self, rig):
        super().__init__(rig)
        self.behind_proxy(rig.broker("hub").port)


class ReloadPart(MqttPart):
    uplink = (MqttPart.uplink + '[[driver.mqtt]]\nname = "in"\nbroker = "mqtt://127.0.0.1:{port}"\nkeep_alive = "{timeout}s"\n'
              '  [[driver.mqtt.subscribe]]\n  topic = "in/{{device}}/{{tag}}"\n  value = "/value"\n')

    def cycle(self, number):
        file = self.rig.folder / "tidegate.toml"
        head = file.read_text(encoding="utf-8").split("\n[buffer]", 1)[0]
        wrong = "[[uplink.mqtt]]\nname = 5\n" if number % 2 else ""
        file.write_text(head + self.body(5 + number // 2 % 2) + wrong, encoding="utf-8")
        self.daemon.process.send_signal(signal.SIGHUP)
        while b"READY=1" not in self.notices.recv(4096):
            pass

    def follow(self, daemon):
        """The rig has heard that the daemon is ready; it goes on to say that it has reloaded."""
        self.daemon, self.notices = daemon, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        (self.rig.folder / "notify.sock").unlink()
        self.notices.bind(str(self.rig.folder / "notify.sock"))
        self.notices.settimeout(60)


class AdminPart(HttpPart):
    def follow(self, daemon):
        self.daemon = daemon

    def cycle(self, number):
        for path in API:
            try:
                with urlopen(f"http://127.0.0.1:{self.daemon.admin}{path}", timeout=30) as reply:
                    reply.read()
            except HTTPError as error:
                error.read()
        with socket.create_connection(("127.0.0.1", self.daemon.admin)) as connection:
            connection.sendall(os.urandom(300))


PARTS = {"kafka": KafkaPart, "kafka-once": KafkaOncePart, "postgresql": PostgresqlPart, "http": HttpPart, "mqtt": MqttPart,
         "reload": ReloadPart, "admin": AdminPart}


class Run:
    def __init__(self, rig, part, build):
        self.counts = HeapCounts(build, rig.folder)
        self.part = part
        self.daemon = rig.daemon(part.body(), self.counts.environment)
        if hasattr(part, "follow"):
            part.follow(self.daemon)

    def sum(self, name):
        with urlopen(f"http://127.0.0.1:{self.daemon.admin}/metrics", timeout=30) as reply:
            return Metrics(reply.read().decode()).sum(name)

    def wait_for_more(self, count):
        before = self.sum("tidegate_readings_delivered_total")
        wait_until(lambda: self.sum("tidegate_readings_delivered_total") > before + count, "readings are delivered", 120)

    def look(self):
        """(bytes, blocks) with nothing but the usual on its way."""
        wait_until(lambda: self.sum("tidegate_uplink_backlog_readings") < 100, "the backlog is gone", 120)
        return self.counts.least()

    def run(self, cycles):
        """What was in use at the beginning, in the middle and at the end."""
        self.wait_for_more(300)
        looks = [self.look()]
        for number in range(1, cycles + 1):
            self.part.cycle(number)
            self.wait_for_more(GONE_ON)
            if number in (cycles // 2, cycles):
                looks.append(self.look())
        return looks


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    growing = []
    for name in arguments.only:
        with Rig(arguments.build) as rig:
            looks = Run(rig, PARTS[name](rig), arguments.build).run(arguments.cycles)
        growth = looks[2][0] - looks[1][0]
        growing += [name] if growth > GROWTH_MOST else []
        print(f"{name:12}" + ",".join(f" {size / 1024:6.0f} KiB in {blocks:5}" for size, blocks in looks) + f"; second half {growth / 1024:+.0f} KiB", flush=True)
    print(f"growing: {', '.join(growing) or 'none'}")
    return 1 if growing else 0


if __name__ == "__main__":
    sys.exit(main())
