#!/usr/bin/env python3
"""Every metric and label that the dashboard and the alerts use is one of the daemon's, and every alert is in the runbook.

  tests/docs/metrics_test.py PROGRAM
"""
import json
import re
import sys
import tempfile
import unittest
from pathlib import Path

import expressions
import gateway

PROGRAM = ""


def exposed(text):
    """The metrics of an exposition, and the labels that each was seen with."""
    found = {name: set() for name in re.findall(r"^# TYPE (\w+) ", text, re.M)}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.M):
        found.setdefault(expressions.base(name, found), set()).update(re.findall(r'(\w+)="', labels))
    return found


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        daemon = gateway.Gateway(PROGRAM, Path(cls.temporary.name))
        cls.addClassCleanup(daemon.stop)
        daemon.wait_for_something_of_everything()
        cls.exposed = exposed(daemon.metrics())
        cls.uses = [*expressions.of_dashboard(), *expressions.of_rules()]

    def test_the_expressions_are_found(self):
        self.assertGreater(len(list(expressions.of_dashboard())), 40)
        self.assertEqual(len(expressions.alerts()), len(list(expressions.of_rules())))
        self.assertGreater(len(expressions.alerts()), 20)

    def test_each_metric_is_one_of_the_daemons(self):
        for use in self.uses:
            for metric in expressions.metrics(use.expression):
                self.assertIn(expressions.base(metric, self.exposed), self.exposed, f"{use.place}: {use.expression}")

    def test_each_label_is_one_of_its_metric(self):
        for use in self.uses:
            for metric, label in expressions.labels(use.expression):
                seen = self.exposed[expressions.base(metric, self.exposed)]
                if seen:
                    self.assertIn(label, seen | expressions.OF_PROMETHEUS, f"{use.place}: {metric}")

    def test_each_metric_of_the_daemon_is_on_the_dashboard(self):
        shown = {expressions.base(metric, self.exposed) for use in expressions.of_dashboard()
                 for metric in expressions.metrics(use.expression)}
        # What the accounts are made of, which only a program adds up; and how many segments, beside how many bytes.
        self.assertEqual({"tidegate_uplink_accepted_total", "tidegate_log_rewritten_segments_total"}, set(self.exposed) - shown)

    def test_a_metric_that_is_not_there_would_be_found(self):
        self.assertNotIn(expressions.base("tidegate_log_sync_secs_bucket", self.exposed), self.exposed)
        self.assertIn(expressions.base("tidegate_log_sync_seconds_bucket", self.exposed), self.exposed)

    def test_each_alert_has_a_line_in_the_runbook_and_a_test(self):
        operations = (expressions.TOP / "docs/operations.md").read_text(encoding="utf-8")
        section = operations.split("\n## Alerts\n", 1)[1].split("\n## ", 1)[0]
        rows = re.findall(r"^\| `(\w+)` \| [^|]{20,} \| [^|]{20,} \|$", section, re.M)
        self.assertEqual(sorted(expressions.alerts()), sorted(rows))
        tested = re.findall(r"^ +alertname: (\w+)$", expressions.RULES_TEST.read_text(encoding="utf-8"), re.M)
        self.assertEqual(sorted(expressions.alerts()), sorted(tested))

    def test_the_dashboard_takes_its_data_source_from_a_variable(self):
        dashboard = json.loads(expressions.DASHBOARD.read_text(encoding="utf-8"))
        self.assertGreaterEqual(dashboard["schemaVersion"], 36, "that of Grafana 9.0")
        self.assertEqual("datasource", dashboard["templating"]["list"][0]["type"])
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        self.assertEqual({"${datasource}"}, {panel["datasource"]["uid"] for panel in panels})
        numbers = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(numbers), len(set(numbers)))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
