"""Arrivals are what their names say, and the same for every trial."""

from __future__ import annotations

import random
from itertools import islice, pairwise
from statistics import fmean, stdev

import pytest

from tuner.load.schedule import Lengths, arrival_seconds
from tuner.spec.scenario import parse_scenario
from tuner.spec.workload import LoadPoint


def gaps(arrivals: str, burstiness: float = 1.0, seed: int = 1) -> list[float]:
    point = LoadPoint.model_validate(
        {"scenario": "D(8,8)", "request_rate": 20, "arrivals": arrivals, "burstiness": burstiness}
    )
    times = list(islice(arrival_seconds(point, random.Random(seed)), 20_000))
    assert times == sorted(times)
    return [b - a for a, b in pairwise(times)]


@pytest.mark.parametrize(
    ("arrivals", "burstiness", "variation"),
    [("constant", 1.0, 0.0), ("poisson", 1.0, 1.0), ("gamma", 0.25, 2.0), ("gamma", 4.0, 0.5)],
)
def test_gaps_have_the_mean_and_the_coefficient_of_variation_that_were_asked_for(
    arrivals: str, burstiness: float, variation: float
) -> None:
    found = gaps(arrivals, burstiness)
    assert fmean(found) == pytest.approx(1 / 20, rel=0.05)
    assert stdev(found) / fmean(found) == pytest.approx(variation, rel=0.05, abs=1e-6)


def test_the_same_seed_gives_the_same_arrivals() -> None:
    assert gaps("poisson", seed=3) == gaps("poisson", seed=3)
    assert gaps("poisson", seed=3) != gaps("poisson", seed=4)


def test_a_remainder_is_a_uniform_share_of_the_output() -> None:
    lengths = Lengths(parse_scenario("D(48,64)"), seed="r")
    left = [lengths.remainder()[1] for _ in range(4000)]
    assert (min(left), max(left)) == (1, 64)
    assert fmean(left) == pytest.approx(32.5, rel=0.05)


def test_lengths_of_a_stream_do_not_depend_on_when_they_are_taken() -> None:
    scenario = parse_scenario("U(10,90)/(10,90)")
    one, other = Lengths(scenario, seed="a"), Lengths(scenario, seed="a")
    first = [one.next() for _ in range(5)]
    assert [other.next() for _ in range(5)] == first
