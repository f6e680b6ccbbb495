"""What is in the CSV files of a file uplink, by Python's reader: python3 read_csv.py FILE...

Prints a line a record of "readings": TAG TIME VALUE KIND. Exits 1 when a line has another number of columns than the
first one, or there is no such line.
"""
import csv
import sys

HEADER = "stream,gateway,epoch,seq,tag,time,value,kind,quality,reason,time_quality".split(",")


def main():
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, None) != HEADER:
                sys.exit(f"{path}: no header")
            for row in rows:
                if len(row) != len(HEADER):
                    sys.exit(f"{path}: {row}")
                if row[0] == "readings":
                    print(row[4], row[5], repr(row[6]), row[7])


if __name__ == "__main__":
    main()
