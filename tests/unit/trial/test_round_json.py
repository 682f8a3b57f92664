"""Rounds and histograms survive JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.trial.histogram import RELATIVE_ERROR, Histogram
from tuner.trial.rounds import PointResult, RoundResult, Trust

VALUES = st.lists(st.floats(0, 1e9, allow_nan=False), max_size=50)


@settings(max_examples=60, deadline=None)
@given(VALUES, VALUES)
def test_a_histogram_read_back_answers_and_merges_as_before(left, right):
    one, other = Histogram(left), Histogram(right)
    back = Histogram.from_json(json.loads(json.dumps(one.to_json())))
    back.merge(Histogram.from_json(json.loads(json.dumps(other.to_json()))))
    one.merge(other)
    assert (back.count, back.minimum, back.maximum, back.total) == (
        one.count,
        one.minimum,
        one.maximum,
        one.total,
    )
    for q in (0.0, 0.5, 0.95, 1.0):
        assert back.quantile(q) == one.quantile(q) or one.count == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-3, 1e9, allow_nan=False), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_of_merged_histograms_is_within_the_stated_error_of_the_exact_one(values, q):
    merged = Histogram(values[::2])
    merged.merge(Histogram(values[1::2]))
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    assert abs(merged.quantile(q) - exact) <= exact * (RELATIVE_ERROR + 1e-9)


def test_an_empty_histogram_answers_nothing():
    back = Histogram.from_json(json.loads(json.dumps(Histogram().to_json())))
    assert back.count == 0 and math.isnan(back.quantile(0.5)) and math.isnan(back.mean())


def test_a_round_read_back_is_the_same_with_all_its_marks(point, one_round):
    trust = Trust(client_bound=True, dirty=True, steady=False, waves=2.5, reasons=("client lag 9 ms",))
    made = one_round(point("a", errors={"cut": 2}, parts=(1.0, 2.0), trust=trust), point("b"), number=3)
    back = RoundResult.from_json(json.loads(json.dumps(made.to_json())))
    assert back.to_json() == made.to_json()
    assert back.points[0].trust == trust
    assert (back.usable, back.number) == (False, 3)


def test_what_an_earlier_version_wrote_is_read_with_defaults(point: Callable[..., PointResult]) -> None:
    stored = RoundResult(1, 5.0, 12.0, (point(),)).to_json()
    (old,) = stored["points"]
    for name in ("contaminated", "implied_hit_rate", "lag1", "round_trip_ms"):
        del old["trust"][name]
    del old["good"], old["late"]
    (found,) = RoundResult.from_json(json.loads(json.dumps(stored))).points
    assert (found.good, found.late, found.trust.contaminated, found.trust.lag1) == (None, 0, False, None)


def test_what_a_later_version_added_is_left_out(point: Callable[..., PointResult]) -> None:
    stored = RoundResult(1, 5.0, 12.0, (point(),)).to_json()
    stored["points"][0]["of_tomorrow"] = stored["points"][0]["trust"]["of_tomorrow"] = 1
    assert RoundResult.from_json(stored).points[0].to_json() == point().to_json()
