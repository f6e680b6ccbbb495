"""What a gateway talks to in canary_test.py: peers that refuse a login and repeat it in their answer, and peers that take it."""
import base64
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import threading
import time

PATIENCE = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port):
    deadline = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise SystemExit(f"canary_peers: nothing listens on {port}")
        time.sleep(0.05)


class Web:
    """A data lake, a picky one, Kinesis, a token endpoint and a schema registry."""

    def __init__(self, words):
        self.words = words
        self.takes = False
        self.refused = self.tokens = self.registered = 0
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802, the name is that of the library
                web.answer(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request, body):
        status, text = self.taken(request, body) if self.takes else (0, "")
        if status == 0 or status >= 400:
            status = status or 401
            self.refused += 1
            login = request.headers.get("Authorization", "")
            if login.startswith("Basic "):
                login += " " + base64.b64decode(login[6:]).decode()
            # The shortest of answers that says everything back, so that nothing is cut off before a secret.
            text = json.dumps({"error": f"{login} {request.headers.get('X-Api-Key', '')} {request.headers.get('X-Auth-Token', '')}",
                               "error_description": f"{body[-120:].decode(errors='replace') if 'token' in request.path else ''}",
                               "message": f"{login} {request.headers.get('X-Amz-Security-Token', '')}"})
        content = text.encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def taken(self, request, body):
        if request.path == "/token":
            self.tokens += 1
            return 200, json.dumps({"access_token": self.words["access_token"], "token_type": "bearer", "expires_in": 3600})
        if request.path.startswith("/registry"):
            self.registered += 1
            return 200, '{"id":7}'
        if request.path == "/picky":  # takes every record but those of one tag
            return (422, "") if b"tag-1" in body else (204, "")
        if request.path == "/lake":
            return 204, ""
        records = len(json.loads(body)["Records"])
        return 200, json.dumps({"FailedRecordCount": 0, "Records": [{"SequenceNumber": "1", "ShardId": "shardId-0"}] * records})

    def stop(self):
        self.server.shutdown()


class KafkaListener:
    """As much of Kafka as a login by SASL takes; refuses each one and repeats what it was given."""
    API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
    UNSUPPORTED_VERSION, AUTHENTICATION_FAILED = 35, 58
    OFFERED = ((3, 0, 4), (17, 0, 1), (18, 0, 0), (36, 0, 0))

    def __init__(self):
        self.refused = 0
        kafka = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    while request := self.rfile.read(4):
                        kafka.answer(self, self.rfile.read(struct.unpack(">i", request)[0]))
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, connection, request):
        api, version, correlation = struct.unpack(">hhi", request[:8])
        client = struct.unpack(">h", request[8:10])[0]
        body = request[10 + max(client, 0):]
        if api == self.API_VERSIONS:
            offered = b"".join(struct.pack(">hhh", *each) for each in self.OFFERED)
            answer = struct.pack(">hi", self.UNSUPPORTED_VERSION if version > 0 else 0, len(self.OFFERED)) + offered
        elif api == self.SASL_HANDSHAKE:
            mechanisms = [b"PLAIN", b"OAUTHBEARER"]
            answer = struct.pack(">hi", 0, len(mechanisms)) + b"".join(struct.pack(">h", len(name)) + name for name in mechanisms)
        elif api == self.SASL_AUTHENTICATE:
            self.refused += 1
            text = b"refused: " + body[4:].replace(b"\0", b" ").replace(b"\x01", b" ")
            answer = struct.pack(">hh", self.AUTHENTICATION_FAILED, len(text)) + text + struct.pack(">i", 0)
        else:
            raise OSError("not that far")
        connection.wfile.write(struct.pack(">ii", len(answer) + 4, correlation) + answer)

    def stop(self):
        self.server.shutdown()


class Broker:
    """mosquitto with one user."""

    def __init__(self, folder, port, name, password):
        self.passwords = folder / "broker-passwords"
        self.process = None
        self._write(name, password)
        settings = folder / "mosquitto.conf"
        settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {self.passwords}\n", encoding="ascii")
        self.process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(port)

    def _write(self, name, password):
        subprocess.run(["mosquitto_passwd", "-c", "-b", str(self.passwords), name, password], check=True)
        self.passwords.chmod(0o644)

    def set_password(self, name, password):
        self._write(name, password)
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Postgresql:
    """A cluster of its own, with one user who logs in by SCRAM."""

    def __init__(self, folder, port, name, password):
        programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name)).parent
        self.folder, self.port, owner = folder / "postgresql-data", port, []
        self.folder.mkdir()
        if os.geteuid() == 0:  # whom the server does not let
            shutil.chown(self.folder, "postgres", "postgres")
            owner = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]
        data = self.folder / "data"
        subprocess.run([*owner, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"], check=True,
                       capture_output=True)
        (data / "pg_hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n", encoding="ascii")
        self.process = subprocess.Popen([*owner, str(programs / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k",
                                         str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(port)
        self._ask(f"create role {name} login superuser password '{password}'")

    def _ask(self, query):
        deadline = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(["psql", "-h", str(self.folder), "-p", str(self.port), "-U", "postgres", "-c", query, "postgres"], check=False,
                                  capture_output=True, text=True)
            if done.returncode == 0:
                return
            if "starting up" not in done.stderr or time.monotonic() > deadline:
                raise SystemExit(f"canary_peers: {done.stderr}")

    def set_password(self, name, password):
        self._ask(f"alter role {name} password '{password}'")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
