"""The histogram's percentiles against exact ones, and that merging loses nothing."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.trial.histogram import RELATIVE_ERROR, Histogram

values = st.lists(st.floats(1e-3, 1e7), min_size=1, max_size=300)
quantiles = st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0])


@settings(max_examples=150, deadline=None)
@given(values=values, q=quantiles)
def test_a_quantile_is_the_exact_one_within_the_stated_error(values: list[float], q: float) -> None:
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    assert Histogram(values).quantile(q) == pytest.approx(exact, rel=RELATIVE_ERROR * 1.001)


@settings(max_examples=60, deadline=None)
@given(one=values, other=values, q=quantiles)
def test_merging_is_the_same_as_having_counted_together(
    one: list[float], other: list[float], q: float
) -> None:
    merged = Histogram(one)
    merged.merge(Histogram(other))
    together = Histogram(one + other)
    assert merged.quantile(q) == together.quantile(q)
    assert merged.count == together.count
    assert merged.mean() == pytest.approx(together.mean())
    assert (merged.minimum, merged.maximum) == (together.minimum, together.maximum)


@settings(max_examples=40, deadline=None)
@given(values=values)
def test_json_and_back_changes_nothing(values: list[float]) -> None:
    made = Histogram(values)
    back = Histogram.from_json(json.loads(json.dumps(made.to_json())))
    assert back.to_json() == made.to_json()
    assert back.quantile(0.95) == made.quantile(0.95)


def test_zeros_are_counted_and_an_empty_one_answers_nan() -> None:
    made = Histogram([0.0, 0.0, 5.0])
    assert (made.quantile(0.5), made.maximum, made.count) == (0.0, 5.0, 3)
    assert made.quantile(1.0) == pytest.approx(5.0, rel=RELATIVE_ERROR)
    assert math.isnan(Histogram().quantile(0.5)) and math.isnan(Histogram().mean())


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_what_is_no_latency_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Histogram().add(value)
