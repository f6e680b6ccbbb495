#!/usr/bin/env python3
"""Boots a fresh Debian 12 with the package in it, where systemd runs the real units, and looks at what they do.

    python3 -B tests/systemd/boot_test.py build/packages/tidegate_0.1.0-1_amd64.deb

Root, systemd-nspawn (systemd-container), mmdebstrap, mosquitto, and a mirror of Debian within reach. The machine has a network of its
own, in which the broker and the HTTP server of this test run. A system call that the unit does not list kills the gateway here, where
it would be refused, so that nothing hides that one is made. 77: it could not be made here, and the text says why.
"""
import argparse
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "package"))
from debian_root import Root, architecture_of, cannot_be_made, folder_for, needs  # noqa: E402
from machine import CannotBoot, Failed, Machine, expect, expect_confined, expect_nothing_denied, wait_for  # noqa: E402

ADMIN = "http://127.0.0.1:8480"
PASSWORD, TOKEN = "a-password-of-the-broker", "a-token-of-the-lake"
CONFIGURATION = """[gateway]
id = "booted"
data_dir = "/var/lib/tidegate"
admin = "127.0.0.1:8480"
[[driver.simulator]]
name = "sim"
devices = 4
tags = 8
interval = "20ms"
[[driver.mqtt]]
name = "written"
broker = "mqtt://127.0.0.1:1883"
username = "gateway"
password = { credential = "broker-password" }
  [[driver.mqtt.subscribe]]
  topic = "plant/{device}/{tag}"
  payload = "number"
[[driver.mqtt]]
name = "durable"
broker = "mqtt://127.0.0.1:1883"
ack = "durable"
username = "gateway"
password = { credential = "broker-password" }
  [[driver.mqtt.subscribe]]
  topic = "hall/{device}/{tag}"
  payload = "number"
[[driver.mqtt_listener]]
name = "direct"
listen = "127.0.0.1:1884"
  [[driver.mqtt_listener.subscribe]]
  topic = "direct/{device}/{tag}"
  payload = "number"
[[driver.modbus]]
name = "bus"
url = "tcp://127.0.0.1:1502"
  [[driver.modbus.device]]
  name = "boiler"
  unit = 1
  interval = "50ms"
  tags = [{ name = "temp", address = "holding:0", type = "uint16" }]
[[rule]]
name = "high"
type = "threshold"
tags = ["*"]
raise = "> 60"
clear = "< 50"
[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:1883"
topic = "out/{stream}"
username = "gateway"
password = { credential = "broker-password" }
[[uplink.http]]
name = "lake"
url = "http://127.0.0.1:8000/readings"
headers = { Authorization = { credential = "lake-token" } }
[[uplink.kafka]]
name = "fleet"
brokers = ["127.0.0.1:9092"]
topic = "plant.{stream}"
[[uplink.postgresql]]
name = "tables"
url = "postgresql://127.0.0.1:5432/plant"
username = "gateway"
encryption = "none"
[[uplink.file]]
name = "export"
path = "/srv/export/{stream}.ndjson"
"""
DROP_IN = """[Service]
LoadCredential=broker-password:/etc/credstore/tidegate-broker-password
{token}
ReadWritePaths=/srv/export
WatchdogSec=3s
SystemCallErrorNumber=kill
"""
PACKAGES = ["systemd", "systemd-sysv", "passwd", "libcurl4", "libpq5", "librdkafka1"]


