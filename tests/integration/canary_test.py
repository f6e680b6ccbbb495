#!/usr/bin/python3 -B
"""Looks for secrets where none may be.

    tests/integration/canary_test.py PROGRAM

Every secret that a configuration can name is a word that is nowhere else. The daemon runs with all of them at its most verbose log level:
first against peers that refuse them and say them back in their answers, as some do, then against peers that take them. Meanwhile and
afterwards the words are looked for in its log, in all that its admin address answers, in its arguments, in its environment but for the
variable that carries one, in what it tells systemd, and in its data and runtime directories; as they are and in base 64. What its sockets listen on is
compared with the configuration too.
"""
import base64
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from canary_peers import Broker, KafkaListener, Postgresql, Web, free_port

PATHS = ("/", "/page.js", "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/readings/latest", "/api/v1/alarms", "/api/v1/deadletters",
         "/api/v1/records?stream=readings", "/api/v1/records?stream=alarms", "/api/v1/records?stream=events", "/api/v1/nothing")
CONFIGURATION = """[gateway]
id = "canaries"
data_dir = "{folder}/data"
runtime_dir = "{folder}/run"
admin = "127.0.0.1:{admin}"
admin_token = {{ file = "admin_token" }}
admin_tls = {{ cert = "gateway.crt", key = {{ file = "gateway.key" }} }}
[[driver.simulator]]
name = "sim"
interval = "100ms"
[[driver.mqtt]]
name = "written"
broker = "mqtt://127.0.0.1:{broker}"
username = "gateway"
password = {{ file = "broker" }}
  [[driver.mqtt.subscribe]]
  topic = "plant/{{device}}/{{tag}}"
  payload = "number"
[[driver.mqtt]]
name = "durable"
broker = "mqtt://127.0.0.1:{broker}"
ack = "durable"
username = "gateway"
password = {{ file = "broker" }}
  [[driver.mqtt.subscribe]]
  topic = "hall/{{device}}/{{tag}}"
  payload = "number"
[[driver.mqtt_listener]]
name = "direct"
listen = "127.0.0.1:{listener}"
users = {{ file = "users" }}
  [[driver.mqtt_listener.allow]]
  user = "sensor"
  publish = ["yard/#"]
  [[driver.mqtt_listener.subscribe]]
  topic = "yard/{{device}}/{{tag}}"
  payload = "number"
[[driver.mqtt_listener]]
name = "secure"
listen = "127.0.0.1:{secure}"
tls = {{ cert = "gateway.crt", key = {{ file = "gateway.key" }} }}
users = {{ file = "users" }}
  [[driver.mqtt_listener.subscribe]]
  topic = "roof/{{device}}/{{tag}}"
  payload = "number"
[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:{broker}"
topic = "out/{{stream}}"
username = "gateway"
password = {{ env = "CANARY_BROKER" }}
[[uplink.mqtt]]
name = "node"
broker = "mqtt://127.0.0.1:{broker}"
format = "sparkplug"
sparkplug = {{ group = "g" }}
username = "gateway"
password = {{ credential = "broker" }}
[[uplink.http]]
name = "lake"
url = "http://127.0.0.1:{web}/lake"
headers = {{ Authorization = {{ file = "bearer" }}, X-Api-Key = {{ credential = "api_key" }}, X-Auth-Token = {{ env = "CANARY_HEADER" }} }}
[[uplink.http]]
name = "picky"
url = "http://127.0.0.1:{web}/picky"
headers = {{ Authorization = {{ file = "bearer" }} }}
dead_letter_after = 1
batch = {{ max_readings = 2 }}
[[uplink.http]]
name = "stream"
url = "http://127.0.0.1:{web}"
format = "kinesis"
aws = {{ region = "eu-central-1", stream = "plant", access_key_id = {{ file = "aws_id" }}, secret_access_key = {{ file = "aws_key" }}, session_token = {{ file = "aws_session" }} }}
[[uplink.kafka]]
name = "plain"
brokers = ["127.0.0.1:{kafka}"]
topic = "plant.{{stream}}"
sasl = {{ mechanism = "PLAIN", username = "gateway", password = {{ file = "kafka" }} }}
[[uplink.kafka]]
name = "once"
brokers = ["127.0.0.1:{kafka}"]
topic = "plant.{{stream}}"
delivery = "exactly-once"
sasl = {{ mechanism = "PLAIN", username = "gateway", password = {{ file = "kafka" }} }}
[[uplink.kafka]]
name = "tokens"
brokers = ["127.0.0.1:{kafka}"]
topic = "plant.{{stream}}"
sasl = {{ mechanism = "OAUTHBEARER", client_id = "gateway", client_secret = {{ file = "client_secret" }}, token_url = "http://127.0.0.1:{web}/token" }}
[[uplink.kafka]]
name = "avro"
brokers = ["127.0.0.1:{kafka}"]
topic = "plant.{{stream}}"
format = "avro"
schema_registry = {{ url = "http://127.0.0.1:{web}/registry", username = "gateway", password = {{ file = "registry" }} }}
[[uplink.postgresql]]
name = "tables"
url = "postgresql://127.0.0.1:{postgresql}/postgres"
username = "gateway"
password = {{ file = "postgresql" }}
encryption = "none"
"""
NAMES = ("broker", "sensor", "bearer", "api_key", "header", "aws_id", "aws_key", "aws_session", "kafka", "client_secret", "access_token", "registry",
         "postgresql", "wrong_login", "admin_token", "wrong_token")
