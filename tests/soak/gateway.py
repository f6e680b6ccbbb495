"""The daemon of a soak: its configuration, with what a reload changes, and what it says and takes."""
import re
import signal
import socket
import threading
from pathlib import Path
from urllib.request import urlopen

BODY = """
[buffer]
size = "8MiB"
memory = "64KiB"                     # what a stream keeps of its newest is full within the warm-up then, of alarms too, some 45 a minute
events_size = "1MiB"
alarms_size = "1MiB"

[[driver.mqtt]]
name = "written"
broker = "mqtt://127.0.0.1:{source}"
keep_alive = "5s"
reconnect_most = "2s"
connect_timeout = "{connect_timeout}"
automatic_tags_max = 100
  [[driver.mqtt.subscribe]]
  topic = "written/{{device}}/{{tag}}"
  value = "/value"
  time = "/ts"

[[driver.mqtt]]
name = "durable"
broker = "mqtt://127.0.0.1:{durable}"
ack = "durable"
keep_alive = "5s"
reconnect_most = "2s"
automatic_tags_max = 100
  [[driver.mqtt.subscribe]]
  topic = "durable/{{device}}/{{tag}}"
  value = "/value"
  time = "/ts"

[[driver.mqtt]]
name = "nodes"
broker = "mqtt://127.0.0.1:{source}"
keep_alive = "5s"
reconnect_most = "2s"
automatic_tags_max = 100
  [[driver.mqtt.subscribe]]
  topic = "spBv1.0/soak/#"
  payload = "sparkplug"

[[driver.mqtt_listener]]
name = "direct"
listen = "127.0.0.1:{listener}"
inflight_max = {inflight_max}
  [[driver.mqtt_listener.subscribe]]
  topic = "direct/{{device}}/{{tag}}"
  value = "/value"
  time = "/ts"

[[driver.modbus]]
name = "line"
url = "tcp://127.0.0.1:{modbus}"
timeout = "300ms"
backoff_most = "2s"
  [[driver.modbus.device]]
  name = "boiler"
  unit = 1
  interval = "{interval}"
  tags = [
{boiler}  ]
  [[driver.modbus.device]]
  name = "pump"
  unit = 2
  interval = "500ms"
  tags = [ {{ name = "flow", address = "input:2", type = "float32" }}, {{ name = "fault", address = "discrete:0" }} ]

[[driver.modbus]]
name = "bus"
url = "rtu://{serial}?baud=19200&parity=none"
timeout = "300ms"
backoff_most = "2s"
  [[driver.modbus.device]]
  name = "meter"
  unit = 1
  interval = "1s"
  tags = [
{meter}  ]

[[driver.simulator]]
name = "sim"
devices = 2
tags = 5
interval = "1s"

[[rule]]
name = "high"
type = "threshold"
tags = ["sim-*/tag-1", "meter/r2"]
raise = "> {level}"
clear = "< 20"

[[rule]]
name = "half"
type = "threshold"
tags = ["sim-*/tag-*"]
raise = "> 55"
clear = "< 45"

[[rule]]
name = "most"
type = "threshold"
tags = ["sim-*/tag-*"]
raise = "> 70"
clear = "< 30"

[[rule]]
name = "odd"
type = "anomaly"
tags = ["sim-*/tag-*", "boiler/*"]
sensitivity = 3.0
warmup = 60

[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:{cloud}"
keep_alive = "{keep_alive}"
reconnect_most = "2s"
retry_most = "2s"

[[uplink.mqtt]]
name = "cloud5"
broker = "mqtt://127.0.0.1:{cloud5}"
protocol = "5"
order = "live-first"
keep_alive = "5s"
reconnect_most = "2s"
retry_most = "2s"

[[uplink.mqtt]]
name = "scada"
broker = "mqtt://127.0.0.1:{scada}"
format = "sparkplug"
sparkplug = {{ group = "works" }}
keep_alive = "5s"
reconnect_most = "2s"
retry_most = "2s"

[[uplink.http]]
name = "lake"
url = "http://127.0.0.1:{lake}/json"
compression = "none"
timeout = "5s"
retry_most = "2s"
batch = {{ max_delay = "{max_delay}" }}

[[uplink.http]]
name = "influx"
url = "http://127.0.0.1:{influx}/write"
format = "influx"
timeout = "5s"
retry_most = "2s"

[[uplink.file]]
name = "export"
path = "{export}/{{stream}}.ndjson"
rotate_size = "{rotate_size}"
part_suffix = ".part"

[[uplink.postgresql]]
name = "table"
url = "postgresql://127.0.0.1:{table}/postgres"
username = "postgres"
timeout = "{table_timeout}"
retry_most = "2s"
"""

KAFKA = """
[[uplink.kafka]]
name = "fleet"
brokers = ["127.0.0.1:{fleet}"]
topic = "soak.{{stream}}"
delivery = "exactly-once"
compression = "{compression}"
retry_most = "2s"
"""

EXTRA = """
[[driver.simulator]]
name = "extra"
interval = "1s"
[[rule]]
name = "extra-high"
type = "threshold"
tags = ["extra-*/tag-*"]
raise = "> 0"
"""

USUAL = {"connect_timeout": "10s", "inflight_max": "1000", "interval": "1s", "level": "30", "keep_alive": "5s", "max_delay": "1s",
         "rotate_size": "1MiB", "table_timeout": "5s", "compression": "none"}