class Lake(http.server.BaseHTTPRequestHandler):
    """Takes what an HTTP uplink sends with the right token."""
    taken, refused = 0, 0

    def do_POST(self):  # noqa: N802, the name is that of the library
        self.rfile.read(int(self.headers["Content-Length"]))
        good = self.headers["Authorization"] == TOKEN
        Lake.taken, Lake.refused = Lake.taken + good, Lake.refused + (not good)
        self.send_response(204 if good else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


def get(path):
    with urllib.request.urlopen(ADMIN + path, timeout=10) as reply:
        return reply.read().decode()


def status():
    try:
        return json.loads(get("/api/v1/status"))
    except (OSError, http.client.HTTPException):  # it is away, or was killed while it answered
        return None


def delivered():
    """Readings by uplink; {} while the gateway does not answer."""
    found = status()
    return {uplink["name"]: uplink["streams"]["readings"]["delivered"] for uplink in found["uplinks"]} if found else {}


class Boot:
    def __init__(self, machine, folder):
        self.machine = machine
        self.folder = folder
        self.programs = []

    # What is around the gateway.

    def start_peers(self):
        self.machine.join_network()
        passwords = self.folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "gateway", PASSWORD], check=True)
        passwords.chmod(0o644)
        settings = self.folder / "mosquitto.conf"
        settings.write_text(f"listener 1883 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n", encoding="utf-8")
        self.start("mosquitto", "-c", str(settings))
        threading.Thread(target=http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Lake).serve_forever, daemon=True).start()
        self.start("nsenter", "--target", str(self.machine.leader), "--all", "--", "/usr/bin/tidegate", "simulate", "modbus", "--listen",
                   "127.0.0.1:1502")

    def start(self, *command):
        self.programs.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def publish(self, port, topic, *login):
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic, "-m", "21.5", *login], check=True)

    def stop_peers(self):
        for program in self.programs:
            program.terminate()
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    # What is looked at.

    def show(self, *properties):
        return self.machine.show("tidegate", *properties)

    def pid(self):
        return self.machine.host_pid(self.show("MainPID")["MainPID"])

    def is_up(self):
        return self.show("ActiveState")["ActiveState"] == "active" and status() is not None

    def messages(self):
        return [entry["MESSAGE"] for entry in self.machine.journal("tidegate") if isinstance(entry.get("MESSAGE"), str)]

    def check_notified(self):
        shown = self.show("ActiveState", "SubState", "Type", "NotifyAccess", "StatusText", "NRestarts")
        expect(shown["ActiveState"] == "active" and shown["SubState"] == "running", f"the service is not up: {shown}")
        expect(shown["Type"] == "notify" and shown["NRestarts"] == "0", f"it was not up at the first start: {shown}")
        expect(any("ready" in message for message in self.messages()), "it did not say that it is ready")

    def check_sandbox(self):
        expect_confined((pathlib.Path("/proc") / str(self.pid()) / "status").read_text(encoding="utf-8"))
        self.check_mounts()
        owner = (pathlib.Path("/proc") / str(self.pid()) / "environ").stat().st_uid
        expect(owner == 0, "its memory can be dumped: /proc/PID is the user's")
        inside = ["nsenter", "--target", str(self.pid()), "--mount", "--"]
        for place, is_writable in (("/srv/export/x", True), ("/etc/tidegate/x", False), ("/usr/bin/x", False), ("/run/x", False),
                                   ("/run/tidegate-clock/state", False)):
            done = subprocess.run([*inside, "/bin/sh", "-c", f": >> {place}"], capture_output=True, check=False, text=True)
            expect((done.returncode == 0) == is_writable, f"it could {'not ' if is_writable else ''}write to {place}: {done.stderr}")
        shown = subprocess.run([*inside, "/bin/ls", "/proc", "/dev"], capture_output=True, check=True, text=True).stdout.split()
        expect("meminfo" not in shown and "sda" not in shown and "kmsg" not in shown, "it sees more of /proc and /dev than it needs")

    def check_mounts(self):
        """What the gateway may write to by its mounts, whoever it is."""
        lines = (pathlib.Path("/proc") / str(self.pid()) / "mountinfo").read_text(encoding="utf-8").splitlines()
        mounts = {words[4]: words[5].split(",")[0] for words in map(str.split, lines)}  # the last one on a place counts
        writable = {place for place, mode in mounts.items() if mode == "rw" and not place.startswith(("/dev/", "/run/host/"))}
        expected = {"/proc", "/run/tidegate", "/srv/export", "/tmp", "/var/lib/tidegate", "/var/tmp"}
        expect(writable == expected, f"writable are {sorted(writable)}, expected {sorted(expected)}")

    def check_limits(self):
        shown = self.show("MemoryHigh", "MemoryMax", "TasksMax", "LimitCORE")
        expect(shown == {"MemoryHigh": str(384 << 20), "MemoryMax": str(512 << 20), "TasksMax": "256", "LimitCORE": "0"}, f"limits: {shown}")

    def check_clock(self):
        told = self.machine.run("cat", "/run/tidegate-clock/state").stdout.split()[0]
        expect(told in ("synced", "estimated"), f"tidegate-clock says {told!r}")
        wait_for(f"the gateway to take the clock for {told}", lambda: (status() or {}).get("clock") == told)
        expect(not any("boot_id" in message for message in self.messages()), "the gateway does not know the id of the boot")

    def check_flow(self, uplinks=("cloud", "lake", "export")):
        before = wait_for("the status", delivered)
        wait_for(f"readings to arrive at {', '.join(uplinks)}",
                 lambda: (now := delivered()) and all(now[name] >= before[name] + 500 for name in uplinks))

    def check_credentials(self):
        expect(Lake.taken > 0 and Lake.refused == 0, f"the HTTP server took {Lake.taken} and refused {Lake.refused}: the token did not come through")
        environ = (pathlib.Path("/proc") / str(self.pid()) / "environ").read_bytes()
        arguments = (pathlib.Path("/proc") / str(self.pid()) / "cmdline").read_bytes()
        for secret in (PASSWORD, TOKEN):
            expect(secret.encode() not in environ + arguments, "a secret is in the environment or the arguments")
            expect(not any(secret in message for message in self.messages()), "a secret is in the journal")

    def check_drivers(self):
        """Readings of every driver, and every kind of thread and socket at work."""
        login = ("-u", "gateway", "-P", PASSWORD)

        def silent():
            for port, topic, given in ((1883, "plant/a/b", login), (1883, "hall/c/d", login), (1884, "direct/e/f", ())):
                self.publish(port, topic, *given)
            return [(driver["name"], driver.get("detail")) for driver in status()["drivers"] if driver["accepted"] == 0]
        deadline = time.monotonic() + 60
        while (who := silent()) and time.monotonic() < deadline:
            pass
        expect(not who, f"drivers without readings: {who}")
        found = status()
        details = {uplink["name"]: uplink.get("detail", "") for uplink in found["uplinks"] if not uplink["up"]}
        expect(set(details) == {"fleet", "tables"}, f"uplinks that are not up: {details}")
        expect("not permitted" not in json.dumps(found), f"something is not permitted: {found}")

    def check_api(self):
        expect(get("/healthz") and get("/readyz"), "healthz")
        expect("tidegate_build_info" in get("/metrics"), "metrics")
        expect("<html" in get("/").lower(), "the status page")
        told = self.machine.run("tidegate", "status").stdout
        expect("cloud" in told, f"tidegate status: {told}")

    def check_sockets(self):
        """Nothing listens but what the configuration names."""
        listening = self.machine.run("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout.splitlines()
        own = set()
        for descriptor in (pathlib.Path("/proc") / str(self.pid()) / "fd").iterdir():
            with contextlib.suppress(OSError):
                own.add(os.readlink(descriptor))
        ports = {int(words[1].rsplit(":", 1)[1], 16) for words in map(str.split, listening)
                 if len(words) > 9 and words[3] == "0A" and f"socket:[{words[9]}]" in own}
        expect(ports == {8480, 1884}, f"it listens on {sorted(ports)}, configured are 8480 and 1884")

    def check_reload(self):
        self.machine.run("systemctl", "reload", "tidegate")
        wait_for("the reload", lambda: any("reload" in message for message in self.messages()))
        self.check_notified()

    def check_priorities(self):
        """A wrong configuration is an error, and what goes on is information; no line shows its number."""
        place = self.machine.root / "etc/tidegate/tidegate.toml"
        place.write_text(CONFIGURATION + "nonsense = 1\n", encoding="utf-8")
        self.machine.run("systemctl", "reload", "tidegate", check=False)
        place.write_text(CONFIGURATION, encoding="utf-8")

        def entries_of(part):
            return [entry for entry in self.machine.journal("tidegate")
                    if entry.get("_COMM") == "tidegate" and isinstance(entry.get("MESSAGE"), str) and part in entry["MESSAGE"]]
        wait_for("the error", lambda: entries_of("nothing was changed"))
        expect({entry["PRIORITY"] for entry in entries_of("nothing was changed")} == {"3"}, "an error has not priority 3")
        expect({entry["PRIORITY"] for entry in entries_of("gateway: ready")} == {"6"}, "information has not priority 6")
        expect({entry["PRIORITY"] for entry in entries_of("uplink fleet")} <= {"4", "6"}, "a broken link is no warning")
        expect(not any(message.startswith("<") or message.startswith("20") for message in self.messages()),
               "a line in the journal begins with its priority or time")

    def check_runtime_directory(self):
        self.machine.run("touch", "/run/tidegate/kept")
        self.machine.run("systemctl", "restart", "tidegate")
        self.machine.run("test", "-e", "/run/tidegate/kept")
        os.kill(self.pid(), signal.SIGKILL)
        wait_for("a restart after a kill", lambda: self.show("NRestarts")["NRestarts"] != "0" and self.is_up())
        self.machine.run("rm", "/run/tidegate/kept")
        mode = self.machine.run("stat", "--format=%a %U", "/run/tidegate", "/var/lib/tidegate").stdout.split("\n")
        expect(mode[:2] == ["750 tidegate", "700 tidegate"], f"modes: {mode}")
        self.check_flow()

    def check_watchdog(self):
        before = int(self.show("NRestarts")["NRestarts"])
        os.kill(self.pid(), signal.SIGSTOP)
        started = time.monotonic()
        wait_for("the watchdog to end what hangs", lambda: int(self.show("NRestarts")["NRestarts"]) > before, 30)
        took = time.monotonic() - started
        expect(any("Watchdog timeout" in message for message in self.messages()), "systemd speaks of no watchdog")
        wait_for("the service to be up again", self.is_up)
        self.check_flow()
        return took

    def check_stop(self):
        self.machine.run("systemctl", "stop", "tidegate")
        shown = self.show("ActiveState", "Result", "ExecMainStatus")
        expect(shown == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, f"after a stop: {shown}")
        clock = self.machine.show("tidegate-clock", "ActiveState", "NRestarts")
        expect(clock == {"ActiveState": "inactive", "NRestarts": "0"}, f"tidegate-clock after a stop: {clock}")

    def check_wrong_configuration(self):
        place = self.machine.root / "etc/tidegate/tidegate.toml"
        place.write_text("nonsense = 1\n", encoding="utf-8")
        expect(self.machine.run("systemctl", "start", "tidegate", check=False).returncode != 0, "it starts on a wrong configuration")
        shown = self.show("ActiveState", "ExecMainStatus", "Result")
        expect(shown == {"ActiveState": "failed", "ExecMainStatus": "78", "Result": "exit-code"}, f"after a wrong configuration: {shown}")
        place.write_text(CONFIGURATION, encoding="utf-8")
        self.machine.run("systemctl", "start", "tidegate")
        wait_for("the service after the configuration was mended", self.is_up)

    def check_serial(self):
        """The drop-in for serial buses, without a bus: the service starts in that sandbox too, and has the group of the devices."""
        drop_in = "/etc/systemd/system/tidegate.service.d/serial.conf"
        self.machine.run("cp", "/usr/share/doc/tidegate/examples/tidegate-serial.conf", drop_in)
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "restart", "tidegate")
        wait_for("the service with the drop-in for serial buses", self.is_up)
        self.check_flow()
        dialout = self.machine.run("getent", "group", "dialout").stdout.split(":")[2]
        lines = (pathlib.Path("/proc") / str(self.pid()) / "status").read_text(encoding="utf-8").splitlines()
        groups = next(line for line in lines if line.startswith("Groups:")).split()[1:]
        expect(dialout in groups, f"it is in the groups {groups}, without {dialout}, dialout")


