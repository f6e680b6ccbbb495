"""A machine for a Debian root in QEMU, without KVM: every write and flush of its disk is logged, and it is cut off as by a power cut.

What a cut leaves on the disk is one of
  flushed  what the last flush of the guest had made durable, and nothing that was written behind it
  given    all that the emulator had been given, flushed or not: what the guest's own memory held is lost
  sectors  what was flushed, and of the rest a choice by the sector of 512 bytes: writes are missing, torn and out of order
"""
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "power_cut"))
from machine import Failed, expect, wait_for  # noqa: E402, of this folder, which comes first
from write_log import SECTOR, WriteLog  # noqa: E402

BOOT_SECONDS_MAX = 2400
DISK_MIB_FREE = 512
HAND_PORT = 2222
CHUNK = 1 << 20
CUT_TRIES = 200
CUTS = ("flushed", "given", "sectors")


@dataclass(frozen=True)
class Kind:
    emulator: str
    options: tuple
    words: str  # of the kernel
    kernel: str


KINDS = {
    "arm64": Kind("qemu-system-aarch64", ("-machine", "virt", "-cpu", "cortex-a72"), "console=ttyAMA0", "linux-image-cloud-arm64"),
    "amd64": Kind("qemu-system-x86_64", ("-machine", "q35", "-cpu", "max"), "console=ttyS0 no_timer_check", "linux-image-cloud-amd64"),
}
PACKAGES = ["systemd", "systemd-sysv", "passwd", "e2fsprogs", "udev", "initramfs-tools"]
# What has nothing to do here and takes a minute of an emulated machine.
NOT_STARTED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
               "getty-static.service", "getty@tty1.service", "systemd-networkd-wait-online.service"]
# The hand is a shell for whoever connects. The network has nobody in it but the emulator, which forwards a port of 127.0.0.1.
FILES = {
    "etc/initramfs-tools/conf.d/emulated": "MODULES=list\n",
    "etc/fstab": "/dev/vda / ext4 errors=remount-ro 0 1\n",
    "etc/hostname": "emulated\n",
    "etc/systemd/network/all.network": "[Match]\nType=ether\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n",
    "etc/systemd/system/hand.socket": f"[Socket]\nListenStream={HAND_PORT}\nAccept=yes\n[Install]\nWantedBy=sockets.target\n",
    "etc/systemd/system/hand@.service": "[Unit]\nCollectMode=inactive-or-failed\n[Service]\nExecStart=-/bin/sh\nStandardInput=socket\n",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def prepare(root, kind):
    """Makes a root bootable in this machine."""
    for name, text in FILES.items():
        place = root.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    # A cut at the first boot would otherwise make the next one the first again.
    (root.path / "etc/machine-id").unlink(missing_ok=True)
    root.run("systemd-machine-id-setup")
    root.run("systemctl", "enable", "systemd-networkd.service", "hand.socket")
    root.run("systemctl", "mask", *NOT_STARTED)
    # Debian's kernel with the modules of this machine alone: to look through all of them takes minutes where programs are emulated.
    with (root.path / "etc/initramfs-tools/modules").open("a", encoding="ascii") as file:
        file.write("virtio_pci\nvirtio_blk\next4\n")
    root.run("apt-get", "install", "-q", "-y", "--no-install-recommends", kind.kernel)
    root.run("apt-get", "clean")


def differing_sectors(one, other):
    with open(one, "rb") as first, open(other, "rb") as second:
        at = 0
        while chunk := first.read(CHUNK):
            against = second.read(CHUNK)
            if chunk != against:
                yield from (at + place for place in range(0, len(chunk), SECTOR) if chunk[place:place + SECTOR] != against[place:place + SECTOR])
            at += len(chunk)


def copy(source, target):
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True)


@dataclass(frozen=True)
class Left:
    """What a cut left, for the report."""
    operations: int
    flushes: int
    unflushed_sectors: int
    kept_sectors: int


