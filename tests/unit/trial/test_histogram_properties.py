"""Histograms of latencies as engines have them: percentiles within the stated error, however they merge."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.trial.histogram import RELATIVE_ERROR, Histogram

QUANTILES = (0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
STATED = RELATIVE_ERROR * (1 + 1e-9)  # and what floating point adds to it

SHAPES = {
    "lognormal": lambda rng, n: rng.lognormal(3.0, 1.2, n),
    "two modes far apart": lambda rng, n: np.where(
        rng.random(n) < 0.9, rng.normal(12, 0.3, n), rng.normal(9000, 50, n)
    ),
    "a heavy tail": lambda rng, n: (rng.pareto(1.1, n) + 1) * 0.02,
    "one value": lambda rng, n: np.full(n, 10.03),
    "a grid of the clock": lambda rng, n: np.round(rng.exponential(0.004, n), 6) + 1e-6,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [1, 2, 99, 100, 101, 5000])
def test_every_percentile_of_latencies_is_the_exact_one_within_half_a_percent(shape: str, n: int) -> None:
    assert RELATIVE_ERROR == 0.005  # what the documentation states
    values = SHAPES[shape](np.random.default_rng(n), n)
    made = Histogram(values.tolist())
    for q in QUANTILES:
        exact = float(np.quantile(values, q, method="inverted_cdf"))
        assert made.quantile(q) == pytest.approx(exact, rel=STATED)
    assert made.mean() == pytest.approx(float(values.mean()), rel=1e-12)
    assert made.maximum == values.max() and made.minimum == values.min()


@settings(max_examples=80, deadline=None)
@given(
    exponents=st.lists(st.integers(-1300, 2700), min_size=1, max_size=60),
    nudge=st.sampled_from([1 - 1e-12, 1.0, 1 + 1e-12, 1.002]),
)
def test_values_on_the_edges_of_buckets_keep_the_error(exponents: list[int], nudge: float) -> None:
    gamma = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
    values = [gamma**k * nudge for k in exponents]
    made = Histogram(values)
    for q in QUANTILES:
        exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
        assert made.quantile(q) == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-9)


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(0, 1e9), min_size=1, max_size=200),
    parts=st.integers(1, 9),
    seed=st.integers(0, 999),
)
def test_however_values_are_shared_out_and_merged_the_answers_are_the_same(
    values: list[float], parts: int, seed: int
) -> None:
    rng = random.Random(seed)
    shares = [Histogram() for _ in range(parts)]
    for value in values:
        rng.choice(shares).add(value)
    while len(shares) > 1:
        one = shares.pop(rng.randrange(len(shares)))
        rng.choice(shares).merge(Histogram.from_json(one.to_json()))
    together = Histogram(values)
    assert [shares[0].quantile(q) for q in QUANTILES] == [together.quantile(q) for q in QUANTILES]
    assert shares[0].count == len(values)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(0, 1e9), min_size=1, max_size=100), data=st.data())
def test_quantiles_rise_with_q_and_stay_between_the_extremes(
    values: list[float], data: st.DataObject
) -> None:
    made = Histogram(values)
    low, high = sorted(data.draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    assert min(values) <= made.quantile(low) <= made.quantile(high) <= max(values)


@settings(max_examples=40, deadline=None)
@given(value=st.floats(1e-3, 1e6), times=st.integers(1, 50))
def test_counting_a_value_many_times_is_adding_it_as_often(value: float, times: int) -> None:
    at_once, one_by_one = Histogram([1.0]), Histogram([1.0, *[value] * times])
    at_once.add(value, times)
    assert [at_once.quantile(q) for q in QUANTILES] == [one_by_one.quantile(q) for q in QUANTILES]
    assert at_once.count == one_by_one.count and at_once.mean() == pytest.approx(one_by_one.mean())


def test_below_a_nanosecond_a_latency_reads_as_nothing() -> None:
    made = Histogram([1e-9] * 5 + [4.0])
    assert made.quantile(0.5) <= 1e-6  # milliseconds
    assert made.count == 6
