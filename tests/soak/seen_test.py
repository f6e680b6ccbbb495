#!/usr/bin/env python3
"""That what is missing, repeated or altered is seen."""
import unittest

from seen import Arrivals, Bits

GREAT = 100_000


def bits(numbers):
    made = Bits()
    for number in numbers:
        made.add(number)
    return made


def batch(stream, *records):
    return {"stream": stream, "epoch": 1, stream: list(records)}


def reading(seq, value, tag="counted-a/b"):
    return {"seq": seq, "tag": tag, "value": value}


class BitsTest(unittest.TestCase):
    def test_a_number_is_new_once(self):
        seen = Bits()
        self.assertEqual([seen.add(GREAT), seen.add(GREAT), seen.add(0)], [True, False, True])
        self.assertEqual((seen.count, seen.begin(), seen.end), (2, 0, GREAT + 1))

    def test_holes_are_found_and_what_is_outside_is_none(self):
        seen = bits(number for number in range(10, GREAT) if number not in (17, 4096))
        self.assertEqual(seen.holes(10, GREAT), [17, 4096])
        self.assertEqual(seen.holes(5, 12), [5, 6, 7, 8, 9])
        self.assertEqual(seen.holes(10, GREAT + 2), [17, 4096, GREAT, GREAT + 1])

    def test_what_another_one_has_more_is_missing(self):
        self.assertEqual(bits([1, 2, 3]).missing(bits([2, GREAT])), [GREAT])
        self.assertEqual(bits([2, GREAT]).missing(bits([2])), [])


class ArrivalsTest(unittest.TestCase):
    def test_a_repeat_counts_as_one_and_changes_nothing(self):
        one, other = Arrivals("one"), Arrivals("other")
        one.take_batch(batch("readings", reading(1, 7), reading(2, 8)))
        other.take_batch(batch("readings", reading(1, 7)))
        other.take_batch(batch("readings", reading(1, 7), reading(2, 8)))
        self.assertEqual((one.repeats, other.repeats), (0, 1))
        self.assertEqual(one.content, other.content)

    def test_another_value_under_the_same_sequence_is_another_content(self):
        one, other = Arrivals("one"), Arrivals("other")
        one.take_batch(batch("readings", reading(1, 7)))
        other.take_batch(batch("readings", reading(1, 7.0)))
        self.assertNotEqual(one.content, other.content)

    def test_numbers_of_sensors_are_kept_by_tag_and_streams_apart(self):
        one = Arrivals("one")
        one.take_batch(batch("readings", reading(1, 7), reading(2, 3, "sim-1/tag-1")))
        one.take_batch(batch("alarms", {"seq": 1}))
        self.assertEqual(list(one.numbers), ["counted-a/b"])
        self.assertIn(7, one.numbers["counted-a/b"])
        self.assertEqual((one.seen["readings"].count, one.seen["alarms"].count, one.repeats), (2, 1, 0))


if __name__ == "__main__":
    unittest.main()
