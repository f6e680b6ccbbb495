"""Where the gateway sends to, and what arrives there."""
import json
import subprocess
import sys
import threading
from pathlib import Path

import paho.mqtt.client as mqtt

from drain import Kafka, Postgresql, kafka_jars
from kafka_reader import read
from rig import die_with_parent, free_port, wait_until, accepts
from seen import Arrivals
from server import Server, again
from sparkplug_node import Node

HERE = Path(__file__).resolve().parent


def broker(rig, name):
    process = rig.broker(name, f"persistence true\npersistence_location {rig.folder}/\npersistence_file {name}.db\nmax_inflight_messages 100\n")
    server = Server(name, process, again(rig, process))
    server.port = process.port
    return server


class BrokerReceiver:
    """A subscriber whose session its broker keeps while either of them is away."""

    def __init__(self, port, uplinks):
        """`uplinks`: by the first level of a topic, who takes what comes there."""
        self.uplinks, self.last = uplinks, {}
        self.client = mqtt.Client("receiver", clean_session=False)
        self.client.reconnect_delay_set(1, 2)
        self.is_ready = threading.Event()
        self.client.on_connect = lambda *_: self.client.subscribe([(f"{first}/#", 1) for first in uplinks])
        self.client.on_subscribe = lambda *_: self.is_ready.set()
        self.client.on_message = lambda _client, _data, message: self.take(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.is_ready.wait(30)

    def take(self, message):
        first = message.topic.split("/", 1)[0]
        # What the broker had no acknowledgement of comes once more when it is back; that is between these two.
        recent, identity = self.last.setdefault(first, {}), (message.topic, hash(message.payload))
        if message.dup and identity in recent:
            return
        recent[identity] = True
        if len(recent) > 1000:
            del recent[next(iter(recent))]
        self.uplinks[first](message)

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()


class SparkplugHost(Node):
    """Notes the sequences beside what a Node looks at."""

    def __init__(self, arrivals):
        super().__init__()
        self.arrivals = arrivals

    def take_message(self, message):
        with self.arrivals.lock:
            self.take(message.topic, message.payload)
            while self.complaints:
                self.arrivals.complain(self.complaints.pop(0))

    def take_entry(self, name, metric):
        batch, seq = self.batch, metric.properties.get("seq")
        if seq is not None:
            self.arrivals.take(batch["stream"], batch["epoch"], seq)
        return super().take_entry(name, metric)


class HttpReceiver(Server):
    """http_receiver.py as a process, and a thread that takes what it says."""

    def __init__(self, rig, name, arrivals, take):
        self.rig, self.port, self.arrivals, self.take = rig, free_port(), arrivals, take
        super().__init__(name, self.launch(), self.launch)
        wait_until(lambda: accepts(self.port), f"{name} takes connections")

    def launch(self):
        with open(self.rig.folder / f"{self.arrivals.name}.log", "ab") as log:
            process = subprocess.Popen([sys.executable, "-B", HERE / "http_receiver.py", str(self.port)], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=log, preexec_fn=die_with_parent)
        threading.Thread(target=self.run, args=(process.stdout,), daemon=True).start()
        return Piped(process)

    def run(self, lines):
        for line in lines:
            if not line.endswith(b"\n"):
                continue  # killed while it said so, and before it answered
            head, body = line.split(b"\t", 1)
            stream, epoch, first, last = json.loads(head)
            self.take(stream, int(epoch), int(first), int(last), body)


class Piped:
    def __init__(self, process):
        self.process, self.pid = process, process.pid


def take_json(arrivals):
    def take(_stream, _epoch, _first, _last, body):
        arrivals.take_batch(json.loads(body))
    return take


def take_lines(arrivals):
    """Line protocol has no sequences: the headers say which stretch, and it has to have as many lines."""
    def take(stream, epoch, first, last, body):
        with arrivals.lock:
            if int(body) != last - first + 1:
                arrivals.complain(f"{stream} {first} to {last} came as {int(body)} lines")
            arrivals.take_stretch(stream, epoch, first, last)
    return take


class FileCollector:
    """Takes the files that are finished, as whoever collects them would; what is still being written, when asked to."""

    def __init__(self, folder, arrivals):
        self.folder, self.arrivals, self.files, self.events = Path(folder), arrivals, 0, {}
        self.gaps = []

    def collect(self):
        for path in sorted(self.folder.glob("*.ndjson")):
            self.take(path)
            path.unlink()
            self.files += 1

    def take_open_files(self):
        """What is read here is read once more when it is finished, which is no repeat."""
        before = self.arrivals.repeats
        for path in sorted(self.folder.glob("*.part")):
            self.take(path)
        self.arrivals.repeats = before

    def take(self, path):
        with self.arrivals.lock, open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    self.take_line(json.loads(line), path)

    def take_line(self, record, path):
        stream = path.name.split(".")[0]
        if stream == "readings":
            self.arrivals.take_reading(record["epoch"], record["seq"], record["tag"], record["value"])
        elif self.arrivals.take(stream, record.get("log_epoch", record["epoch"]), record["seq"]) and stream == "events":
            self.take_event(record)

    def take_event(self, event):
        self.events[event["event"]] = self.events.get(event["event"], 0) + 1
        if event["event"] in ("gap", "log-refused", "queue-damaged", "queue-set-aside"):
            self.gaps.append(json.dumps(event)[:300])


class Table(Postgresql):
    def start_server(self, name="table"):
        super().start()
        process = self.rig.processes[-1]
        return Server(name, process, again(self.rig, process))

    def account(self, stream):
        """(rows, different records, least and greatest sequence) of a table."""
        answer = self.ask(f"select count(*), count(distinct (epoch, seq)), coalesce(min(seq), 0), coalesce(max(seq), 0) from tidegate_{stream}")
        return list(map(int, answer.split("|")))

    def numbers(self):
        """By tag of a sensor that counts, how many different numbers are there."""
        answer = self.ask("select tag, count(distinct value_int) from tidegate_readings where tag like 'counted-%' group by tag")
        return {tag: int(count) for tag, count in (line.split("|") for line in answer.splitlines())}


class Fleet(Kafka):
    """Apache Kafka behind a proxy, which it names as its own address."""

    PARTITIONS = 4

    def start_server(self):
        super().start()
        process = self.rig.processes[-1]
        return Server("kafka", process, again(self.rig, process))

    def take_all(self, arrivals):
        for stream in Arrivals.STREAMS:
            for value in read(self.port, f"soak.{stream}", self.PARTITIONS):
                record = json.loads(value)
                if stream == "readings":
                    arrivals.take_reading(record["epoch"], record["seq"], record["tag"], record["value"])
                else:
                    arrivals.take(stream, record.get("log_epoch", record["epoch"]), record["seq"])

    @staticmethod
    def is_there(build):
        return (kafka_jars(build) / "complete").exists()
