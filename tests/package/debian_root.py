"""A directory with a Debian in it, for tests that install the package, and what such a test needs to begin and to end in order."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

SECONDS_TO_END = 30
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def cannot_be_made(test, why):
    """Ends the test: 77 is the status of one that could not be made."""
    print(f"{test}: NOT RUN: {why}", file=sys.stderr)
    sys.exit(77)


def needs(test, *programs):
    missing = [program for program in programs if shutil.which(program) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        cannot_be_made(test, f"it needs {', '.join(missing)}")


def _end(number, _):
    sys.exit(128 + number)


@contextlib.contextmanager
def folder_for(test, kept=None):
    """A folder that everybody may enter; one that is not `kept` goes at the end. A SIGTERM is such an end: what was set up is taken down."""
    before = signal.signal(signal.SIGTERM, _end)
    folder = kept or pathlib.Path(tempfile.mkdtemp(prefix=f"tidegate-{test}-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        yield folder.resolve()
    finally:
        if not kept:
            # What was interrupted while it made a root may have left a /dev there that is the machine's own.
            subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)
        signal.signal(signal.SIGTERM, before)


def run(command, check=True, **options):
    """As subprocess.run; when this program is ended meanwhile, so is all that the command has started, before anything is taken down."""
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        try:
            output, errors = process.communicate()
        except BaseException:
            _end_session(process)
            raise
    done = subprocess.CompletedProcess(command, process.returncode, output, errors)
    if check:
        done.check_returncode()
    return done


def _end_session(process):
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(SECONDS_TO_END)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def native_architecture():
    return subprocess.run(["dpkg", "--print-architecture"], check=True, text=True, capture_output=True).stdout.strip()


def architecture_of(package):
    return subprocess.run(["dpkg-deb", "-f", str(package), "Architecture"], check=True, text=True, capture_output=True).stdout.strip()


class Root:
    def __init__(self, path, architecture, include):
        self.path = path
        # Of another architecture the point release alone, as in its sysroot: a mirror may lack a security update for one of them.
        mirrors = ["http://deb.debian.org/debian"] if architecture != native_architecture() else []
        run(["mmdebstrap", "--quiet", "--variant=apt", f"--architectures={architecture}", f"--include={','.join(include)}",
             "bookworm", str(path), *mirrors])
        shutil.copy("/etc/resolv.conf", path / "etc/resolv.conf")
        self.run("apt-get", "update", "-q")
        # As in any root that is only set up: nothing is started by an installation.
        (path / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (path / "usr/sbin/policy-rc.d").chmod(0o755)

    def run(self, *command, check=True):
        done = run(["chroot", str(self.path), *command], check=False, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def install(self, package):
        shutil.copy(package, self.path / "tmp" / package.name)
        self.run("apt-get", "install", "-q", "-y", "--no-install-recommends", "--allow-downgrades", f"/tmp/{package.name}")
        (self.path / "tmp" / package.name).unlink()

    def named(self):
        """What bears the name of the package, but for what dpkg and apt write down about everything."""
        found = self.run("find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/var/log", "-o", "-path", "/var/cache", ")",
                         "-prune", "-o", "-name", "*tidegate*", "-print")
        return sorted(line for line in found.stdout.splitlines())
