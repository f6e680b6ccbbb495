#!/usr/bin/env python3
"""Samples made by hand: leaks that have to be seen, and swings that are none."""
import math
import random
import unittest

from analysis import DAY, Growth, complaints, theil_sen, warm_up

ROUND = 180


def samples(minutes, growth=lambda seconds: 0.0, noise_kib=30, descriptors=lambda seconds: 60, seed=1, in_use=lambda seconds: 0.0):
    """Each round has outages, in which memory is far up, and a calm end. `growth`: KiB since the start."""
    chance, made = random.Random(seed), []
    for seconds in range(0, minutes * 60, 5):
        calm = seconds % ROUND >= ROUND - 25
        swing = 0 if calm else chance.uniform(0, 4000)
        made.append({"seconds": seconds, "round": seconds // ROUND, "calm": calm, "pid": 7, "threads": 20,
                     "steady": descriptors(seconds), "pooled": 9, "passing": 8,
                     "anonymous_kib": 12000 + growth(seconds) + swing + chance.gauss(0, noise_kib),
                     "in_use_kib": 5000 + in_use(seconds) + swing / 4 + chance.gauss(0, 10)})
    return made


def leak(mib_a_day):
    return lambda seconds: mib_a_day * 1024 * seconds / DAY


class GrowthTest(unittest.TestCase):
    def test_flat_memory_with_swings_passes(self):
        for seed in range(1, 30):
            self.assertEqual(list(complaints(samples(60, seed=seed), 600)), [])

    def test_a_leak_of_five_mib_a_day_is_refused_after_an_hour(self):
        for seed in range(1, 30):
            found = list(complaints(samples(60, leak(5), seed=seed), 600))
            self.assertEqual(len(found), 1)
            self.assertIn("memory grows by more than 1.0 MiB a day", found[0])

    def test_a_leak_of_two_mib_a_day_is_refused_after_a_day(self):
        found = list(complaints(samples(24 * 60, leak(2), noise_kib=100), 4 * 3600))
        self.assertEqual(len(found), 1)

    def test_two_mib_a_day_of_what_is_in_use_are_refused_after_an_hour_though_noise_hides_them(self):
        blamed = [" ".join(complaints(samples(60, noise_kib=1500, seed=seed, in_use=leak(2)), 600)) for seed in range(1, 30)]
        self.assertTrue(all("in_use_kib" in found for found in blamed), blamed)
        # Of bounds of 95 % one in forty lies above what is so.
        self.assertLessEqual(sum("anonymous_kib" in found for found in blamed), 3, blamed)

    def test_half_a_mib_a_day_passes_after_a_day(self):
        self.assertEqual(list(complaints(samples(24 * 60, leak(0.5), noise_kib=100), 4 * 3600)), [])

    def test_the_slope_is_that_of_the_leak_and_lies_in_its_bounds(self):
        growth = Growth(samples(240, leak(5)), "anonymous_kib", 1200)
        self.assertAlmostEqual(growth.slope, 5, delta=0.5)
        self.assertTrue(growth.lower < 5 < growth.upper)

    def test_where_noise_hides_it_the_bounds_say_so_and_nothing_is_refused(self):
        growth = Growth(samples(60, leak(5), noise_kib=1500), "anonymous_kib", 600)
        self.assertGreater(growth.upper - growth.lower, 5)
        self.assertFalse(growth.is_over(1))

    def test_the_warm_up_is_a_sixth_and_five_rounds_at_the_least(self):
        self.assertEqual((warm_up(3600, 180), warm_up(86400, 180)), (900, 14400))

    def test_growth_within_the_warm_up_does_not_count(self):
        self.assertEqual(list(complaints(samples(60, lambda seconds: min(seconds, 600) * 10), 600)), [])

    def test_one_step_late_is_no_slope(self):
        self.assertEqual(list(complaints(samples(60, lambda seconds: 400 if seconds > 3000 else 0), 600)), [])

    def test_memory_that_shrinks_passes(self):
        self.assertEqual(list(complaints(samples(60, leak(-9)), 600)), [])

    def test_few_rounds_tell_nothing(self):
        self.assertTrue(math.isinf(theil_sen([(0, 1), (1, 2), (2, 3)])[2]))
        self.assertEqual(list(complaints(samples(12, leak(500)), 120)), [])

    def test_rounds_that_never_come_to_rest_judge_nothing_and_are_refused(self):
        made = samples(60, leak(500))
        for sample in made:
            sample["calm"] = sample["calm"] and sample["round"] < 6
        self.assertEqual(["memory and descriptors were judged by 2 of 16 rounds: the others did not come to rest"], list(complaints(made, 600)))

    def test_a_descriptor_that_stays_open_is_refused(self):
        found = list(complaints(samples(60, descriptors=lambda seconds: 60 + seconds // 1800), 600))
        self.assertEqual(len(found), 1)
        self.assertIn("descriptors that are not of a pool or of the log: 60", found[0])

    def test_descriptors_that_come_and_go_pass(self):
        self.assertEqual(list(complaints(samples(60, descriptors=lambda seconds: 60 + seconds // 5 % 3), 600)), [])

    def test_another_process_is_refused(self):
        made = samples(60)
        for sample in made[300:]:
            sample["pid"] = 8
        self.assertEqual(list(complaints(made, 600)), ["the daemon was started again"])


if __name__ == "__main__":
    unittest.main()
