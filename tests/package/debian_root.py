"""A directory with a Debian in it, for tests that install the package."""
import os
import shutil
import subprocess

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def needs(test, *programs):
    """Ends the test where something is missing, and says what: 77 is the status of a test that could not be made."""
    missing = [program for program in programs if shutil.which(program) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        print(f"{test}: not run, needs {', '.join(missing)}")
        raise SystemExit(77)


def native_architecture():
    return subprocess.run(["dpkg", "--print-architecture"], check=True, text=True, capture_output=True).stdout.strip()


class Root:
    def __init__(self, path, architecture, include):
        self.path = path
        # Of another architecture the point release alone, as in its sysroot: a mirror may lack a security update for one of them.
        mirrors = ["http://deb.debian.org/debian"] if architecture != native_architecture() else []
        subprocess.run(["mmdebstrap", "--quiet", "--variant=apt", f"--architectures={architecture}", f"--include={','.join(include)}",
                        "bookworm", str(path), *mirrors], check=True)
        shutil.copy("/etc/resolv.conf", path / "etc/resolv.conf")
        self.run("apt-get", "update", "-q")
        # As in any root that is only set up: nothing is started by an installation.
        (path / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (path / "usr/sbin/policy-rc.d").chmod(0o755)

    def run(self, *command, check=True):
        done = subprocess.run(["chroot", str(self.path), *command], env=ENVIRONMENT, text=True, capture_output=True, check=False)
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
