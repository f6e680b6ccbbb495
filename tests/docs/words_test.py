#!/usr/bin/env python3
"""docs/operations.md says what each event, reason and result is and what to do; docs/api.md lists the same events.

The lists are taken from the sources, so that a new word is red until somebody has written what it means.
"""
import re
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]

_WORD = r'"([a-z]+(?:[-_][a-z]+)*)"'


def read(path):
    return (TOP / path).read_text(encoding="utf-8")


def sources(*folders):
    for folder in folders:
        for file in sorted((TOP / folder).rglob("*.cc")):
            yield file.read_text(encoding="utf-8")


def events_in_sources():
    found = set()
    for text in sources("daemon", "drivers", "buffer"):
        found.update(re.findall(r'member\("event", ' + _WORD, text))
        found.update(re.findall(r'\{"event":' + _WORD, text))
        for first in re.findall(r"event_record\(\s*([^,]*),", text):
            found.update(re.findall(_WORD, first))
        for first in re.findall(r"events_?\.push_back\(\s*\{([^,]*),", text):
            found.update(re.findall(_WORD, first))
        for last in re.findall(r"QueueRemark\{.*?" + _WORD + r"\}", text, re.S):
            found.add(last)
    return found


def enumerated(path, begin, end):
    """The words that are returned or listed between two lines of a file."""
    text = read(path)
    part = text.split(begin, 1)[1].split(end, 1)[0]
    return set(re.findall(_WORD, part))


def refusals():
    of_messages = enumerated("drivers/mqtt/refusal.h", "kNames{", "};") - {"none"}
    of_clients = set()
    for text in sources("drivers/mqtt_listener", "drivers/mqtt_subscriber", "drivers/modbus"):
        of_clients.update(re.findall(r"\brefuse\(" + _WORD + ",", text))
        of_clients.update(re.findall(r"(?:refused|remarked|ended_)\[" + _WORD, text))
    return of_messages | of_clients


def first_cells(path, section):
    """The words in the first cells of the tables of a section."""
    text = read(path).split(f"\n## {section}\n", 1)[1]
    text = text.split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`[^|]*?`) \|", text, re.M)
    return {word for cell in cells for word in re.findall(r"`([a-z]+(?:[-_][a-z]+)*)`", cell)}


class Words(unittest.TestCase):
    def test_the_events_are_found_in_the_sources(self):
        found = events_in_sources()
        self.assertLessEqual({"start", "uplink-down", "device-up", "driver-down", "gap", "buffer-fill", "queue-set-aside"}, found)
        said = set(re.findall(_WORD, re.search(r"std::string event; +//(.*)", read("drivers/driver.h")).group(1)))
        self.assertLessEqual(said, found)

    def test_each_event_is_in_the_list_of_the_api(self):
        self.assertEqual(events_in_sources(), first_cells("docs/api.md", "Events"))

    def test_each_event_is_in_the_runbook(self):
        self.assertEqual(events_in_sources(), first_cells("docs/operations.md", "Events"))

    def test_each_reason_why_something_is_not_taken_is_in_the_runbook(self):
        self.assertEqual(refusals(), first_cells("docs/operations.md", "What is not taken"))

    def test_each_result_of_modbus_and_each_reason_of_a_reading_is_in_the_runbook(self):
        results = enumerated("drivers/modbus/modbus_link.cc", "to_string(ModbusResult", "\n}") - {"unknown"}
        reasons = enumerated("core/reading.cc", "to_string(Reason", "\n}") - {"unknown"}
        self.assertGreater(min(len(results), len(reasons)), 8)
        self.assertEqual(results | reasons, first_cells("docs/operations.md", "Qualities, and results of Modbus"))

    def test_each_reason_of_a_gap_is_in_the_runbook(self):
        accounts = read("docs/api.md").split("\n## Accounts\n", 1)[1].split("\n## ", 1)[0]
        paragraph = accounts.split("by reason,", 1)[1].split("`tidegate_log", 1)[0]
        reasons = set(re.findall(r"`([a-z-]+)` \(", paragraph)) | {"unknown", "drop-newest", "age", "corruption"}
        self.assertEqual(reasons, first_cells("docs/operations.md", "Lost records"))


if __name__ == "__main__":
    unittest.main()
