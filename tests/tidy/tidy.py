#!/usr/bin/env python3
"""Checks the tree: who includes whom, sizes, forbidden calls, unregistered sources and tests, and with --format
clang-format. Prints one line a finding and exits 1 when there is any.

  tests/tidy/tidy.py [--root DIR] [--format]
"""
import argparse
import os
import subprocess
import sys
from pathlib import Path

import source_rules
import tree_rules

PICTURES = {".png"}


def tree_files(root: Path):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in tree_rules.IGNORED_NAMES)
        for name in sorted(set(names) - tree_rules.IGNORED_NAMES):
            file = Path(folder) / name
            if file.suffix not in PICTURES and file.is_file():
                yield file


def read(file: Path):
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return None  # test data


def check_tree(root: Path):
    findings = []
    for file in tree_files(root):
        path, text = file.relative_to(root).as_posix(), read(file)
        if text is None or path == "LICENSE" or path.startswith("tests/fuzz/corpus/"):
            continue
        findings += tree_rules.check_text(path, text)
        if file.suffix in (".h", ".cc"):
            findings += source_rules.check_source(path, text)
        if file.suffix == ".md":
            findings += tree_rules.check_links(root, path, text)
    for rule in tree_rules.TREE_RULES:
        findings += rule(root)
    return findings


def long_files(root: Path):
    for file in tree_files(root):
        lines = (read(file) or "").count("\n")
        if file.suffix in (".h", ".cc", ".py") and lines > source_rules.FILE_LINES_THINK:
            yield f"{file.relative_to(root)}: {lines} lines; would two files be easier to live in?"


def check_format(root: Path) -> int:
    sources = [str(file) for file in tree_files(root) if file.suffix in (".h", ".cc")]
    return subprocess.run(["clang-format-14", "--dry-run", "-Werror", "--ferror-limit=3", *sources], check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--format", action="store_true", help="only run clang-format over the sources")
    arguments = parser.parse_args()
    if arguments.format:
        return 1 if check_format(arguments.root) else 0
    for hint in long_files(arguments.root):
        print(f"note: {hint}")
    findings = check_tree(arguments.root)
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
