"""The virtual machine of power_cut.py: a kernel of Debian, an initramfs of busybox, the daemon and its sensors, and a
disk whose writes and flushes are logged."""
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

KERNEL_PACKAGE = "linux-image-cloud-amd64"
MODULES = ["virtio_pci", "virtio_blk", "virtio_rng"]
MIB = 1024 * 1024
FILE_SYSTEM_BYTES = 32 * MIB
MARK_BYTES = 16 * 1024
DISK_BYTES = FILE_SYSTEM_BYTES + MIB
BOOT_SECONDS_MAX = 600
HERE = Path(__file__).resolve().parent

# Small rings, so that files are used again and gaps are recorded; an uplink that keeps up and one that never does.
CONFIGURATION = """
[gateway]
id = "cut"
data_dir = "FOLDER/data"
runtime_dir = "RUNTIME"
admin = "ADMIN"
[buffer]
size = "1MiB"
alarms_size = "1MiB"
events_size = "1MiB"
segment_size = "64KiB"
sync = "SYNC"
sync_interval = "20ms"
[[driver.mqtt_listener]]
name = "direct"
listen = "127.0.0.1:PORT"
ack = "WHEN"
  [[driver.mqtt_listener.subscribe]]
  topic = "plant/{device}/{tag}"
  value = "/value"
[[driver.simulator]]
name = "sim"
devices = 2
tags = 2
interval = "20ms"
[[rule]]
name = "odd"
type = "anomaly"
tags = ["sim-*"]
sensitivity = 0.5
warmup = 5
[[uplink.file]]
name = "export"
path = "FOLDER/export/{stream}-{date}.ndjson"
batch = { max_delay = "50ms" }
[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:1"
reconnect_most = "1s"
"""


def configuration(folder, runtime, admin, sync, port, ack="durable"):
    text = CONFIGURATION
    for name, value in (("FOLDER", folder), ("RUNTIME", runtime), ("ADMIN", admin), ("SYNC", sync), ("PORT", port), ("WHEN", ack)):
        text = text.replace(name, str(value))
    return text


def run(*command, **options):
    words = [str(word) for word in command]
    result = subprocess.run(words, check=False, capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit code {result.returncode}\n{result.stdout[-1000:]}{result.stderr[-1000:]}")
    return result.stdout


def unpack_kernel(folder):
    """Debian's kernel, not installed; the folder that holds boot/ and lib/modules/."""
    unpacked = folder / "kernel"
    if not list(unpacked.glob("boot/vmlinuz-*")):
        depends = run("apt-cache", "depends", KERNEL_PACKAGE)
        package = re.search(r"Depends: (linux-image-\S+)", depends)
        if not package:
            raise RuntimeError(f"{KERNEL_PACKAGE} names no kernel: {depends}")
        print(f"power-cut: fetching {package.group(1)}", flush=True)
        run("apt-get", "download", package.group(1), cwd=folder)
        for archive in folder.glob("linux-image-*.deb"):
            run("dpkg-deb", "-x", archive, unpacked)
            archive.unlink()
    return unpacked


def modules_in_order(kernel):
    """Files of the modules and of what they need, each behind what it needs."""
    files = {path.stem.replace("-", "_"): path for path in kernel.glob("lib/modules/*/kernel/**/*.ko")}
    order = []

    def add(name):
        path = files.get(name)
        if path is None or path in order:
            return  # built in
        needed = re.search(rb"depends=([^\0]*)\0", path.read_bytes())
        for other in needed.group(1).decode().split(",") if needed else []:
            add(other.replace("-", "_"))
        order.append(path)

    for name in MODULES:
        add(name)
    return order


def libraries_of(*programs):
    found = set()
    for program in programs:
        found |= set(re.findall(r"(/\S+) \(0x", run("ldd", program)))
    return sorted(found)


def make_initramfs(build, kernel, folder, ack):
    root = folder / "initramfs"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "modules", "proc", "sys", "dev", "etc"):
        (root / name).mkdir(parents=True)
    programs = [build / "bin/tidegate", build / "bin/power_cut_guest"]
    for program in programs:
        run("strip", "-o", root / "bin" / program.name, program)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for library in libraries_of(*programs):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    shutil.copy(next(build.rglob("libpower_cut_no_sync.so")), root / "no_sync.so")
    modules = modules_in_order(kernel)
    for module in modules:
        shutil.copy(module, root / "modules")
    (root / "modules/order").write_text("".join(f"{module.name}\n" for module in modules), encoding="utf-8")
    for sync in ("always", "interval"):
        (root / f"etc/{sync}.toml").write_text(configuration("/disk", "/run/tidegate", "127.0.0.1:8480", sync, 1883, ack), encoding="utf-8")
    shutil.copy(HERE / "guest_init.sh", root / "init")
    (root / "init").chmod(0o755)
    names = "".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*")))
    image = folder / "initramfs.cpio"
    with open(image, "wb") as file:
        subprocess.run(["/bin/busybox", "cpio", "-o", "-H", "newc"], check=True, cwd=root, input=names.encode(), stdout=file,
                       stderr=subprocess.DEVNULL)
    return image


