#!/usr/bin/python3
"""The daemon as a container runs it: process 1 of its own process namespace, on a root that is only for reading, with the log and the runtime
directory on the machine's. Killed and made anew, again and again.

  tests/integration/container_test.py BUILD_FOLDER
"""
import collections
import json
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

for _folder in ("bench", "soak"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / _folder))
from plant import Sensors  # noqa: E402
from rig import Rig, free_port, is_ready, wait_until  # noqa: E402
from seen import Bits  # noqa: E402

KILLS = 3
MESSAGES = 400  # acknowledged between two kills
BODY = """
[gateway]
id = "contained"
data_dir = "{data}"
runtime_dir = "{run}"
admin = "127.0.0.1:{admin}"

[[driver.mqtt]]
name = "written"
broker = "mqtt://127.0.0.1:{broker}"
reconnect_most = "1s"
  [[driver.mqtt.subscribe]]
  topic = "written/{{device}}/{{tag}}"
  value = "/value"

[[driver.mqtt_listener]]
name = "direct"
listen = "127.0.0.1:{listener}"
  [[driver.mqtt_listener.subscribe]]
  topic = "direct/{{device}}/{{tag}}"
  value = "/value"
"""
ENTRY = """
mount -t proc proc /proc
for folder in "$3" "$4"; do mount --bind "$folder" "$folder"; done
mount -o remount,bind,ro /
exec "$1" run --config "$2"
"""
UNSHARE = ["unshare", *(["--user", "--map-root-user"] if os.geteuid() != 0 else []), "--mount", "--pid", "--fork", "--kill-child",
           "--propagation", "private"]


def bus_of(count):
    tags = "".join(f'    {{ name = "t{i}", address = "holding:{i % 65536}" }},\n' for i in range(count))
    return f'\n[[driver.modbus]]\nname = "bus"\nurl = "tcp://127.0.0.1:1"\n  [[driver.modbus.device]]\n  name = "d"\n  tags = [\n{tags}  ]\n'