CONFIGURED_TO_LISTEN = ("admin", "listener", "secure")
PATIENCE = 60


def wait_for(what, condition, explain=lambda: ""):
    deadline = time.monotonic() + PATIENCE
    while True:
        if result := condition():
            return result
        if time.monotonic() > deadline:
            raise SystemExit(f"canary_test: waited {PATIENCE} s for: {what} {explain()}")
        time.sleep(0.1)  # each is a handshake with the admin address, which bounds them


def encoded(word):
    """The word in base 64, wherever it stands in what is encoded: its inner letters for each of three places."""
    for before in range(3):
        text = base64.b64encode(b"." * before + word.encode()).decode().rstrip("=")
        yield text[(before * 8 + 5) // 6 if before else 0:-2]


class Canaries:
    """The secrets, and the search for them."""

    def __init__(self, key_file):
        self.words = {name: "canary" + secrets.token_hex(12) for name in NAMES}
        self.needles = {}
        for name, word in self.words.items():
            for text in (word, *encoded(word)):
                self.needles[text.encode()] = name
        lines = [line for line in key_file.read_text(encoding="ascii").splitlines() if not line.startswith("-")]
        self.needles[lines[1].encode()] = "key of TLS"
        self.found = []

    def look(self, place, content):
        for needle, name in self.needles.items():
            at = content.find(needle)
            if at >= 0:
                self.found.append(f"{name} in {place}: {content[max(0, at - 160):at + len(needle) + 20]!r}")


class Gateway:
    def __init__(self, program, folder, ports, canaries):
        self.program, self.folder, self.ports, self.canaries = program, folder, ports, canaries
        self.process = None
        self.told = []
        self.trust = None  # once there is a certificate
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self):
        while True:
            self.told.append(self.manager.recv(65536))

    def start(self):
        words = self.canaries.words
        environment = {**os.environ, "CANARY_BROKER": words["broker"], "CANARY_HEADER": words["header"],
                       "CREDENTIALS_DIRECTORY": str(self.folder / "credentials"), "NOTIFY_SOCKET": str(self.folder / "notify")}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([self.program, "run", "--config", str(self.folder / "tidegate.toml"), "--log-level", "debug"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        wait_for("the daemon to be ready", lambda: self.process.poll() is not None or self.get("/readyz")[0] == 200)
        if self.process.poll() is not None:
            raise SystemExit(f"canary_test: the daemon ended:\n{(self.folder / 'log').read_text()}")

    def get(self, path, token="admin_token", **more):
        asked = urllib.request.Request(f"https://127.0.0.1:{self.ports['admin']}{path}", **more)
        asked.add_header("Authorization", f"Bearer {self.canaries.words[token]}")
        try:
            with urllib.request.urlopen(asked, timeout=10, context=self.trust) as reply:
                return reply.status, reply.read() + str(reply.headers).encode()
        except urllib.error.HTTPError as error:
            return error.code, error.read() + str(error.headers).encode()
        except OSError:
            return 0, b""

    def command(self, *words, token="admin_token"):
        """One that speaks to the daemon."""
        return subprocess.run([self.program, *words, "--admin", f"127.0.0.1:{self.ports['admin']}", "--admin-ca", str(self.folder / "gateway.crt")],
                              capture_output=True, check=False, env={**os.environ, "TIDEGATE_TOKEN": self.canaries.words[token]})

    def status(self):
        return json.JSONDecoder().raw_decode(self.get("/api/v1/status")[1].decode())[0]

    def uplinks(self):
        return {uplink["name"]: uplink for uplink in self.status()["uplinks"]}

    def live(self):
        """What is sent to who listens, for a second and a half."""
        with socket.create_connection(("127.0.0.1", self.ports["admin"]), 1.5) as plain, \
                self.trust.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.canaries.words['admin_token']}\r\n\r\n".encode())
            content, end = b"", time.monotonic() + 1.5
            while time.monotonic() < end:
                try:
                    content += client.recv(65536)
                except TimeoutError:
                    break
        return content

    def look_everywhere(self, when):
        canaries = self.canaries
        for path in PATHS:
            canaries.look(f"{path} ({when})", self.get(path)[1])
        canaries.look(f"the answer to a wrong token ({when})", self.get("/metrics", "wrong_token")[1])
        for word in ("wrong_token", "admin_token"):
            form = f"token={canaries.words[word]}".encode()
            canaries.look(f"/login with the {word} ({when})", self.get("/login", data=form)[1])
        canaries.look(f"/api/v1/live ({when})", self.live())
        for command in (["status"], ["status", "--json"], ["deadletter", "ls"], ["tail", "--stream", "events", "--from", "oldest"], ["alarms"]):
            done = self.command(*command)
            canaries.look(f"tidegate {' '.join(command)} ({when})", done.stdout + done.stderr)
        # Few enough that the right token is still looked at.
        done = self.command("status", token="wrong_token")
        canaries.look(f"tidegate status with a wrong token ({when})", done.stdout + done.stderr)
        proc = pathlib.Path("/proc") / str(self.process.pid)
        canaries.look(f"its arguments ({when})", (proc / "cmdline").read_bytes())
        variables = [line for line in (proc / "environ").read_bytes().split(b"\0") if not line.startswith(b"CANARY_")]
        canaries.look(f"its environment ({when})", b"\n".join(variables))
        for task in (proc / "task").iterdir():
            canaries.look(f"the name of a thread ({when})", (task / "comm").read_bytes())
        canaries.look(f"what systemd is told ({when})", b"\n".join(self.told))
        self.look_at_files(when)

    def look_at_files(self, when):
        self.canaries.look(f"its log ({when})", (self.folder / "log").read_bytes())
        for directory in ("data", "run"):
            for path in (self.folder / directory).rglob("*"):
                self.canaries.look(f"a name of a file ({when})", str(path).encode())
                if path.is_file():
                    self.canaries.look(f"{path.relative_to(self.folder)} ({when})", path.read_bytes())

    def listening(self):
        """The ports of TCP that its own descriptors listen on, and the UDP ports that are not connected."""
        proc = pathlib.Path("/proc") / str(self.process.pid)
        own = set()
        for descriptor in (proc / "fd").iterdir():
            try:
                own.add(os.readlink(descriptor))
            except FileNotFoundError:
                pass  # closed meanwhile
        ports = set()
        for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
            for line in (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                words = line.split()
                if words[3] == state and f"socket:[{words[9]}]" in own:
                    ports.add(int(words[1].rsplit(":", 1)[1], 16))
        return ports

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


def write_secrets(folder, canaries):
    words = canaries.words
    (folder / "credentials").mkdir()
    for name in ("broker", "aws_id", "aws_key", "aws_session", "kafka", "client_secret", "registry", "postgresql", "admin_token"):
        (folder / name).write_text(words[name] + "\n", encoding="ascii")
    (folder / "bearer").write_text(f"Bearer {words['bearer']}\n", encoding="ascii")
    (folder / "credentials/broker").write_text(words["broker"], encoding="ascii")
    (folder / "credentials/api_key").write_text(words["api_key"], encoding="ascii")
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(folder / "users"), "sensor", words["sensor"]], check=True)


