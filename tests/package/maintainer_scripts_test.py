#!/usr/bin/env python3
"""Runs the scripts of the package as dpkg calls them, with programs that only note how they were called."""
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "systemd/package"
NOTED = ("systemd-sysusers", "deb-systemd-helper", "deb-systemd-invoke", "systemctl", "getent", "userdel", "rm", "rmdir")


class MaintainerScripts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.calls, self.running = self.folder / "calls", self.folder / "systemd"
        self.running.mkdir()
        programs = self.folder / "programs"
        programs.mkdir()
        for name in NOTED:
            (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n', encoding="utf-8")
            (programs / name).chmod(0o755)

    def give_account(self, home):
        account = self.folder / "programs/getent"
        account.write_text(f"#!/bin/sh\necho tidegate:x:999:999::{home}:/usr/sbin/nologin\n", encoding="utf-8")

    def called(self, script, *arguments, status=0):
        """What the script calls, a line each."""
        self.calls.write_text("", encoding="utf-8")
        text = (SCRIPTS / script).read_text(encoding="utf-8").replace("/run/systemd/system", str(self.running))
        done = subprocess.run(["sh", "-c", text, script, *arguments], check=False, capture_output=True, text=True,
                              env={"PATH": f"{self.folder}/programs:{os.defpath}"})
        self.assertEqual(status, done.returncode, done.stderr)
        return self.calls.read_text(encoding="utf-8").splitlines()

    def test_the_first_installation_starts_the_service_and_an_upgrade_restarts_it(self):
        first, upgrade = self.called("postinst", "configure", ""), self.called("postinst", "configure", "0.0.9-1")
        self.assertEqual("systemd-sysusers tidegate.conf", first[0])
        self.assertIn("deb-systemd-helper enable tidegate.service", first)
        self.assertEqual(["systemctl --system daemon-reload", "deb-systemd-invoke start tidegate.service"], first[-2:])
        self.assertEqual("deb-systemd-invoke restart tidegate.service", upgrade[-1])

    def test_the_service_goes_on_during_an_upgrade_and_ends_at_a_removal(self):
        self.assertEqual([], self.called("prerm", "upgrade", "0.2.0-1"))
        self.assertEqual(["deb-systemd-invoke stop tidegate.service"], self.called("prerm", "remove"))

    def test_a_removal_that_is_given_up_starts_the_service_again(self):
        self.assertEqual("deb-systemd-invoke start tidegate.service", self.called("postinst", "abort-remove")[-1])

    def test_an_upgrade_that_is_given_up_does_not_interrupt_the_service(self):
        self.assertNotIn("deb-systemd-invoke restart tidegate.service", self.called("postinst", "abort-upgrade", "0.2.0-1"))

    def test_a_removal_keeps_the_data_and_a_purge_deletes_it(self):
        self.assertEqual(["systemctl --system daemon-reload"], self.called("postrm", "remove"))
        self.give_account("/var/lib/tidegate")
        purge = self.called("postrm", "purge")
        self.assertLessEqual({"rm -rf /var/lib/tidegate", "rm -rf /run/tidegate"}, set(purge))
        self.assertIn("deb-systemd-helper purge tidegate.service", purge)
        self.assertIn("userdel tidegate", purge)

    def test_a_purge_keeps_the_account_of_somebody_who_had_the_name_before(self):
        self.give_account("/srv/somebody")
        self.assertEqual([], [line for line in self.called("postrm", "purge") if line.startswith("userdel")])

    def test_nothing_is_started_or_stopped_where_systemd_does_not_run(self):
        self.running.rmdir()
        for script, *arguments in (("postinst", "configure", ""), ("postinst", "abort-remove"), ("prerm", "remove"), ("postrm", "remove"), ("postrm", "purge")):
            called = self.called(script, *arguments)
            self.assertEqual([], [line for line in called if line.startswith(("systemctl", "deb-systemd-invoke"))], script)

    def test_a_word_that_dpkg_does_not_have_is_an_error(self):
        self.assertEqual([], self.called("postinst", "nonsense", status=1))


if __name__ == "__main__":
    unittest.main()