class Disk:
    def __init__(self, folder, root):
        self.first, self.image, self.log = folder / "first.img", folder / "disk.img", folder / "writes.log"
        used = int(subprocess.run(["du", "-sm", str(root)], check=True, text=True, capture_output=True).stdout.split()[0])
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.first),
                        f"{used + DISK_MIB_FREE}M"], check=True, stdout=subprocess.DEVNULL)

    def begin(self):
        """The words of QEMU for a machine that begins with what the last cut left."""
        copy(self.first, self.image)
        self.log.write_bytes(b"")
        unsynced = "{0}.cache.no-flush=on"  # of this machine's files, whose power stays on
        drive = ",".join(["driver=blklogwrites,node-name=disk,log-sector-size=512", f"file.driver=file,file.filename={self.image}",
                          f"log.driver=file,log.filename={self.log}", unsynced.format("file"), unsynced.format("log")])
        return ["-blockdev", drive, "-device", "virtio-blk-pci,drive=disk,write-cache=on"]

    def has_unflushed(self):
        """Whether something was written behind the last flush; while the machine stands still."""
        log = WriteLog(self.log)
        last = log.entries[-1] if log.entries else None
        return last is not None and (not last.is_flush or last.data + last.size < self.log.stat().st_size)

    def leave(self, kept, seed):
        """The next machine begins with what a power cut leaves now, when the last one is dead."""
        log = WriteLog(self.log)
        last = max(log.flushes(), default=-1)
        with open(self.first, "r+b") as file:
            for entry in log.entries[:last + 1]:
                file.seek(entry.offset)
                file.write(log.data(entry))
        unflushed = list(differing_sectors(self.first, self.image))
        chosen = self._choose(unflushed, kept, seed)
        with open(self.first, "r+b") as file, open(self.image, "rb") as image:
            for at in chosen:
                image.seek(at)
                file.seek(at)
                file.write(image.read(SECTOR))
        return Left(len(log.entries), len(log.flushes()), len(unflushed), len(chosen))

    @staticmethod
    def _choose(sectors, kept, seed):
        if kept == "sectors":
            rng = random.Random(seed)
            return [at for at in sectors if rng.random() < 0.5]
        return sectors if kept == "given" else []


class EmulatedMachine:
    """Boots, in its constructor, what is on the disk."""

    def __init__(self, kind, folder, disk, ports):
        self.hand, self.console = free_port(), folder / "console.txt"
        boot = folder / "root/boot"
        forwarded = "".join(f",hostfwd=tcp:127.0.0.1:{here}-10.0.2.15:{there}" for there, here in {**ports, HAND_PORT: self.hand}.items())
        command = [kind.emulator, *kind.options, "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on", "-smp", "1", "-m", "1024", "-nographic", "-no-reboot",
                   "-kernel", str(next(boot.glob("vmlinuz-*"))), "-initrd", str(next(boot.glob("initrd.img-*"))),
                   "-append", f"root=/dev/vda ro panic=-1 {kind.words}", *disk.begin(), "-device", "virtio-rng-pci",
                   "-netdev", f"user,id=net{forwarded}", "-device", "virtio-net-pci,netdev=net,romfile="]
        with open(self.console, "wb") as console:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
        try:
            wait_for("the machine to ask for a login", self._asks_for_login, BOOT_SECONDS_MAX)
            state = self.run("systemctl is-system-running --wait", check=False, patience=BOOT_SECONDS_MAX).strip()
            expect(state in ("running", "degraded"), f"the machine is {state}")
            if state == "degraded":
                print(f"failed in the machine: {self.run('systemctl list-units --failed --plain --no-legend')}", flush=True)
        except BaseException:
            self.cut()
            raise

    def said(self):
        return self.console.read_text(errors="replace")

    def _asks_for_login(self):
        expect(self.process.poll() is None, f"the emulator ended with {self.process.returncode}: {self.said()[-2000:]}")
        return " login:" in self.said()

    def run(self, script, check=True, patience=180):
        """What a shell inside says to a script, as root."""
        with socket.create_connection(("127.0.0.1", self.hand), timeout=patience) as hand:
            hand.sendall(f"exec 2>&1\n{{ {script}\n}} < /dev/null\nprintf '\\n%d' $?\nexit\n".encode())
            said = b""
            while part := hand.recv(1 << 20):
                said += part
        text, _, status = said.decode(errors="replace").rpartition("\n")
        expect(status.isdigit(), f"no answer to: {script}")
        expect(not check or status == "0", f"{script}: failed with {status}:\n{text[-2000:]}")
        return text

    def show(self, unit, *properties):
        shown = self.run(f"systemctl show {unit} " + " ".join(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in shown.splitlines() if line)

    def journal(self, unit):
        """The entries of this boot about a unit, oldest first, those of systemd about it too."""
        return [json.loads(line) for line in self.run(f"journalctl --boot --unit {unit} --output=json --no-pager --all").splitlines() if line]

    def cut(self):
        """The machine is gone from one moment to the next."""
        self.process.kill()
        self.process.wait()

    def cut_between_flushes(self, disk, rng):
        """At a random moment at which something is not flushed. Held still meanwhile, so that it is still so when it ends."""
        for _ in range(CUT_TRIES):
            time.sleep(rng.uniform(0, 0.3))
            self.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            expect(self.process.poll() is None, f"the emulator ended by itself with {self.process.returncode}: {self.said()[-2000:]}")
            if disk.has_unflushed():
                break
            self.process.send_signal(signal.SIGCONT)
        self.cut()

    def power_off(self):
        with contextlib.suppress(OSError, Failed):
            self.run("systemctl poweroff", check=False)
        try:
            self.process.wait(180)
        except subprocess.TimeoutExpired:
            self.cut()
            raise Failed("the machine does not switch itself off") from None
