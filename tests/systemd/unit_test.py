#!/usr/bin/env python3
"""Checks the service unit with systemd-analyze: it is well formed, and the sandbox stays as tight as it was."""
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

UNITS = Path(__file__).resolve().parents[2] / "systemd"


def analyze(*arguments):
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


class Unit(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.unit = Path(self.folder.name) / "tidegate.service"
        text = (UNITS / "tidegate.service").read_text(encoding="utf-8")
        # The program is not installed where the tests run.
        self.unit.write_text(text.replace("/usr/bin/tidegate", "/bin/true"), encoding="utf-8")

    def add_drop_in(self, text):
        drop_ins = Path(f"{self.unit}.d")
        drop_ins.mkdir()
        (drop_ins / "serial.conf").write_text(text, encoding="utf-8")

    def verify(self):
        return analyze("verify", "--man=no", self.unit)

    def exposure_is_at_most(self, exposure):
        return analyze("security", "--offline=true", "--no-pager", f"--threshold={round(exposure * 10)}", self.unit).returncode == 0

    def complaints(self):
        return [line for line in self.verify().stderr.splitlines() if "tidegate" in line]

    def test_unit_is_well_formed(self):
        self.assertEqual(0, self.verify().returncode, self.verify().stderr)
        self.assertEqual([], self.complaints())

    def test_a_mistake_in_the_unit_would_be_found(self):
        self.unit.write_text(self.unit.read_text(encoding="utf-8").replace("WatchdogSec", "WatchDogSeconds"), encoding="utf-8")
        self.assertNotEqual([], self.complaints())

    def test_serial_drop_in_is_well_formed(self):
        self.add_drop_in((UNITS / "tidegate-serial.conf").read_text(encoding="utf-8"))
        self.assertEqual([], self.complaints())

    def test_sandbox_is_tight(self):
        self.assertTrue(self.exposure_is_at_most(1.5), analyze("security", "--offline=true", "--no-pager", self.unit).stdout)

    def test_a_weaker_sandbox_would_be_found(self):
        text = self.unit.read_text(encoding="utf-8")
        self.unit.write_text(text.replace("ProtectSystem=strict\n", "").replace("CapabilityBoundingSet=\n", ""), encoding="utf-8")
        self.assertFalse(self.exposure_is_at_most(1.5))

    def test_sysusers_makes_the_user_of_the_unit(self):
        if shutil.which("systemd-sysusers") is None:
            self.fail("systemd-sysusers is missing; scripts/setup installs the package systemd")
        root = Path(self.folder.name) / "root"
        (root / "etc").mkdir(parents=True)
        command = ["systemd-sysusers", f"--root={root}", str(UNITS / "sysusers.conf")]
        subprocess.run(command, check=True, capture_output=True)
        self.assertIn("tidegate:", (root / "etc/passwd").read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
