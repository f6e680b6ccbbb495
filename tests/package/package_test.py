#!/usr/bin/env python3
"""Installs the Debian package into a fresh Debian 12 root, and upgrades, downgrades, removes and purges it there.

    python3 -B tests/package/package_test.py build/packages/tidegate_0.1.0-1_amd64.deb

Root, mmdebstrap, and a mirror of Debian within reach. The program runs in the root as the user that the package makes; it
is killed before the other version comes, so that this one finds a log that was not closed. The other version is the same
program under the next number. Programs of another architecture run by qemu-user-static.
"""

import argparse
import gzip
import json
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.request

import foreign
from bill_of_materials import faults_of, files_of
from debian_root import Root, architecture_of, folder_for, needs

CONFIGURATION = """[gateway]
data_dir = "/var/lib/tidegate"
runtime_dir = "/run/tidegate"
admin = "127.0.0.1:{port}"
[[driver.simulator]]
name = "sim"
devices = 2
tags = 4
interval = "20ms"
[[uplink.file]]
name = "export"
path = "/srv/export/{{stream}}.ndjson"
"""

INSTALLED_MIB_MOST = 6
MODES = {  # path: (mode, owner)
    "usr/bin/tidegate": (0o755, 0),
    "usr/lib/systemd/system/tidegate.service": (0o644, 0),
    "usr/lib/systemd/system/tidegate-clock.service": (0o644, 0),
    "usr/libexec/tidegate-clock": (0o755, 0),
    "usr/lib/sysusers.d/tidegate.conf": (0o644, 0),
    "etc/tidegate/tidegate.toml": (0o644, 0),
    "usr/share/bash-completion/completions/tidegate": (0o644, 0),
    "usr/share/man/man1/tidegate.1.gz": (0o644, 0),
    "usr/share/man/man5/tidegate.toml.5.gz": (0o644, 0),
    "usr/share/doc/tidegate/copyright": (0o644, 0),
    "usr/share/doc/tidegate/changelog.gz": (0o644, 0),
    "usr/share/doc/tidegate/changelog.Debian.gz": (0o644, 0),
}