def make_root(package, folder):
    root = Root(folder / "root", architecture_of(package), PACKAGES)
    root.install(package)
    (root.path / "etc/tidegate/tidegate.toml").write_text(CONFIGURATION, encoding="utf-8")
    (root.path / "srv/export").mkdir(parents=True)
    root.run("chown", "tidegate:", "/srv/export")
    store = root.path / "etc/credstore"
    store.mkdir(mode=0o700, exist_ok=True)
    (store / "tidegate-broker-password").write_text(PASSWORD + "\n", encoding="utf-8")
    (store / "tidegate-lake-token").write_text(TOKEN + "\n", encoding="utf-8")
    drop_ins = root.path / "etc/systemd/system/tidegate.service.d"
    drop_ins.mkdir(parents=True)
    (drop_ins / "boot.conf").write_text(DROP_IN.format(token="LoadCredential=lake-token:/etc/credstore/tidegate-lake-token"), encoding="utf-8")
    return root


def encrypt_token(boot):
    """From now on the token comes encrypted; done inside, where the key of the machine is."""
    made = boot.machine.run("systemd-creds", "--with-key=host", "--name=lake-token", "encrypt", "/etc/credstore/tidegate-lake-token",
                            "/etc/credstore.encrypted-lake-token", check=False)
    if made.returncode != 0:
        print(f"boot_test: encrypted credentials are not tried: {made.stderr.strip()}")
        return
    place = boot.machine.root / "etc/systemd/system/tidegate.service.d/boot.conf"
    place.write_text(DROP_IN.format(token="LoadCredentialEncrypted=lake-token:/etc/credstore.encrypted-lake-token"), encoding="utf-8")
    boot.machine.run("systemctl", "daemon-reload")
    boot.machine.run("systemctl", "restart", "tidegate")
    wait_for("the service with an encrypted credential", boot.is_up)
    before = Lake.taken
    wait_for("the HTTP server to take batches with it", lambda: Lake.taken > before)
    expect(Lake.refused == 0, "the HTTP server refuses the token that was encrypted")
    print("encrypted credential: good", flush=True)


