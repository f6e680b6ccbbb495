"""Processes, brokers and measurements of end_to_end.py."""
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

MOSQUITTO = "/usr/sbin/mosquitto"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60


def free_port():
    for _ in range(200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(20000, 32000)))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise RuntimeError("no free port")


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_ready(admin):
    """What the daemon with this admin port says of itself; False, too, where nobody answers."""
    try:
        with urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=5) as reply:
            return reply.status == 200
    except (URLError, ConnectionError, TimeoutError):
        return False


def wait_until(reached, what, seconds=PATIENCE, explain=lambda: ""):
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds} s {explain()}")
        pause.wait(0.02)


def die_with_parent():
    set_pdeathsig = 1
    ctypes.CDLL(None).prctl(set_pdeathsig, signal.SIGKILL)


class Process:
    def __init__(self, name, command, folder, environment=None):
        self.name, self.log = name, Path(folder) / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **(environment or {})}, preexec_fn=die_with_parent)
        self.pid = self.process.pid

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def says(self, text):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.log.read_text(errors='replace')[-500:]}")
        return text in self.log.read_text(errors="replace")

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class Rig:
    """One measurement: a folder and processes that end with it, also when a SIGTERM ends it. In the main thread."""

    def __init__(self, build):
        self.build = Path(build).resolve()
        self.processes = []

    def __enter__(self):
        self.before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
        self.temporary = tempfile.TemporaryDirectory(prefix="tidegate-bench-")
        self.folder = Path(self.temporary.name)
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.end()
        shutil.rmtree(self.runtime_folder(), ignore_errors=True)
        self.temporary.cleanup()
        signal.signal(signal.SIGTERM, self.before)

    def start(self, name, *command, environment=None):
        process = Process(name, command, self.folder, environment)
        self.processes.append(process)
        return process

    def broker(self, name, extra=""):
        port = free_port()
        configuration = self.folder / f"{name}.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        configuration.write_text(f"{user}listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
                                 f"log_dest stderr\nlog_type error\nlog_type subscribe\n{extra}", encoding="utf-8")
        process = self.start(name, MOSQUITTO, "-c", configuration)
        wait_until(lambda: accepts(port) or process.says("\0"), f"{name} takes connections")
        process.port = port
        return process

    def daemon(self, body, environment=None, data=None):
        """The daemon; returns when it says that it is ready. `ready_seconds` is the time from the start until then."""
        admin = free_port()
        configuration, default = self.folder / "tidegate.toml", self.folder / "data"
        configuration.write_text(f'[gateway]\nid = "bench"\ndata_dir = "{data or default}"\nruntime_dir = "{self.runtime_folder()}"\n'
                                 f'admin = "127.0.0.1:{admin}"\n{body}', encoding="utf-8")
        notify = self.folder / "notify.sock"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(notify))
            listener.settimeout(PATIENCE)
            began = time.monotonic()
            process = self.start("tidegate", self.build / "bin/tidegate", "run", "--config", configuration,
                                 environment={**(environment or {}), "NOTIFY_SOCKET": str(notify)})
            while b"READY=1" not in listener.recv(4096):
                pass
            process.ready_seconds = time.monotonic() - began
        process.admin = admin
        return process

    def runtime_folder(self):
        shared = Path("/dev/shm")
        folder = (shared if shared.is_dir() else self.folder) / self.folder.name
        folder.mkdir(exist_ok=True)
        return folder

    def load(self, source, target, *arguments):
        """Runs mqtt_load to its end; its JSON as text. Returns (exit code, text)."""
        command = [self.build / "bin/mqtt_load", "--from", source.port, "--to", target.port, *arguments]
        result = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
        if not result.stdout:
            raise RuntimeError(f"mqtt_load: {result.stderr}")
        return result.returncode, result.stdout
