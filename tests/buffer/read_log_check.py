#!/usr/bin/env python3
"""Compares what read_log.py reads with what the program prints: read_log_check.py PROGRAM DATA_DIR. Exits 1 at a difference."""
import json
import subprocess
import sys
from pathlib import Path

import read_log

# What the program adds that the log does not hold in so many words.
DERIVED = {"time_ns", "time_quality"}


def main(program, data_dir):
    for stream in read_log.STREAMS:
        printed = subprocess.run([program, "log", "cat", "--data-dir", data_dir, "--stream", stream], check=True,
                                 capture_output=True, text=True).stdout
        theirs = [{key: value for key, value in json.loads(line).items() if key not in DERIVED}
                  for line in printed.splitlines()]
        ours = [record for segment in sorted((Path(data_dir) / "log" / stream).glob("*.seg"))
                for record in read_log.records(segment, stream)]
        for their, our in zip(theirs, ours):
            if their != our or str(their.get("value")) != str(our.get("value")):
                sys.exit(f"{stream}: the program prints {their}, the document says {our}")
        if len(theirs) != len(ours):
            sys.exit(f"{stream}: the program prints {len(theirs)} records, the document says {len(ours)}")
        print(f"{stream}: {len(ours)} records are the same")


if __name__ == "__main__":
    main(*sys.argv[1:])
