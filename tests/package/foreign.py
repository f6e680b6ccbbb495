"""Programs of another architecture that run here as if they were the machine's own, by qemu-user-static and the kernel's binfmt_misc."""
import contextlib
import pathlib
import subprocess

from debian_root import cannot_be_made, native_architecture, needs

BINFMT = pathlib.Path("/proc/sys/fs/binfmt_misc")
EMULATORS = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}  # as Debian names them to the kernel


def is_foreign(architecture):
    return architecture != native_architecture()


def _mount():
    mounted = subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=False, text=True, capture_output=True)
    if mounted.returncode != 0:
        raise OSError(mounted.stderr.strip())


@contextlib.contextmanager
def programs(architecture, test):
    """While it lasts the kernel hands programs of that architecture to the emulator, in other roots too. What was set up before stays.

    Needs root; what Debian's package registers where systemd runs is registered here by what it says. Ends the test of that name with
    77 where qemu-user-static is not installed or the kernel has no binfmt_misc for it.
    """
    if not is_foreign(architecture):
        yield
        return
    name = EMULATORS[architecture]
    needs(test, f"{name}-static")
    mounted = not (BINFMT / "register").exists()
    registered = False
    try:
        try:
            if mounted:
                _mount()
            if not (BINFMT / name).exists():
                (BINFMT / "register").write_text(rule_of(name), encoding="latin-1")
                registered = True
        except OSError as problem:
            cannot_be_made(test, f"the kernel takes no emulator for {architecture} by binfmt_misc: {problem}")
        yield
    finally:
        if registered:
            (BINFMT / name).write_text("-1")
        if mounted and BINFMT.is_mount():
            subprocess.run(["umount", str(BINFMT)], check=True)


def rule_of(name):
    return pathlib.Path(f"/usr/lib/binfmt.d/{name}.conf").read_text(encoding="latin-1").strip()
