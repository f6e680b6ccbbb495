#!/usr/bin/env python3
"""Checks the service units with systemd-analyze, which needs no running systemd: they are well formed, and the sandbox stays as tight
as it was."""
import ctypes
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from unit_files import UNITS, listed_calls, members_of, text_of, values_of

SERVICE, CLOCK, SERIAL = "tidegate.service", "tidegate-clock.service", "tidegate-serial.conf"
EXPOSURE_MAX, SERIAL_EXPOSURE_MAX = 1.1, 1.5
CLOSING = re.compile(r"(?:AmbientCapabilities|CapabilityBoundingSet|DevicePolicy|KeyringMode|LimitCORE|LockPersonality|MemoryDenyWriteExecute|"
                     r"NoNewPrivileges|Private\w+|ProcSubset|Protect\w+|ReadOnlyPaths|RemoveIPC|Restrict(?!Prevent)\w+|SystemCallArchitectures)=.*")
CALLS_MAX = 90


def analyze(*arguments):
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def is_known_here(call):
    """Whether this architecture has the system call; all count where libseccomp cannot be asked."""
    try:
        return ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name(call.encode()) >= 0
    except OSError:
        return True


class Unit(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in (SERVICE, CLOCK):
            # The programs are not installed where the tests run.
            text = text_of(name).replace("/usr/bin/tidegate", "/bin/true").replace("/usr/libexec/tidegate-clock", "/bin/true")
            (self.folder / name).write_text(text, encoding="utf-8")

    def change(self, *changes):
        text = (self.folder / SERVICE).read_text(encoding="utf-8")
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        (self.folder / SERVICE).write_text(text, encoding="utf-8")

    def add_drop_in(self):
        drop_ins = self.folder / f"{SERVICE}.d"
        drop_ins.mkdir()
        (drop_ins / "serial.conf").write_text(text_of(SERIAL), encoding="utf-8")

    def complaints(self):
        done = analyze("verify", "--man=no", self.folder / SERVICE, self.folder / CLOCK)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "tidegate" in line]
        return lines if done.returncode == 0 else [*lines, f"exit status {done.returncode}"]

    def assert_exposed_at_most(self, exposure, name=SERVICE):
        done = analyze("security", "--offline=true", "--no-pager", f"--threshold={round(exposure * 10)}", self.folder / name)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_units_are_well_formed(self):
        self.assertEqual([], self.complaints())

    def test_a_mistake_in_the_unit_would_be_found(self):
        self.change(("WatchdogSec", "WatchDogSeconds"))
        self.assertNotEqual([], self.complaints())

    def test_serial_drop_in_is_well_formed(self):
        self.add_drop_in()
        self.assertEqual([], self.complaints())

    def test_sandbox_is_tight(self):
        self.assert_exposed_at_most(EXPOSURE_MAX)
        self.assert_exposed_at_most(EXPOSURE_MAX, CLOCK)

    def test_what_is_closed_to_one_service_is_closed_to_the_other(self):
        """But for the network, which the gateway is there for, and the clock, which tidegate-clock is there for."""
        service, clock = ({line for line in text_of(name).splitlines() if CLOSING.fullmatch(line)} for name in (SERVICE, CLOCK))
        self.assertGreater(len(service & clock), 20)
        self.assertEqual({"ProtectClock=yes", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"}, service - clock)
        self.assertEqual({"PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX"}, clock - service)

    def test_sandbox_with_serial_buses_is_tight(self):
        self.add_drop_in()
        self.assert_exposed_at_most(SERIAL_EXPOSURE_MAX)

    def test_a_weaker_sandbox_would_be_found(self):
        self.change(("ProtectClock=yes\n", ""))
        with self.assertRaises(AssertionError):
            self.assert_exposed_at_most(EXPOSURE_MAX)
        self.add_drop_in()
        with self.assertRaises(AssertionError):
            self.assert_exposed_at_most(SERIAL_EXPOSURE_MAX)

    def test_system_calls_are_listed_one_by_one(self):
        calls = listed_calls(text_of(SERVICE))
        self.assertEqual([], [call for call in calls if call.startswith(("@", "~"))])
        self.assertEqual(len(set(calls)), len(calls), "one stands there twice")
        self.assertEqual(set(), set(calls) - members_of("@known"), "systemd does not know them")
        dangerous = set().union(*(members_of(group) for group in ("@clock", "@debug", "@module", "@mount", "@privileged", "@raw-io", "@reboot",
                                                                   "@resources", "@swap", "@obsolete", "@cpu-emulation")))
        self.assertEqual(set(), dangerous & set(calls))
        self.assertLessEqual(sum(map(is_known_here, calls)), CALLS_MAX)

    def test_nothing_waits_for_the_right_time(self):
        for name in (SERVICE, CLOCK):
            words = " ".join(value for key in ("After", "Requires", "Wants", "BindsTo") for value in values_of(text_of(name), key))
            self.assertNotRegex(words, r"time-sync|time-set|timesyncd|chrony|ntp|network-online")

    def test_a_gateway_that_ends_comes_again_for_ever(self):
        text = text_of(SERVICE)
        for key, value in {"Type": "notify", "Restart": "always", "StartLimitIntervalSec": "0", "RuntimeDirectoryPreserve": "yes",
                           "User": "tidegate", "LimitCORE": "0"}.items():
            self.assertEqual([value], values_of(text, key), key)
        for key in ("WatchdogSec", "MemoryMax", "TasksMax"):
            self.assertEqual(1, len(values_of(text, key)), key)

    def test_sysusers_makes_the_user_of_the_unit(self):
        if shutil.which("systemd-sysusers") is None:
            self.fail("systemd-sysusers is missing; scripts/setup installs the package systemd")
        root = self.folder / "root"
        (root / "etc").mkdir(parents=True)
        command = ["systemd-sysusers", f"--root={root}", str(UNITS / "sysusers.conf")]
        subprocess.run(command, check=True, capture_output=True)
        self.assertIn("tidegate:", (root / "etc/passwd").read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
