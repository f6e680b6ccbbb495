#!/usr/bin/env python3
"""Makes the package a second time and compares it byte by byte.

    reproducible_test.py --packed    packed again from the same build, by a user with another umask, language and time zone
    reproducible_test.py             built again, in a copy of the tree at another place, without the cache of the compiler

build/packages has the first one (scripts/package). The second way builds everything: half an hour on two cores.
"""
import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PACKAGES = TOP / "build/packages"


def run(command, **more):
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"reproducible_test: {command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def epoch():
    return os.environ.get("SOURCE_DATE_EPOCH") or run(["git", "-C", TOP, "log", "-1", "--format=%ct"]).strip()


def pack_again(folder):
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch(), "TZ": "Pacific/Chatham", "LC_ALL": "C", "TIDEGATE_PACKAGES": str(folder / "packages")}
    run(["scripts/package"], cwd=TOP, env=environment, umask=0o077)


def build_again(folder):
    copy = folder / "elsewhere"
    copy.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", str(TOP), "archive", "HEAD"], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(copy)], input=archive, check=True)
    run(["scripts/package"], cwd=copy, env={**os.environ, "SOURCE_DATE_EPOCH": epoch(), "CCACHE_DISABLE": "1", "TZ": "Pacific/Chatham"}, umask=0o077)
    (copy / "build/packages").rename(folder / "packages")


def files_that_differ(first, second):
    """By what their packages list; for a look at what to mend."""
    def sums(package):
        with tempfile.TemporaryDirectory() as folder:
            run(["dpkg-deb", "--raw-extract", package, folder + "/x"])
            paths = sorted((Path(folder) / "x").rglob("*"))
            return {str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else "",
                                                    oct(path.lstat().st_mode), int(path.lstat().st_mtime)) for path in paths}
    one, two = sums(first), sums(second)
    return [f"{name}: {one.get(name)} and {two.get(name)}" for name in sorted(set(one) | set(two)) if one.get(name) != two.get(name)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", action="store_true")
    arguments = parser.parse_args()
    architecture = run(["dpkg", "--print-architecture"]).strip()
    first = sorted(PACKAGES.glob(f"tidegate*_{architecture}.*deb"))
    if not first:
        raise SystemExit("reproducible_test: build/packages has no package of this architecture: run scripts/package")
    with tempfile.TemporaryDirectory(prefix="tidegate-again-") as folder:
        (pack_again if arguments.packed else build_again)(Path(folder))
        bad = 0
        for package in first:
            again = Path(folder) / "packages" / package.name
            if again.is_file() and again.read_bytes() == package.read_bytes():
                print(f"{package.name}: the same, {package.stat().st_size} bytes, {hashlib.sha256(package.read_bytes()).hexdigest()}")
                continue
            bad += 1
            differ = files_that_differ(package, again) if again.is_file() else ["there is no second one"]
            print("\n  ".join([f"{package.name}: not the same", *differ[:20]]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
