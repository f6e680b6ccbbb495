"""What the gateway reads: sensors that count, Sparkplug nodes, Modbus devices over TCP and over a serial line, and rubbish."""
import collections
import json
import os
import pty
import select
import socket
import threading
import time
import tty

import paho.mqtt.client as mqtt

from rig import accepts, free_port, wait_until
from seen import Bits
from server import Server, again


def client_of(name, port, clean=True):
    client = mqtt.Client(name, clean_session=clean)
    client.max_inflight_messages_set(500)
    client.reconnect_delay_set(1, 2)
    client.connect("127.0.0.1", port, keepalive=10)
    return client


class Sensors:
    """Publishes by one connection, a tag after the other, values that count from 0; knows which of them were acknowledged."""

    def __init__(self, name, port, tags, rate):
        self.name = name
        self.tags = [f"counted-{name}/value-{i}" for i in range(tags)]
        self.rate, self.sent, self.acknowledged = rate, [0] * tags, {tag: Bits() for tag in self.tags}
        self.open, self.ended, self.is_over = {}, collections.deque(), threading.Event()
        self.client = client_of(f"sensors-{name}", port)
        self.client.on_publish = lambda _client, _data, mid: self.ended.append(mid)
        self.client.loop_start()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        due, turn = time.monotonic(), 0
        while not self.is_over.is_set():
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            self.is_over.wait(max(0, due - time.monotonic()))
            self.publish(turn % len(self.tags))
            self.note_ended()
            turn += 1

    def publish(self, at):
        tag, number = self.tags[at], self.sent[at]
        message = self.client.publish(f"{self.name}/{tag}", json.dumps({"ts": int(time.time() * 1000), "value": number}), qos=1)
        self.open[message.mid] = (tag, number)
        self.sent[at] = number + 1

    def note_ended(self):
        while self.ended:
            tag, number = self.open.pop(self.ended.popleft())
            self.acknowledged[tag].add(number)

    def end(self, patience):
        """Publishes no more, and returns when all is acknowledged."""
        self.is_over.set()
        self.thread.join()

        def is_done():
            self.note_ended()
            return not self.open
        wait_until(is_done, "what the sensors have published is acknowledged", patience)

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


class SparkplugNode:
    """An edge node with one device, by QoS 0 as the specification has it; born anew whenever it comes back or is asked."""

    METRICS = 10

    def __init__(self, number, port, interval=1.0):
        self.name, self.seq, self.births, self.is_born = f"node-{number}", 0, 0, False
        self.value, self.is_over = 0, threading.Event()
        self.client = mqtt.Client(f"sparkplug-{self.name}")
        self.client.reconnect_delay_set(1, 2)
        self.client.on_connect = self.come
        self.client.on_disconnect = self.go
        self.client.on_message = lambda *_: self.birth()
        self.go()
        self.client.connect("127.0.0.1", port, keepalive=10)
        self.client.loop_start()
        threading.Thread(target=self.run, args=(interval,), daemon=True).start()

    def topic(self, kind, *device):
        return "/".join(("spBv1.0", "soak", kind, self.name, *device))

    def metric(self, name, alias, value):
        parts = [field(1, name.encode())] if name else []
        parts += [field(2, alias)] if alias else []
        return field(2, b"".join([*parts, field(3, int(time.time() * 1000)), field(4, 4), field(11, value)]))

    def payload(self, metrics, seq=None):
        return field(1, int(time.time() * 1000)) + b"".join(metrics) + (b"" if seq is None else field(3, seq))

    def publish(self, kind, metrics, *device):
        self.client.publish(self.topic(kind, *device), self.payload(metrics, self.seq))
        self.seq = (self.seq + 1) % 256

    def death(self):
        return self.payload([self.metric("bdSeq", None, self.births % 256)])

    def go(self, *_):
        self.is_born = False
        self.births += 1
        self.client.will_set(self.topic("NDEATH"), self.death(), qos=1)

    def come(self, *_):
        self.client.subscribe(self.topic("NCMD"), 1)
        self.birth()

    def birth(self):
        self.is_born, self.seq = False, 0
        control = field(2, field(1, b"Node Control/Rebirth") + field(4, 11) + field(14, 0))
        self.publish("NBIRTH", [self.metric("bdSeq", None, self.births % 256), control])
        self.publish("DBIRTH", [self.metric(f"m{i}", i + 1, self.value) for i in range(self.METRICS)], "press")
        self.is_born = True

    def run(self, interval):
        while not self.is_over.wait(interval):
            self.value += 1
            if self.is_born:
                self.publish("DDATA", [self.metric(None, i + 1, self.value) for i in range(self.METRICS)], "press")

    def end(self):
        self.is_over.set()
        self.client.disconnect()
        self.client.loop_stop()


class SerialLine:
    """Two pseudo-terminals, joined; what is said at one of them is heard at the other, with noise when that is asked for."""

    def __init__(self):
        self.masters, self.held, self.paths = [], [], []
        for _ in range(2):
            master, slave = pty.openpty()
            tty.setraw(slave)
            self.masters.append(master)
            self.held.append(slave)
            self.paths.append(os.ttyname(slave))
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        while True:
            ready, _, _ = select.select(self.masters, [], [])
            for master in ready:
                other = self.masters[1 - self.masters.index(master)]
                os.write(other, os.read(master, 512))

    def noise(self, chance):
        for master in self.masters:
            os.write(master, bytes(chance.randrange(256) for _ in range(chance.randrange(1, 40))))


class ModbusDevices:
    """`tidegate simulate modbus`, at a port or a serial line."""

    def __init__(self, rig, name, program, serial=None):
        self.port = None if serial else free_port()
        place = ["--serial", serial, "--units", "1"] if serial else ["--listen", f"127.0.0.1:{self.port}", "--units", "1,2"]
        process = rig.start(name, program, "simulate", "modbus", *place)
        wait_until(lambda: process.says("ing on"), f"{name} answers")
        self.server = Server(name, process, again(rig, process))


def rubbish(chance):
    """A payload that no subscription can make much of."""
    return chance.choice([
        lambda: b"", lambda: b"{", lambda: b"null", lambda: b'{"ts":"x","value":[]}', lambda: b'{"value":1e999}', lambda: b"[" * 3000,
        lambda: chance.randbytes(chance.randrange(1, 2000)), lambda: b'{"ts":9e18,"value":{}}', lambda: b'{"value":"' + b"\xff" * 50 + b'"}',
        lambda: b'{"value":"' + b"x" * 90000 + b'"}', lambda: b'{"value":' + b"9" * 400 + b"}",
    ])()


def throw_rubbish(ports, chance, count=60):
    """At brokers and listeners: among topics whose number does not grow, and bytes that are no MQTT at all."""
    for port in ports:
        if not accepts(port):
            continue
        client = mqtt.Client(f"rubbish-{chance.randrange(3)}")
        client.connect("127.0.0.1", port)
        client.loop_start()
        for _ in range(count):
            driver = chance.choice(["written", "durable", "direct"])
            place = chance.choice([f"{driver}/odd-{driver}-{chance.randrange(5)}/x", f"spBv1.0/soak/DDATA/odd-{chance.randrange(3)}/x",
                                   "spBv1.0/soak/NBIRTH/odd", f"{driver}/a/b/c/d"])
            client.publish(place, rubbish(chance), qos=chance.randrange(2))
        client.disconnect()
        client.loop_stop()
    throw_bytes(ports[-1], chance)


def throw_bytes(port, chance):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as line:
            line.sendall(chance.randbytes(chance.randrange(1, 3000)))
    except OSError:
        pass
