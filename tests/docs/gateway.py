"""A daemon with something of every part, beside a simulated Modbus device; nothing that it sends to is there."""
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

PATIENCE_SECONDS = 60

CONFIGURATION = """
[gateway]
id = "plant-7"
data_dir = "{folder}/data"
admin = "127.0.0.1:{admin}"
[[driver.mqtt]]
name = "local"
broker = "mqtt://127.0.0.1:{nobody}"
  [[driver.mqtt.subscribe]]
  topic = "plant/{{device}}/{{tag}}"
[[driver.mqtt_listener]]
name = "direct"
listen = "127.0.0.1:{listener}"
  [[driver.mqtt_listener.subscribe]]
  topic = "hall/{{device}}/{{tag}}"
  value = "/value"
  time = "/ts"
[[driver.modbus]]
name = "line-1"
url = "tcp://127.0.0.1:{modbus}"
timeout = "100ms"
  [[driver.modbus.device]]
  name = "boiler"
  interval = "100ms"
  tags = [{{ name = "temp", address = "holding:100", deadband = 60000 }}]
  [[driver.modbus.device]]
  name = "silent"
  unit = 9
  tags = [{{ name = "temp", address = "holding:100" }}]
[[driver.simulator]]
name = "sim"
interval = "100ms"
[[rule]]
name = "high"
type = "threshold"
tags = ["sim-1/tag-1"]
raise = "> -1000000"
severity = "critical"
[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:{nobody}"
format = "sparkplug"
sparkplug = {{ group = "plant", commands = true }}
[[uplink.kafka]]
name = "fleet"
brokers = ["127.0.0.1:{nobody}"]
[[uplink.postgresql]]
name = "lake-db"
url = "postgresql://127.0.0.1:{nobody}/plant"
username = "gateway"
[[uplink.http]]
name = "lake"
url = "http://127.0.0.1:{nobody}/"
windows = ["00:00-00:01"]
[[uplink.file]]
name = "export"
path = "{folder}/{{stream}}.ndjson"
tags = ["sim-1/*"]
"""


def free_ports(count: int) -> list:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_until(is_so, what):
    """The daemon's own state is waited for, never a time. `what` says what is missing, when it is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {PATIENCE_SECONDS} s: {what()}")
        time.sleep(0.05)


class Gateway:
    def __init__(self, program: str, folder: Path):
        self.admin, nobody, listener, modbus = free_ports(4)
        configuration = folder / "tidegate.toml"
        configuration.write_text(CONFIGURATION.format(folder=folder, admin=self.admin, nobody=nobody, listener=listener,
                                                      modbus=modbus), encoding="utf-8")
        self.listener = listener
        self.log = folder / "log"
        self.processes = [self._start(program, "simulate", "modbus", "--listen", f"127.0.0.1:{modbus}"),
                          self._start(program, "run", "--config", configuration)]

    def _start(self, *command) -> subprocess.Popen:
        with self.log.open("a", encoding="utf-8") as log:
            return subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        """Both are gone afterwards; one that does not end by itself is a mistake."""
        late = []
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(timeout=PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                late.append(process.args)
                process.kill()
                process.wait()
        if late:
            raise AssertionError(f"not ended within {PATIENCE_SECONDS} s: {late}")

    def publish(self, topic: str, payload: str):
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.listener), "-q", "1", "-t", topic, "-m", payload],
                       check=True)

    def metrics(self) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def wait_for_something_of_everything(self):
        wait_until(lambda: "tidegate_build_info" in self.metrics(), lambda: f"an answer\n{self.log.read_text()}")
        self.publish("hall/pump/flow", '{"value":1,"ts":"never"}')
        self.publish("elsewhere", "1")
        for wanted in ('tidegate_modbus_requests_total{driver="line-1",device="silent",result="timeout"}',
                       'tidegate_driver_remarked_total{driver="direct",reason="bad_time"} 1',
                       'tidegate_driver_refused_total{driver="direct",reason="no_such_topic"} 1',
                       'tidegate_readings_left_out_total{reason="deadband"}',
                       'tidegate_alarms_active{severity="critical"} 1',
                       'tidegate_device_up{driver="line-1",device="boiler"} 1'):
            wait_until(lambda wanted=wanted: wanted in self.metrics(),
                       lambda wanted=wanted: f"{wanted}\n{self.metrics()}\n{self.log.read_text()}")
