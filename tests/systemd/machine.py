"""A Debian root that is booted with its own systemd, in systemd-nspawn, with a network of its own; and what every boot is asked."""
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


BOOT_SECONDS_MAX = 120


class Failed(Exception):
    """What was expected of the machine and is not so."""


class CannotBoot(Exception):
    """systemd-nspawn starts no machine here."""


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


def expect_confined(status):
    """`status`: the text of /proc/PID/status of the gateway."""
    found = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    expect("0" not in found["Uid"].split(), f"it runs as root: {found['Uid']}")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        expect(int(found[name], 16) == 0, f"it has capabilities: {name} {found[name]}")
    expect(found["NoNewPrivs"].strip() == "1" and found["Seccomp"].strip() == "2", "no filter of system calls is on")


def expect_nothing_denied(machine):
    """In the journals: no system call was refused, and none was deadly because it is not on the list."""
    for unit in ("tidegate", "tidegate-clock"):
        messages = [str(entry.get("MESSAGE", "")) for entry in machine.journal(unit)]
        expect(messages, f"the journal has nothing of {unit}")
        bad = [text for text in messages if "Operation not permitted" in text or "status=31/SYS" in text]
        expect(not bad, f"{unit} was refused something: {bad}")


class Machine:
    """Boots in its constructor, which raises CannotBoot where systemd-nspawn starts nothing; then nothing is left behind."""

    def __init__(self, root):
        self.root, self.leader = root, None
        command = ["systemd-nspawn", "--quiet", "--directory", str(root), "--boot", "--register=no", "--private-network",
                   "--link-journal=no", "--console=pipe"]
        if not pathlib.Path("/run/systemd/system").is_dir():
            command.append("--keep-unit")  # nobody is there to make a scope
        self.output = (root.parent / "nspawn.log").open("w+", encoding="utf-8")
        self.nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT)
        try:
            self.leader = wait_for("systemd-nspawn to start init", self._find_leader)
            self._wait_for_boot()
        except BaseException:
            self.power_off()
            raise

    def _expect_nspawn(self):
        if self.nspawn.poll() is not None:
            self.output.seek(0)
            raise CannotBoot(f"systemd-nspawn ended with {self.nspawn.returncode}: {self.output.read().strip()}")

    def _find_leader(self):
        self._expect_nspawn()
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text(encoding="ascii").split()
        for child in children:
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{child}/comm").read_text(encoding="ascii").strip() == "systemd":
                    return int(child)
        return None

    def _wait_for_boot(self):
        try:
            wait_for("systemd to have booted", self._booted, BOOT_SECONDS_MAX)
        except Failed as problem:
            raise Failed(f"{problem}\n{self.run('systemctl', 'list-jobs', '--no-pager', check=False).stdout}") from None

    def _booted(self):
        self._expect_nspawn()
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
        self._signal_init(signal.SIGRTMIN + 4)
        try:
            self.nspawn.wait(60 if self.leader else 0)
        except subprocess.TimeoutExpired:
            self._signal_init(signal.SIGKILL)  # and with it all of its processes
            self.nspawn.kill()
            self.nspawn.wait()
        self.output.close()

    def _signal_init(self, number):
        if self.leader and self.nspawn.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, number)
