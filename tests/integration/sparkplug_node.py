"""What a Sparkplug host of our own makes of the messages of one edge node; it knows nothing of the gateway's code."""
import json


def fields(data):
    """(number, value) of each field of a protobuf message; what has a length as bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        length = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        yield key >> 3, data[at:at + length]
        at += length


class Metric:
    def __init__(self, data):
        self.name = self.alias = self.value = None
        self.is_historical, self.properties = False, {}
        for number, value in fields(data):
            if number == 1:
                self.name = value.decode()
            elif number == 2:
                self.alias = value
            elif number == 5:
                self.is_historical = bool(value)
            elif number == 9:
                keys = [text.decode() for field, text in fields(value) if field == 1]
                values = [dict(fields(one)) for field, one in fields(value) if field == 2]
                self.properties = {key: one.get(3, one.get(4, one.get(8))) for key, one in zip(keys, values)}
            elif number in (10, 11):
                self.value = value
            elif number == 15:
                self.value = value.decode()


class Node:
    """Its take() gives the values of readings; what is wrong stands in `complaints`."""

    def __init__(self):
        self.complaints, self.aliases, self.batch = [], {}, None
        self.is_alive, self.next_seq, self.bd_seq, self.next_from = False, 0, None, None
        self.births, self.historical = 0, 0

    def complain(self, text):
        if len(self.complaints) < 20:
            self.complaints.append(text)

    def take(self, topic, payload):
        _, _, kind, _, *device = topic.split("/")
        parts = list(fields(payload))
        metrics = [Metric(value) for number, value in parts if number == 2]
        if kind == "NDEATH":
            self.is_alive = self.is_alive and self.bd_seq != self.bd_seq_of(metrics)
            return []
        if kind.endswith("CMD"):
            return []
        self.look_at_seq(kind, dict(parts).get(3))
        if kind.endswith("BIRTH"):
            self.take_birth(kind, metrics, device)
            return []
        if not self.is_alive:
            self.complain(f"{kind} before NBIRTH")
        return [number for metric in metrics for number in self.take_data(kind, metric, device)]

    def bd_seq_of(self, metrics):
        return next((metric.value for metric in metrics if metric.name == "bdSeq"), None)

    def look_at_seq(self, kind, seq):
        expected = 0 if kind == "NBIRTH" else self.next_seq
        if seq != expected:
            self.complain(f"{kind} has seq {seq} and not {expected}")
        self.next_seq = ((seq or 0) + 1) % 256

    def take_birth(self, kind, metrics, device):
        if kind == "NBIRTH":
            self.aliases, self.batch, self.is_alive = {}, None, True
            self.bd_seq = self.bd_seq_of(metrics)
            self.births += 1
        elif not self.is_alive:
            self.complain("DBIRTH before NBIRTH")
        self.aliases.update({metric.alias: (*device, metric.name) for metric in metrics if metric.alias is not None})

    def take_data(self, kind, metric, device):
        """The values that are readings."""
        name = self.aliases.get(metric.alias)
        if name is None or list(name[:-1]) != device:
            self.complain(f"{kind} with alias {metric.alias}, which is {name}")
        elif name[-1] == "Tidegate/Batch":
            self.begin_batch(json.loads(metric.value))
        elif self.batch is None:
            self.complain(f"{name}: an entry of no batch")
        else:
            return self.take_entry(name, metric)
        return []

    def begin_batch(self, head):
        if self.batch is not None:
            self.complain(f"{self.batch['open']} entries are missing of {self.batch}")
        if head["stream"] == "readings":
            if self.next_from is not None and head["from"] > self.next_from:
                self.complain(f"a hole before {head}: nothing answers for {self.next_from}")
            self.next_from = max(self.next_from or 0, head["to"] + 1)
        self.batch = {**head, "open": head["count"]} if head["count"] else None

    def take_entry(self, name, metric):
        batch, seq = self.batch, metric.properties.get("seq")
        if seq is None or not batch["from"] <= seq <= batch["to"]:
            self.complain(f"{name}: seq {seq} is not of {batch}")
        if metric.is_historical != batch["historical"]:
            self.complain(f"{name}: is_historical is not as in {batch}")
        self.historical += metric.is_historical
        batch["open"] -= 1
        if batch["open"] == 0:
            self.batch = None
        return [metric.value] if batch["stream"] == "readings" else []
