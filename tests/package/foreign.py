"""Programs of another architecture that run here as if they were the machine's own, by qemu-user-static and the kernel's binfmt_misc."""
import contextlib
import pathlib
import platform
import subprocess

BINFMT = pathlib.Path("/proc/sys/fs/binfmt_misc")
EMULATORS = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}  # as Debian names them to the kernel
NATIVE = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}


def is_foreign(architecture):
    return NATIVE.get(platform.machine()) != architecture


@contextlib.contextmanager
def programs(architecture):
    """While it lasts the kernel hands programs of that architecture to the emulator, in other roots too. What was set up before stays.

    Needs root; what Debian's package registers where systemd runs is registered here by what it says. Raises OSError where the kernel
    has no binfmt_misc and FileNotFoundError where qemu-user-static is not installed.
    """
    if not is_foreign(architecture):
        yield
        return
    name = EMULATORS[architecture]
    rule = pathlib.Path(f"/usr/lib/binfmt.d/{name}.conf").read_text(encoding="latin-1").strip()
    mounted = not (BINFMT / "register").exists()
    if mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
    registered = not (BINFMT / name).exists()
    if registered:
        (BINFMT / "register").write_text(rule, encoding="latin-1")
    try:
        yield
    finally:
        if registered:
            (BINFMT / name).write_text("-1")
        if mounted:
            subprocess.run(["umount", str(BINFMT)], check=True)