class Container:
    """Ends with its process 1, and that with it."""

    def __init__(self, rig, configuration, data, run):
        self.process = rig.start("container", *UNSHARE, "sh", "-euc", ENTRY, "sh", rig.build / "bin/tidegate", configuration, data, run)

    def has_ended(self):
        return self.process.process.poll() is not None

    def says(self):
        return self.process.log.read_text(errors="replace")

    def daemon(self):
        """Its process id outside."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def keeps_stop_waiting(self):
        """Whether it is the daemon that runs, and SIGTERM waits until it can be done."""
        try:
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{self.daemon()}/status").read_text().splitlines() if ":\t" in line)
        except (OSError, IndexError):
            return False
        return status["Name"] == "tidegate" and int(status["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1 == 1

    def kill(self):
        """Its process 1, which takes the others with it; over when that has let go of its files."""
        os.kill(self.daemon(), signal.SIGKILL)
        self.process.process.wait(30)

    def ask_to_stop(self):
        os.kill(self.daemon(), signal.SIGTERM)

    def wait(self):
        return self.process.process.wait(30)

    def stop(self):
        self.ask_to_stop()
        return self.wait()


class ContainerTest(unittest.TestCase):
    build = "build/release"

    def make_folders(self, more=""):
        """And the configuration; the ports of its listener and of a broker that runs."""
        self.data, self.run_folder, self.configuration = (self.rig.folder / name for name in ("volume", "run", "tidegate.toml"))
        self.data.mkdir()
        self.run_folder.mkdir()
        self.admin, listener, broker = free_port(), free_port(), self.rig.broker("broker").port
        text = BODY.format(data=self.data, run=self.run_folder, admin=self.admin, listener=listener, broker=broker)
        self.configuration.write_text(text + more, encoding="utf-8")
        return listener, broker

    def start(self):
        container = Container(self.rig, self.configuration, self.data, self.run_folder)
        wait_until(lambda: container.has_ended() or is_ready(self.admin), "the container is ready", explain=container.says)
        self.assertFalse(container.has_ended(), container.says())
        return container

    @staticmethod
    def options_of_root(container):
        mounts = [line.split() for line in Path(f"/proc/{container.daemon()}/mountinfo").read_text().splitlines()]
        return [words[5].split(",")[0] for words in mounts if words[4] == "/"]

    def acknowledged(self):
        return sum(bits.count for sensors in self.sensors for bits in sensors.acknowledged.values())

    def stored(self):
        command = [self.rig.build / "bin/tidegate", "log", "cat", "--data-dir", self.data, "--stream", "readings"]
        stored = collections.defaultdict(Bits)
        for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
            record = json.loads(line)
            stored[record["tag"]].add(record["value"])
        return stored

    def missing(self):
        stored = self.stored()
        acknowledged = [one for sensors in self.sensors for one in sensors.acknowledged.items()]
        return [(tag, numbers) for tag, bits in acknowledged if (numbers := stored[tag].missing(bits))]

    def setUp(self):
        tried = subprocess.run([*UNSHARE, "mount", "-t", "proc", "proc", "/proc"], check=False, capture_output=True, text=True)
        if tried.returncode != 0:
            self.skipTest(f"NOT RUN: no namespaces here: {tried.stderr.strip()}")

    def test_what_was_acknowledged_outlives_containers_that_are_killed(self):
        with Rig(self.build) as self.rig:
            listener, broker = self.make_folders()
            container = self.start()
            self.assertIn("\nNSpid:\t" + f"{container.daemon()}\t1\n", Path(f"/proc/{container.daemon()}/status").read_text())
            self.assertEqual(["ro"], self.options_of_root(container))
            self.sensors = [Sensors("direct", listener, 4, 400), Sensors("written", broker, 4, 400)]
            for _ in range(KILLS):
                before = self.acknowledged()
                wait_until(lambda: self.acknowledged() >= before + MESSAGES, "messages are acknowledged")
                container.kill()
                container = self.start()
            self.refuse_a_second()
            for sensors in self.sensors:
                sensors.end(60)
                sensors.leave()
            # Of the broker's messages the last are on their way still when the sensors have their answers.
            wait_until(lambda: not self.missing(), "all that was acknowledged is in the log", explain=self.missing)
            self.assertEqual(0, container.stop())
            self.assertEqual([], self.missing())
            self.assertGreater(self.acknowledged(), KILLS * MESSAGES)

    def test_a_stop_that_is_asked_for_while_it_starts_is_done(self):
        for count in (10_000, 30_000, 90_000):  # a machine that is slow to look needs a longer start
            with Rig(self.build) as self.rig:
                self.make_folders(bus_of(count))
                container = Container(self.rig, self.configuration, self.data, self.run_folder)
                wait_until(lambda: container.has_ended() or container.keeps_stop_waiting() or is_ready(self.admin), "it starts", explain=container.says)
                container.ask_to_stop()
                was_in_time = "gateway: ready" not in container.says()
                self.assertEqual(0, container.wait(), container.says())
            if was_in_time:
                return
        self.fail("each start was over before it was looked at")

    def test_orphans_do_not_stay_as_zombies(self):
        with Rig(self.build) as self.rig:
            self.make_folders()
            container = self.start()
            inside = ["nsenter", "-t", str(container.daemon()), *(["-U"] if os.geteuid() != 0 else []), "-p", "-m"]
            for _ in range(5):
                subprocess.run([*inside, "sh", "-c", "(true &); exit 0"], check=True)
            children = Path(f"/proc/{container.daemon()}/task/{container.daemon()}/children")
            wait_until(lambda: not children.read_text().split(), "orphans are gone", 20, children.read_text)
            self.assertEqual(0, container.stop())

    def refuse_a_second(self):
        second = Container(self.rig, self.configuration, self.data, self.run_folder)
        self.assertEqual(1, second.process.process.wait(30))
        self.assertIn(f"{self.data} is in use by a container, whose process 1 it is", second.says().splitlines()[-1])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        ContainerTest.build = sys.argv.pop(1)
    unittest.main()