def log_in(folder, ports, canaries):
    """Sensors of the listeners, with a right and with a wrong password, and with one in the place of the name."""
    words = canaries.words
    for port, more in ((ports["listener"], []), (ports["secure"], ["--cafile", str(folder / "gateway.crt")])):
        for name, password in (("sensor", words["sensor"]), ("sensor", words["wrong_login"]), (words["wrong_login"], words["wrong_login"])):
            subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-u", name, "-P", password, "-q", "1", "-t", "yard/a/b", "-m", "1",
                            *more], check=False, capture_output=True)


def put_aside(gateway, name):
    """What the uplink stands at, as soon as it is refused alone."""
    uplink = gateway.uplinks()[name]
    if "deadletter put" in uplink.get("refused", ""):
        place = uplink["refused"].split("--at ", 1)[1].split("`", 1)[0]
        gateway.command("deadletter", "put", "--uplink", name, "--stream", "readings", "--at", place)
    return uplink["dead_letters"] > 0


def check(program, folder, peers):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "gateway.key"), "-out",
                    str(folder / "gateway.crt"), "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    canaries = Canaries(folder / "gateway.key")
    write_secrets(folder, canaries)
    ports = {name: free_port() for name in (*CONFIGURED_TO_LISTEN, "broker", "postgresql")}
    web, kafka = Web(canaries.words), KafkaListener()
    peers += [web, kafka]
    ports.update(web=web.port, kafka=kafka.port)
    (folder / "tidegate.toml").write_text(CONFIGURATION.format(folder=folder, **ports), encoding="utf-8")
    checked = subprocess.run([program, "check", "--config", str(folder / "tidegate.toml")], capture_output=True, check=False, env={
        **os.environ, "CANARY_BROKER": canaries.words["broker"], "CANARY_HEADER": canaries.words["header"],
        "CREDENTIALS_DIRECTORY": str(folder / "credentials")})
    canaries.look("tidegate check", checked.stdout + checked.stderr)

    gateway = Gateway(program, folder, ports, canaries)
    gateway.trust = ssl.create_default_context(cafile=str(folder / "gateway.crt"))
    peers.append(gateway)
    # Nobody is there, or whoever is there refuses and says back what it was given.
    gateway.start()
    wait_for("answers of peers that refuse", lambda: web.refused >= 12 and kafka.refused >= 2)
    peers.append(Broker(folder, ports["broker"], "gateway", "another password"))
    peers.append(Postgresql(folder, ports["postgresql"], "gateway", "another password"))
    log_in(folder, ports, canaries)
    wait_for("the uplinks to say why they are down",
             lambda: all("detail" in gateway.uplinks()[name] for name in ("cloud", "node", "stream", "plain", "tokens", "tables")))
    gateway.look_everywhere("refused")
    # The right ones.
    peers[-1].set_password("gateway", canaries.words["postgresql"])
    peers[-2].set_password("gateway", canaries.words["broker"])
    web.takes = True
    gateway.process.send_signal(signal.SIGHUP)
    wait_for("the uplinks to come up", lambda: all(gateway.uplinks()[name]["up"] for name in ("cloud", "node", "lake", "stream", "tables")))
    wait_for("a dead letter", lambda: put_aside(gateway, "picky"), lambda: gateway.uplinks()["picky"])
    wait_for("a token for Kafka", lambda: web.tokens > 0 and web.registered > 0)
    log_in(folder, ports, canaries)
    listening = gateway.listening()
    configured = {ports[name] for name in CONFIGURED_TO_LISTEN}
    if listening != configured:
        canaries.found.append(f"it listens on {sorted(listening)}, configured are {sorted(configured)}")
    gateway.look_everywhere("taken")
    gateway.stop()
    gateway.look_at_files("stopped")
    return canaries.found


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-canaries-"))
    folder.chmod(0o755)
    peers = []
    try:
        found = check(sys.argv[1], folder, peers)
    finally:
        for peer in reversed(peers):
            if isinstance(peer, Gateway):
                peer.process.kill()
            else:
                peer.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for line in found:
        print(line)
    print(f"canary_test: {len(NAMES) + 1} secrets, {len(found)} found where they should not be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