class Daemon:
    """The program in the root, as its user, until it is killed."""

    def __init__(self, root, port):
        self.port, self.log = port, root.path.parent / "daemon.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["chroot", "--userspec=tidegate:tidegate", str(root.path), "/usr/bin/tidegate", "run", "--config",
                 "/etc/tidegate/tidegate.toml"], stdin=subprocess.DEVNULL, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def metric(self, name):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as reply:
                lines = reply.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))

    def wait_for(self, name, least):
        deadline = time.monotonic() + 120
        while self.metric(name) < least:
            expect(self.process.poll() is None and time.monotonic() < deadline,
                   f"the daemon does not get {name} to {least}:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.05)


def expect(condition, message):
    if not condition:
        raise SystemExit(f"package_test: {message}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def under_next_number(package, directory):
    """The same content with another version."""
    content = directory / "content"
    subprocess.run(["dpkg-deb", "-R", str(package), str(content)], check=True)
    control = content / "DEBIAN/control"
    text = control.read_text()
    version = next(line.split(" ", 1)[1] for line in text.splitlines() if line.startswith("Version: "))
    control.write_text(text.replace(f"Version: {version}", f"Version: {version}+next1"))
    other = directory / f"tidegate_{version}+next1.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(content), str(other)], check=True, stdout=subprocess.DEVNULL)
    return other


def check_sums(package, directory):
    """The sums are of the files of the package, which dpkg --verify goes by; so are those of its symbols, where they lie beside it."""
    for number, file in enumerate([package, *package.parent.glob(package.name.replace("_", "-dbgsym_", 1)[:-len("deb")] + "ddeb")]):
        content = directory / f"sums{number}"
        subprocess.run(["dpkg-deb", "-R", str(file), str(content)], check=True)
        done = subprocess.run(["md5sum", "--check", "--quiet", "--strict", "DEBIAN/md5sums"], cwd=content, check=False, capture_output=True, text=True)
        expect(done.returncode == 0, f"{file.name}: {done.stdout}{done.stderr}")
        shutil.rmtree(content)


def check_shipped(root):
    """Every program of the package is built as the guide says, and the bill of materials names what they link."""
    listed = root.run("dpkg-query", "--listfiles", "tidegate").stdout.split()
    programs = [root.path / name.lstrip("/") for name in listed if (root.path / name.lstrip("/")).is_file() and
                (root.path / name.lstrip("/")).read_bytes()[:4] == b"\x7fELF"]
    expect(sorted(path.name for path in programs) == ["tidegate", "tidegate-clock"], f"programs of the package: {programs}")
    test = pathlib.Path(__file__).with_name("hardening_test.py")
    done = subprocess.run([sys.executable, "-B", test, *programs], check=False, capture_output=True, text=True)
    expect(done.returncode == 0, done.stderr)
    bill = json.loads((root.path / "usr/share/doc/tidegate/tidegate.cdx.json").read_text(encoding="ascii"))
    expect(not list(faults_of(bill)), f"the bill of materials: {list(faults_of(bill))}")
    linked = {name: path for program in programs for name, path in linked_by(root, program).items()}
    expect(set(linked) <= files_of(bill, "required"), f"not in the bill of materials: {set(linked) - files_of(bill, 'required')}")
    check_dependencies(root, programs, linked)


def linked_by(root, program):
    """The libraries that the program links, and those that these link, with their places in the root."""
    shown = root.run("ldd", f"/{program.relative_to(root.path)}").stdout
    return dict(re.findall(r"^\s*(\S+) => (/\S+)", shown, re.MULTILINE))


def check_dependencies(root, programs, linked):
    """The package depends on the packages of what its programs name and its units run, and on no other: the list is written by hand."""
    named = {name for program in programs
             for name in re.findall(r"\(NEEDED\).*\[(.+)\]", subprocess.run(["readelf", "-dW", program], check=True, text=True, capture_output=True).stdout)}
    owners = {root.run("dpkg-query", "--search", f"*/{(root.path / linked[name].lstrip('/')).resolve().name}").stdout.split(":")[0]
              for name in named if not name.startswith("ld-linux")}
    owners |= {root.run("dpkg-query", "--search", program).stdout.split(":")[0] for program in run_by_units(root)} - {"tidegate"}
    depends = root.run("dpkg-query", "--show", "--showformat=${Depends}", "tidegate").stdout
    listed = {word.split()[0] for word in depends.split(", ") if "|" not in word}
    expect(owners == listed, f"the programs need files of {sorted(owners)}, the package depends on {sorted(listed)}")


def run_by_units(root):
    """The programs that stand in Exec...= of the units."""
    texts = [(root.path / path).read_text(encoding="utf-8") for path in MODES if path.endswith(".service")]
    return {program for text in texts for program in re.findall(r"^Exec\w+=(/\S+)", text, re.MULTILINE)}


def check_documents(root):
    """What the documents of the package link to is in it, so that they can be read where there is no network. Long ones are compressed."""
    top = root.path / "usr/share/doc/tidegate"
    pages = sorted([*top.rglob("*.md"), *top.rglob("*.md.gz")])
    expect(len(pages) > 20, f"only {len(pages)} documents are installed")
    for page in pages:
        text = (gzip.decompress(page.read_bytes()) if page.suffix == ".gz" else page.read_bytes()).decode()
        text = re.sub(r"!\[[^]]*\]\([^)]*\)", "", text)  # pictures are for who reads in a browser
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            place = (page.parent / target).resolve()
            if {top / "docs", top / "uplink"} & {place, *place.parents}:
                expect(place.exists() or place.with_name(f"{place.name}.gz").exists(),
                       f"{page.relative_to(top)} links to {target}, which is not installed")


def check_size(root):
    """The program and all files of its own, as the disk of a small box has to hold them."""
    listed = [root.path / name.lstrip("/") for name in root.run("dpkg-query", "--listfiles", "tidegate").stdout.split()]
    sizes = {path: path.stat().st_size for path in listed if path.is_file() and not path.is_symlink()}
    total = sum(sizes.values()) / (1024 * 1024)
    print(f"package_test: {len(sizes)} files, {total:.2f} MiB installed", flush=True)
    expect(total < INSTALLED_MIB_MOST, f"{total:.2f} MiB installed, at most {INSTALLED_MIB_MOST}: "
           f"{sorted(((size, path.name) for path, size in sizes.items()), reverse=True)[:5]}")


def check_installed(root):
    for path, (mode, owner) in MODES.items():
        found = (root.path / path).stat()
        expect(stat.S_IMODE(found.st_mode) == mode and found.st_uid == owner,
               f"/{path} has mode {stat.S_IMODE(found.st_mode):o} and owner {found.st_uid}, wanted {mode:o} and {owner}")
    expect("tidegate:x:" in (root.path / "etc/passwd").read_text(), "there is no user tidegate")
    enabled = root.path / "etc/systemd/system/multi-user.target.wants/tidegate.service"
    expect(enabled.is_symlink(), "the service is not enabled")
    expect("not found" not in root.run("ldd", "/usr/bin/tidegate").stdout, "a library is missing that the package should depend on")
    expect(root.run("tidegate", "--version").stdout.strip() != "", "--version says nothing")
    root.run("tidegate", "check")


def run_and_kill(root, port, records):
    with Daemon(root, port) as daemon:
        daemon.wait_for("tidegate_readings_delivered_total", records)
    expect(root.run("tidegate", "log", "verify", "--data-dir", "/var/lib/tidegate").returncode == 0, "the log is damaged")


def sequences(root):
    lines = (root.path / "srv/export/readings.ndjson").read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return [(entry["epoch"], entry["seq"]) for entry in entries]


def check_purge_of_others(root, package):
    """A purge takes what the package made: neither the account of somebody who had the name before, nor a place where a disk is mounted."""
    root.run("useradd", "-m", "-s", "/bin/sh", "tidegate")
    root.install(package)
    data = root.path / "var/lib/tidegate"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tidegate-test", str(data)], check=True)
    try:
        (data / "log").mkdir()
        (data / "log/record").write_text("x")
        root.run("apt-get", "purge", "-q", "-y", "tidegate")
        expect(not list(data.iterdir()), "a purge leaves the data on a disk of their own")
    finally:
        subprocess.run(["umount", str(data)], check=True)
    expect("tidegate:" in (root.path / "etc/passwd").read_text(), "a purge takes the account of somebody else")
    root.run("userdel", "-r", "tidegate", check=False)
    data.rmdir()


def check_removal_given_up(root, package):
    """prerm has stopped the service, and the removal does not go on: the service is started again."""
    root.install(package)
    (root.path / "run/systemd/system").mkdir(parents=True)
    invoke = root.path / "usr/bin/deb-systemd-invoke"
    invoke.rename(invoke.with_suffix(".kept"))
    invoke.write_text("#!/bin/sh\necho \"$@\" >> /tmp/invoked\n")
    invoke.chmod(0o755)
    prerm = root.path / "var/lib/dpkg/info/tidegate.prerm"
    text = prerm.read_text()
    prerm.write_text(text + "exit 1\n")
    expect(root.run("dpkg", "--remove", "tidegate", check=False).returncode != 0, "a prerm that fails stops no removal")
    said = (root.path / "tmp/invoked").read_text().splitlines()
    expect(said == ["stop tidegate.service", "start tidegate.service"], f"a removal that is given up does {said}")
    prerm.write_text(text)
    invoke.with_suffix(".kept").rename(invoke)
    (root.path / "run/systemd/system").rmdir()
    (root.path / "tmp/invoked").unlink()
    root.run("apt-get", "purge", "-q", "-y", "tidegate")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=pathlib.Path)
    arguments = parser.parse_args()
    needs("package_test", "mmdebstrap")
    architecture = architecture_of(arguments.package)
    with folder_for("package") as directory, foreign.programs(architecture, "package_test"):
        test(arguments.package, architecture, directory)
    return 0


def test(package, architecture, directory):
    # Nothing that the package itself has to bring: what it lacks is seen.
    root = Root(directory / "root", architecture, ["systemd-standalone-sysusers", "passwd"])
    port = free_port()
    other = under_next_number(package, directory)
    check_sums(package, directory)

    root.install(package)
    check_installed(root)
    check_size(root)
    check_documents(root)
    check_shipped(root)
    # What systemd makes of StateDirectory= and RuntimeDirectory=.
    for path in ("var/lib/tidegate", "run/tidegate", "srv/export"):
        (root.path / path).mkdir(parents=True, exist_ok=True)
    root.run("chown", "-R", "tidegate:tidegate", "/var/lib/tidegate", "/run/tidegate", "/srv/export")
    (root.path / "etc/tidegate/tidegate.toml").write_text(CONFIGURATION.format(port=port))
    run_and_kill(root, port, 2000)
    print(f"installed: {len(sequences(root))} readings exported, killed")

    for step, version in (("upgraded", other), ("downgraded", package)):
        before = len(sequences(root))
        root.install(version)
        expect("interval = \"20ms\"" in (root.path / "etc/tidegate/tidegate.toml").read_text(), "the configuration was replaced")
        check_installed(root)
        run_and_kill(root, port, before + 1000)
        print(f"{step}: {len(sequences(root))} readings exported, killed")
    numbers = sorted(set(seq for _, seq in sequences(root)))
    expect(numbers == list(range(numbers[0], numbers[-1] + 1)), "the export has holes")

    root.run("apt-get", "remove", "-q", "-y", "tidegate")
    expect((root.path / "var/lib/tidegate/log").is_dir(), "a removal took the data")
    expect((root.path / "etc/tidegate/tidegate.toml").is_file(), "a removal took the configuration")
    root.run("apt-get", "purge", "-q", "-y", "tidegate")
    expect(root.named() == [], f"a purge leaves {root.named()}")
    expect("tidegate" not in (root.path / "etc/passwd").read_text(), "a purge leaves the user")
    print("removed: data kept; purged: nothing left")
    check_purge_of_others(root, package)
    check_removal_given_up(root, package)
    print("a purge takes nothing of others; a removal that is given up starts the service again")


if __name__ == "__main__":
    sys.exit(main())