def look_at(boot):
    boot.start_peers()
    wait_for("the service", boot.is_up)
    for check in (boot.check_notified, boot.check_sandbox, boot.check_limits, boot.check_clock, boot.check_flow, boot.check_drivers,
                  boot.check_credentials, boot.check_api, boot.check_sockets, boot.check_reload, boot.check_priorities,
                  boot.check_runtime_directory, boot.check_watchdog, boot.check_stop, boot.check_wrong_configuration, boot.check_serial):
        started = time.monotonic()
        check()
        print(f"{check.__name__[6:].replace('_', ' ')}: good ({time.monotonic() - started:.1f} s)", flush=True)
    encrypt_token(boot)
    expect_nothing_denied(boot.machine)
    print("nothing denied: good", flush=True)


def boot_in(folder, package):
    root = make_root(package, folder)
    try:
        machine = Machine(root.path)
    except CannotBoot as problem:
        cannot_be_made("boot_test", f"no machine can be booted here: {problem}")
    boot = Boot(machine, folder)
    try:
        look_at(boot)
    except Failed:
        with contextlib.suppress(Failed):
            print("\n".join(boot.messages()[-40:]))
        raise
    finally:
        boot.stop_peers()
        machine.power_off()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=pathlib.Path)
    arguments = parser.parse_args()
    needs("boot_test", "mmdebstrap", "systemd-nspawn", "nsenter", "mosquitto", "mosquitto_passwd", "mosquitto_pub")
    try:
        with folder_for("boot") as folder:
            boot_in(folder, arguments.package)
    except Failed as problem:
        print(f"boot_test: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
