"""A Debian root that is booted with its own systemd, in systemd-nspawn, with a network of its own."""
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import time

CLONE_NEWNET = 0x40000000
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class Failed(Exception):
    """What was expected of the machine and is not so."""


def expect(condition, message):
    if not condition:
        raise Failed(message)


def wait_for(what, condition, patience=60.0):
    """The first result of `condition` that is true."""
    deadline = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        expect(time.monotonic() < deadline, f"waited {patience:.0f} s for: {what}")
        time.sleep(0.05)


class Machine:
    def __init__(self, root):
        self.root = root
        command = ["systemd-nspawn", "--quiet", "--directory", str(root), "--boot", "--register=no", "--private-network",
                   "--link-journal=no", "--console=pipe"]
        if not pathlib.Path("/run/systemd/system").is_dir():
            command.append("--keep-unit")  # nobody is there to make a scope
        self.output = (root.parent / "nspawn.log").open("w+", encoding="utf-8")
        self.nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT)
        self.leader = wait_for("systemd-nspawn to start init", self._find_leader)
        wait_for("systemd to have booted", self._booted, 120)

    def _find_leader(self):
        if self.nspawn.poll() is not None:
            self.output.seek(0)
            raise Failed(f"systemd-nspawn ended with {self.nspawn.returncode}: {self.output.read().strip()}")
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text(encoding="ascii").split()
        for child in children:
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{child}/comm").read_text(encoding="ascii").strip() == "systemd":
                    return int(child)
        return None

    def _booted(self):
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def run(self, *command, check=True, given=None):
        """A command inside, as root; the result with its output as text."""
        entered = ["nsenter", "--target", str(self.leader), "--all", "--", *command]
        done = subprocess.run(entered, env=ENVIRONMENT, text=True, capture_output=True, check=False, input=given, timeout=180)
        if check and done.returncode != 0:
            raise Failed(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def join_network(self):
        """This process, and what it starts from now on, is in the machine's network. Before threads are started."""
        with open(f"/proc/{self.leader}/ns/net", encoding="ascii") as namespace:
            done = ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET)
        expect(done == 0, f"setns: {os.strerror(ctypes.get_errno())}")

    def show(self, unit, *properties):
        shown = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties)).stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def journal(self, unit):
        """The entries of a unit, oldest first, those of systemd about it too."""
        lines = self.run("journalctl", "--unit", unit, "--output=json", "--no-pager", "--all").stdout.splitlines()
        return [json.loads(line) for line in lines]

    def host_pid(self, pid):
        """The number here of a process whose number inside is `pid`."""
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                numbers = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("NSpid:")).split()[1:]
                if len(numbers) == 2 and numbers[1] == str(pid) and self._is_inside(numbers[0]):
                    return int(numbers[0])
        raise Failed(f"there is no process {pid} in the machine")

    def _is_inside(self, number):
        return os.readlink(f"/proc/{number}/ns/pid") == os.readlink(f"/proc/{self.leader}/ns/pid")

    def power_off(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.leader, signal.SIGRTMIN + 4)
        try:
            self.nspawn.wait(60)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()
        self.output.close()
