#!/usr/bin/env python3
"""Runs clang-tidy 14 over the project's sources with the list of errors in .clang-tidy.

  tests/tidy/run_clang_tidy.py BUILD_FOLDER [PATH_PREFIX ...]
"""
import json
import os
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("core/", "mqtt/", "buffer/", "drivers/", "rules/", "uplink/", "daemon/")
# What GCC is told and clang 14 does not know, or does not need for reading.
GCC_ONLY = ("-Wtrampolines", "-Wbidi-chars", "-ftrivial-auto-var-init", "-fcf-protection", "-mbranch-protection", "-Werror", "-fsanitize",
            "-fno-sanitize", "-Wno-tsan", "-fstack-clash-protection", "-D_FORTIFY_SOURCE", "-U_FORTIFY_SOURCE")


def project_commands(build: Path, prefixes: tuple) -> list:
    commands = []
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        file = Path(entry["directory"], entry["file"]).resolve()
        if not file.is_relative_to(ROOT) or not file.relative_to(ROOT).as_posix().startswith(prefixes):
            continue
        arguments = [word for word in shlex.split(entry["command"]) if not word.startswith(GCC_ONLY) and word != "/usr/bin/ccache"]
        commands.append({"directory": entry["directory"], "file": str(file), "arguments": arguments})
    return commands


def run_one(database: str, file: str) -> subprocess.CompletedProcess:
    command = ["clang-tidy-14", "-p", database, "--quiet", file]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 64
    commands = project_commands(Path(sys.argv[1]).resolve(), tuple(sys.argv[2:]) or FOLDERS)
    if not commands:
        print("clang-tidy: no sources found", file=sys.stderr)
        return 1
    failed = 0
    with tempfile.TemporaryDirectory() as database, ThreadPoolExecutor(os.cpu_count()) as pool:
        Path(database, "compile_commands.json").write_text(json.dumps(commands), encoding="utf-8")
        files = [command["file"] for command in commands]
        for file, result in zip(files, pool.map(lambda name: run_one(database, name), files)):
            if result.returncode != 0:
                failed += 1
                print(f"== {Path(file).relative_to(ROOT)}\n{result.stdout}{result.stderr}", flush=True)
    print(f"clang-tidy: {len(commands)} files, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
