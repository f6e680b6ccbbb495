#!/usr/bin/env python3
"""With Prometheus itself: promtool on the alerts, and each expression of dashboard and alerts asked of a running gateway.

  TIDEGATE_DATABASES=DIR tests/docs/prometheus_test.py PROGRAM     DIR has prometheus and promtool; else /usr/bin
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import expressions
import gateway

PROGRAM = ""
PROGRAMS = Path(os.environ.get("TIDEGATE_DATABASES", "/usr/bin"))

# The panels whose answer is empty while all is well, or where nothing of that kind happened.
MAY_BE_EMPTY = ("Writes to tags", "Dead letters", "Until the ring is full", "Lost to an uplink")


class Promtool(unittest.TestCase):
    def promtool(self, *arguments):
        done = subprocess.run([PROGRAMS / "promtool", *map(str, arguments)], check=False, capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_the_rules_are_well_formed(self):
        self.promtool("check", "rules", expressions.RULES)

    def test_each_alert_is_raised_by_what_it_is_for_and_by_nothing_else(self):
        self.promtool("test", "rules", expressions.RULES_TEST)


class Prometheus(unittest.TestCase):
    """A Prometheus that scrapes a gateway."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        folder = Path(temporary.name)
        cls.gateway = gateway.Gateway(PROGRAM, folder)
        cls.addClassCleanup(cls.gateway.stop)
        cls.gateway.wait_for_something_of_everything()
        cls.port, = gateway.free_ports(1)
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            f"rule_files: [{expressions.RULES}]\n"
            f"scrape_configs: [{{job_name: tidegate, static_configs: [{{targets: ['127.0.0.1:{cls.gateway.admin}']}}]}}]\n",
            encoding="utf-8")
        log = (folder / "prometheus.log").open("w", encoding="utf-8")
        cls.addClassCleanup(log.close)
        process = subprocess.Popen(
            [PROGRAMS / "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
             f"--web.listen-address=127.0.0.1:{cls.port}"], stdout=log, stderr=log)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.terminate)
        gateway.wait_until(lambda: cls.ask("rate(tidegate_readings_accepted_total[10s]) > 0"),
                           lambda: f"two scrapes\n{(folder / 'prometheus.log').read_text()}")

    @classmethod
    def ask(cls, expression):
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{cls.port}/api/v1/query?{query}", timeout=30) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it has not begun yet
                return []
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
        except OSError:
            return []

    @staticmethod
    def filled_in(expression):
        for variable, value in (("$job", "tidegate"), ("$instance", ".*"), ("$__rate_interval", "10s"), ("$__range", "1m")):
            expression = expression.replace(variable, value)
        return re.sub(r"\[1h\]", "[10s]", expression)

    def test_each_panel_of_the_dashboard_shows_something(self):
        for use in expressions.of_dashboard():
            if use.place.startswith("variable"):
                continue
            with self.subTest(use.place):
                found = self.ask(self.filled_in(use.expression))
                if not any(title in use.place for title in MAY_BE_EMPTY):
                    self.assertNotEqual([], found, use.expression)

    def test_each_alert_can_be_asked(self):
        for use in expressions.of_rules():
            with self.subTest(use.place):
                self.ask(use.expression)

    def test_what_is_wrong_with_this_gateway_is_found(self):
        def found(name):
            return self.ask(dict(expressions.of_rules())[f"alert {name}"])
        self.assertEqual({"cloud", "fleet", "lake-db"}, {one["metric"]["uplink"] for one in found("TidegateUplinkDown")} - {"lake"})
        self.assertEqual(["silent"], [one["metric"]["device"] for one in found("TidegateDeviceDown")])
        self.assertEqual(["local"], [one["metric"]["driver"] for one in found("TidegateDriverDown")])
        self.assertEqual(1, len(found("TidegateAlarmUnseen")))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