# What a reload may change: one of each kind of driver and uplink begins anew, a rule is another one, and more come and go.
OTHER = {"connect_timeout": "9s", "inflight_max": "900", "interval": "500ms", "level": "31", "keep_alive": "6s", "max_delay": "500ms",
         "rotate_size": "512KiB", "table_timeout": "6s", "compression": "lz4", "extra": EXTRA, "wrong": "\n[[uplink.mqtt]]\nname = 5\n"}


def registers(table, kind, step, count):
    return "".join(f'    {{ name = "r{i}", address = "{table}:{i * step}", type = "{kind}" }},\n' for i in range(1, count + 1))


def drivers_gone(text):
    """The same configuration without sources: what is in the log can be told to the last record then."""
    return re.sub(r"\[\[driver\..*?(?=\n\[\[(?:rule|uplink)|\Z)", "", text, flags=re.S)


class Gateway:
    def __init__(self, rig, places, has_kafka, environment=None):
        self.places, self.has_kafka, self.changes = places, has_kafka, {}
        self.uplinks = ["cloud", "cloud5", "scada", "lake", "influx", "export", "table"] + (["fleet"] if has_kafka else [])
        self.pools = {places[name] for name in ("lake", "influx", "fleet") if name in places}
        self.daemon = rig.daemon(self.body(), environment)
        self.pid, self.file = self.daemon.pid, rig.folder / "tidegate.toml"
        self.head = self.file.read_text(encoding="utf-8").split("\n[buffer]", 1)[0]
        self.reloads = 0
        # The rig has heard that the daemon is ready; it goes on to say that it reloads.
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        (rig.folder / "notify.sock").unlink()
        self.notices.bind(str(rig.folder / "notify.sock"))
        threading.Thread(target=self.hear, daemon=True).start()

    def hear(self):
        while self.notices.recv(4096):
            pass

    def body(self):
        values = {**self.places, **USUAL, **self.changes, "boiler": registers("holding", "float32", 2, 12),
                  "meter": registers("holding", "int16", 1, 10)}
        text = (BODY + (KAFKA if self.has_kafka else "")).format(**values)
        return text + self.changes.get("extra", "") + self.changes.get("wrong", "")

    def change(self, names, is_other):
        """Has these of OTHER be so, or no more, by SIGHUP."""
        for name in names:
            if is_other:
                self.changes[name] = OTHER[name]
            else:
                self.changes.pop(name, None)
        self.reload(self.body())

    def reload(self, body):
        self.file.write_text(self.head + body, encoding="utf-8")
        self.reloads += 1
        self.daemon.process.send_signal(signal.SIGHUP)

    def end_sources(self):
        self.reload(drivers_gone(self.body()))

    def get(self, path):
        with urlopen(f"http://127.0.0.1:{self.daemon.admin}{path}", timeout=30) as reply:
            return reply.read().decode()

    def metrics(self):
        return Metrics(self.get("/metrics"))

    def is_running(self):
        return self.daemon.process.poll() is None


class Metrics:
    def __init__(self, text):
        self.samples = [(match[1], match[2] or "", float(match[3])) for match in re.finditer(r"^(\w+)(\{.*\})? (\S+)$", text, re.M)]

    def sum(self, name, *labels):
        return sum(value for found, places, value in self.samples if found == name and all(label in places for label in labels))

    def mismatches(self):
        return [places for name, places, value in self.samples if name == "tidegate_uplink_account_mismatch" and value != 0]


def kibibytes(path, wanted):
    found = {}
    for line in Path(path).read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name in wanted:
            found[wanted[name]] = int(rest.split()[0])
    return found


def peers(pid):
    """The port at the other end, by the inode of the socket."""
    found = {}
    for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        found[f"socket:[{words[9]}]"] = int(words[2].split(":")[1], 16)
    return found


PASSING = ("/data/log/", "/export/")


def descriptors(pid, pools):
    """How many there are, and of which kind. `pooled` are connections to these ports, of which a client holds as many as it had use for of late;
    `passing` are files of the log and of the file uplink, which are open while something is read from or written to them; `steady` are all others."""
    counts, ports = {"descriptors": 0, "steady": 0, "pooled": 0, "passing": 0}, peers(pid)
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        kind = "pooled" if ports.get(target) in pools else "passing" if any(part in target for part in PASSING) else "steady"
        counts["descriptors"] += 1
        counts[kind] += 1
    return counts


def anonymous_parts(pid):
    """Anonymous memory by where it is: the heap of the main thread, what is mapped without a name (heaps and stacks of other threads), the rest."""
    parts, at = {"heap_kib": 0, "mapped_kib": 0, "other_kib": 0}, "other_kib"
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            at = "mapped_kib" if len(words) < 6 else "heap_kib" if words[5] == "[heap]" else "other_kib"
        elif words[0] == "Anonymous:":
            parts[at] += int(words[1])
    return parts


def taken(pid, pools):
    """What the process takes of the machine."""
    sample = kibibytes(f"/proc/{pid}/status", {"VmRSS": "rss_kib", "Threads": "threads", "VmHWM": "rss_most_kib"})
    sample |= kibibytes(f"/proc/{pid}/smaps_rollup", {"Pss": "pss_kib", "Anonymous": "anonymous_kib"})
    sample |= kibibytes(f"/proc/{pid}/io", {"write_bytes": "written_bytes"})
    return sample | anonymous_parts(pid) | descriptors(pid, pools)
