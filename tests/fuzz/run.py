#!/usr/bin/env python3
"""Builds the fuzzers (run.py build) or runs one of them for a while (run.py mqtt, payload, segment,
sparkplug or state).

TIDEGATE_FUZZ_SECONDS says for how long. If it is not set: a minute from one and the same seed, so that what is found then
was brought by the change at hand. New inputs go to build/fuzz/corpus/NAME, which the next run
begins with; what breaks a promise is kept in build/fuzz/findings and named in the output: run the fuzzer with that file to
see it again, and add the file to tests/fuzz/corpus/NAME with the fix."""
import os
import pathlib
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / "build" / "fuzz"
FUZZERS = ("mqtt", "payload", "segment", "sparkplug", "state")
COMPILER = "clang++-14"


def build():
    if shutil.which(COMPILER) is None:
        sys.exit(f"fuzz: {COMPILER} is not installed; scripts/setup installs it (packages clang-14 and libclang-rt-14-dev)")
    subprocess.run(["cmake", "--preset", "fuzz"], cwd=TOP, check=True, stdout=subprocess.DEVNULL)
    return subprocess.run(["cmake", "--build", "--preset", "fuzz"], cwd=TOP).returncode


def seconds():
    text = os.environ.get("TIDEGATE_FUZZ_SECONDS", "60")
    if not text.isdigit() or int(text) == 0:
        sys.exit(f"fuzz: TIDEGATE_FUZZ_SECONDS is '{text}', should be a whole number of seconds from 1 on")
    return text


def seed():
    return [] if "TIDEGATE_FUZZ_SECONDS" in os.environ else ["-seed=1"]


def fuzz(name):
    fuzzer = BUILD / "bin" / f"{name}_fuzzer"
    if not fuzzer.exists():
        sys.exit(f"fuzz: {fuzzer} is missing; build it with: tests/fuzz/run.py build")
    corpus = BUILD / "corpus" / name
    findings = BUILD / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    if os.access("/dev/shm", os.W_OK):
        environment["TMPDIR"] = "/dev/shm"  # a database an input
    return subprocess.run(
        [fuzzer, *seed(), f"-max_total_time={seconds()}", "-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1",
         "-close_fd_mask=2",  # what the log says of the damage; a finding run by itself shows it
         f"-artifact_prefix={findings}/{name}-", corpus, TOP / "tests" / "fuzz" / "corpus" / name],
        env=environment).returncode


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("build", *FUZZERS):
        sys.exit(__doc__)
    sys.exit(build() if sys.argv[1] == "build" else fuzz(sys.argv[1]))
