#!/usr/bin/env python3
"""What the samples of a soak say: how fast memory grows, and how sure that is. By itself: tests/soak/analysis.py SAMPLES.csv ROUND_SECONDS

Outages make memory swing, and what is freed is given back to the system every ten seconds; so only the calm end of each round counts, in
which every round has been through the same faults, where no backlog is left: one value a round, the least of its calm samples, for batches that
are on their way and holes that are not given back yet come on top of that. Through these goes the line of Theil and Sen, the median of the
slopes between all pairs, which a few steps do not bend; its bounds are those of Sen, by the distribution of Kendall's tau, and ask for no
normal errors.
"""
import csv
import itertools
import math
import statistics
import sys

DAY = 86400
MIB = 1024  # of KiB
Z_95 = 1.96
ROUNDS_MIN = 4
WARM_UP_ROUNDS = 5
POOLED_MAX = 30  # two HTTP uplinks of inflight 8, Kafka's brokers and coordinators, and as many that are just ending
PASSING_MAX = 40  # of each stream's log two that are written, and one for each uplink that reads behind; three files of the file uplink
GROWING = ("anonymous_kib", "in_use_kib")  # all that is the process's own; of that what is allocated and not freed, which swings far less
TITLES = {"steady": "descriptors that are not of a pool or of the log", "pooled": "connections to HTTP targets and Kafka",
          "passing": "files of the log and of the file uplink", "threads": "threads"}


def theil_sen(points):
    """(slope, lower, upper) of y over x, the bounds of 95 %; infinite where there are too few points to tell."""
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in itertools.combinations(sorted(points), 2) if x2 > x1)
    if not slopes:
        return 0.0, -math.inf, math.inf
    n = len(points)
    width = Z_95 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low, high = math.floor((len(slopes) - width) / 2), math.ceil((len(slopes) + width) / 2)
    if n < ROUNDS_MIN or low < 0 or high >= len(slopes):
        return statistics.median(slopes), -math.inf, math.inf
    return statistics.median(slopes), slopes[low], slopes[high]


def warm_up(seconds, round_seconds):
    """A sixth of the run, five rounds at the least: the allocator holds the most that it ever needed at once, and its holes are where they stay,
    once everything has gone wrong together a few times. That takes rounds and not time: as many of them when they are four times as short."""
    return max(seconds / 6, WARM_UP_ROUNDS * round_seconds)


def rounds_behind(samples, warm_up):
    """The samples by round, of the rounds that begin behind the warm-up."""
    rounds = {}
    for sample in samples:
        rounds.setdefault(int(sample["round"]), []).append(sample)
    return {number: all_of_it for number, all_of_it in sorted(rounds.items()) if all_of_it[0]["seconds"] >= warm_up}


def calm_rounds(samples, warm_up):
    """Of these, the calm samples of the rounds that have any."""
    calm = {number: [sample for sample in all_of_it if sample["calm"]] for number, all_of_it in rounds_behind(samples, warm_up).items()}
    return {number: some for number, some in calm.items() if some}


def points(samples, name, warm_up):
    """(seconds, the least of `name`) of the calm part of each round."""
    return [(statistics.median(sample["seconds"] for sample in calm), min(sample[name] for sample in calm))
            for calm in calm_rounds(samples, warm_up).values()]


class Growth:
    """Of one column in KiB, as MiB a day."""

    def __init__(self, samples, name, warm_up):
        self.name, self.points = name, points(samples, name, warm_up)
        self.slope, self.lower, self.upper = (value * DAY / MIB for value in theil_sen(self.points))

    def is_over(self, most):
        """Whether it is surely more than so many MiB a day."""
        return self.lower > most

    def __str__(self):
        if math.isinf(self.upper):
            return f"{self.name}: {self.slope:+.2f} MiB a day by {len(self.points)} rounds, too few to say how sure that is"
        return f"{self.name}: {self.slope:+.2f} MiB a day (95 %: {self.lower:+.2f} to {self.upper:+.2f}) by {len(self.points)} rounds"


def least_by_round(samples, name, warm_up):
    return [least for _, least in points(samples, name, warm_up)]


def complaints(samples, warm_up, most_mib_a_day=1.0):
    """What is wrong with what the process took."""
    rounds, calm = len(rounds_behind(samples, warm_up)), len(calm_rounds(samples, warm_up))
    if calm < ROUNDS_MIN <= rounds:
        yield f"memory and descriptors were judged by {calm} of {rounds} rounds: the others did not come to rest"
    for name in GROWING:
        growth = Growth(samples, name, warm_up)
        if growth.is_over(most_mib_a_day):
            yield f"memory grows by more than {most_mib_a_day} MiB a day: {growth}"
    for name in ("steady", "threads"):
        least = least_by_round(samples, name, warm_up)
        if least and least[-1] > least[0]:
            yield f"{TITLES[name]}: {least[0]} in the first calm after the warm-up, {least[-1]} in the last: {least}"
    for name, most in (("pooled", POOLED_MAX), ("passing", PASSING_MAX)):
        if (found := max(sample[name] for sample in samples)) > most:
            yield f"{found} {TITLES[name]}"
    if len({sample["pid"] for sample in samples}) > 1:
        yield "the daemon was started again"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: tests/soak/analysis.py SAMPLES.csv ROUND_SECONDS")
    with open(sys.argv[1], newline="", encoding="utf-8") as file:
        samples = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    for name in GROWING:
        print(Growth(samples, name, warm_up(samples[-1]["seconds"], float(sys.argv[2]))))


if __name__ == "__main__":
    main()
