#!/usr/bin/env python3
"""Makes the bill of materials of the programs of a build folder, and compares it with what these link and load.

    sbom_test.py BUILD PROGRAM ...
"""
import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from bill_of_materials import faults_of, files_of

TOP = Path(__file__).resolve().parents[2]
BUILD, PROGRAMS = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]


def needed_by(program):
    shown = subprocess.run(["readelf", "-dW", str(program)], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", shown))


class BillOfMaterials(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "bill.json"
            subprocess.run([TOP / "scripts/sbom", "--build", BUILD, "--version", "1.2.3", "--output", made, *PROGRAMS], check=True)
            cls.bill = json.loads(made.read_text(encoding="ascii"))

    def test_it_is_well_formed(self):
        self.assertEqual([], list(faults_of(self.bill)))

    def test_mistakes_would_be_found(self):
        for spoil in (lambda bill: bill.pop("serialNumber"), lambda bill: bill["components"].append(bill["components"][0]),
                      lambda bill: bill["components"][0].update(scope="excluded"), lambda bill: bill["components"][0].update(purl="pkg:deb/x"),
                      lambda bill: bill["dependencies"][0]["dependsOn"].append("pkg:deb/debian/nothing"), lambda bill: bill["dependencies"].pop(),
                      lambda bill: bill["metadata"].pop("authors"), lambda bill: bill["metadata"]["component"].pop("supplier")):
            spoilt = json.loads(json.dumps(self.bill))
            spoil(spoilt)
            self.assertNotEqual([], list(faults_of(spoilt)))

    def test_everything_that_is_linked_is_in_it(self):
        linked = set().union(*map(needed_by, PROGRAMS))
        self.assertEqual(set(), {name for name in linked if not name.startswith("ld-linux")} - files_of(self.bill, "required"))

    def test_what_is_loaded_when_it_is_configured_is_optional(self):
        self.assertLessEqual({"libcurl.so.4", "librdkafka.so.1", "libpq.so.5", "libz.so.1"}, files_of(self.bill, "optional"))

    def test_headers_that_are_compiled_in_are_in_it(self):
        compiled_in = {component["name"] for component in self.bill["components"] if "components" not in component}
        self.assertLessEqual({"libtomlplusplus-dev", "libcli11-dev", "libexpected-dev"}, compiled_in)
        self.assertTrue(any(name.startswith("libboost") for name in compiled_in), compiled_in)

    def test_each_library_of_the_documentation_is_in_it(self):
        """docs/dependencies.md has a table of what is in the program."""
        text = (TOP / "docs/dependencies.md").read_text(encoding="utf-8").split("## In the program", 1)[1].split("\n## ", 1)[0]
        documented = {name for line in text.splitlines() if line.startswith("| ") for name in re.findall(r"`(lib[a-z0-9.+-]+-dev|zlib1g-dev)`", line)}
        self.assertGreater(len(documented), 10)
        shown = subprocess.run(["dpkg-query", "--show", "--showformat=${Package} ${source:Package}\n", *documented], check=True, capture_output=True,
                               text=True).stdout
        sources = dict(line.split() for line in shown.splitlines())
        # A package that only points to another one, as libboost-dev does, has the name of that one before its version.
        in_bill = {entry["value"] for component in self.bill["components"] for entry in component["properties"] if entry["name"] == "debian:source"}
        missing = {name for name, source in sources.items()
                   if not any(other == source or other.startswith(source.removesuffix("-defaults")) for other in in_bill)}
        self.assertEqual(set(), missing)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
