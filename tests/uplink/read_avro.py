"""What Apache Avro's own library for Python says of our schemas and records.

  read_avro.py read SCHEMA RECORDS    a line of RECORDS is one in hexadecimal; prints each as JSON, values of unions of
                                      several types as {"TYPE": VALUE}
  read_avro.py fits SCHEMA OTHER      exits 1 where not each of the two can read what the other has written
"""
import decimal
import io
import json
import sys

import avro.compatibility
import avro.io
import avro.schema

NAMES = {bool: "boolean", int: "long", float: "double", str: "string", decimal.Decimal: "decimal"}


def without_times(schema):
    """Times as the numbers that they are: Python's end with the year 9999."""
    if isinstance(schema, dict):
        return {key: without_times(value) for key, value in schema.items()
                if not (key == "logicalType" and value.startswith("timestamp-"))}
    return [without_times(part) for part in schema] if isinstance(schema, list) else schema


def shown(record, fields):
    out = {}
    for field in fields:
        value = record[field["name"]]
        if isinstance(field["type"], list) and len(field["type"]) > 2 and value is not None:
            value = {NAMES[type(value)]: str(value) if isinstance(value, decimal.Decimal) else value}
        out[field["name"]] = value
    return json.dumps(out)


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def read(schema_path, records_path):
    text = text_of(schema_path)
    avro.schema.parse(text)  # as it is
    fields = json.loads(text)["fields"]
    reader = avro.io.DatumReader(avro.schema.parse(json.dumps(without_times(json.loads(text)))))
    for line in text_of(records_path).splitlines():
        data = io.BytesIO(bytes.fromhex(line))
        record = reader.read(avro.io.BinaryDecoder(data))
        left = data.read()
        if left:
            sys.exit(f"{line}: {len(left)} bytes are left over")
        print(shown(record, fields))


def fits(*paths):
    one, other = (avro.schema.parse(text_of(path)) for path in paths)
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()
    for reader, writer in ((one, other), (other, one)):
        found = checker.get_compatibility(reader, writer)
        if found.compatibility is not avro.compatibility.SchemaCompatibilityType.compatible:
            sys.exit(f"{found.incompatibilities} {found.locations} {found.messages}")


if __name__ == "__main__":
    {"read": read, "fits": fits}[sys.argv[1]](*sys.argv[2:])