def make_disk(path):
    with open(path, "wb") as file:
        file.truncate(DISK_BYTES)
    run("mkfs.ext4", "-q", "-F", "-b", 4096, "-J", "size=4", path, FILE_SYSTEM_BYTES // 4096)


@dataclass
class Run:
    lives: list  # as power_cut_guest takes them
    acknowledged: list  # by sensor, in earlier runs
    control: str | None = None  # what is to be seen losing: "syncs" that lie, or "acks" before the sync
    accelerator: str = "tcg"


def record(build, folder, run_of):
    """Runs the machine to its end, on the disk first.img of the folder. Leaves writes.log there."""
    if platform.machine() != "x86_64":
        raise RuntimeError("the virtual machine is an x86_64 that runs the daemon built here: this is another machine")
    kernel = unpack_kernel(folder.parent)
    initramfs = make_initramfs(build, kernel, folder, "written" if run_of.control == "acks" else "durable")
    disk, log = folder / "disk.img", folder / "writes.log"
    shutil.copy(folder / "first.img", disk)
    log.write_bytes(b"")
    words = ["console=ttyS0", "quiet", "panic=-1", "random.trust_cpu=on", f"MARKS_AT={FILE_SYSTEM_BYTES}", f"LIVES={','.join(run_of.lives)}", f"ACKNOWLEDGED={','.join(map(str, run_of.acknowledged))}"]
    if run_of.control == "syncs":
        words.append("POWER_CUT_PRELOAD=/no_sync.so")
    unsynced = "{0}.cache.no-flush=on"  # of the host's files: what counts is the log
    drive = ",".join(["driver=blklogwrites,node-name=disk,log-sector-size=512", f"file.driver=file,file.filename={disk}",
                      f"log.driver=file,log.filename={log}", unsynced.format("file"), unsynced.format("log")])
    command = ["qemu-system-x86_64", "-accel", run_of.accelerator, "-smp", "2", "-m", "512", "-cpu", "max", "-nographic", "-nic", "none", "-no-reboot",
               "-kernel", next(kernel.glob("boot/vmlinuz-*")), "-initrd", initramfs, "-append", " ".join(words), "-blockdev", drive,
               "-device", "virtio-blk-pci,drive=disk,write-cache=on", "-device", "virtio-rng-pci"]
    with open(folder / "console.txt", "wb") as console:
        subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                       timeout=BOOT_SECONDS_MAX)
    said = (folder / "console.txt").read_text(errors="replace")
    if "power_cut_guest: exit code 0" not in said:
        raise RuntimeError(f"the machine did not come to its end; {folder}/console.txt says:\n{said[-3000:]}")
    return "".join(line + "\n" for line in said.splitlines() if line.startswith("life "))
