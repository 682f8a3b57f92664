"""Metrics that stand on what a deployment holds and what that costs."""

from __future__ import annotations

import json
import math

import pytest

from tuner.trial.objective import Goal, MergedObjective
from tuner.trial.rounds import RoundResult

PER_ONE = "output_tokens_per_second_per_accelerator"
COST, COST_OUT = "cost_per_million_tokens", "cost_per_million_output_tokens"


def scored(rounds, *goals, **slos):
    return MergedObjective(goals or (Goal("output_tokens_per_second", True),), slos).score(rounds)


@pytest.fixture
def on_four(point, one_round):
    """A round on four accelerators of 3.6 an hour in all: 1000 tokens out and 10 in, in 10 s."""
    return lambda **more: one_round(point(**more)).served_on(accelerators=4, price_per_hour=3.6)


def test_the_rate_is_shared_among_the_accelerators(on_four):
    assert scored([on_four()]).metrics[PER_ONE] == pytest.approx(25.0)


def test_a_million_tokens_cost_the_seconds_that_they_take(on_four):
    metrics = scored([on_four()]).metrics  # 0.01 for the window's 10 s
    assert metrics[COST_OUT] == pytest.approx(0.01 / 1000 * 1e6)
    assert metrics[COST] == pytest.approx(0.01 / 1010 * 1e6)


def test_over_rounds_it_is_all_of_the_money_over_all_of_the_tokens(on_four):
    metrics = scored([on_four(tokens=1000, seconds=10.0), on_four(tokens=500, seconds=30.0)]).metrics
    assert metrics[COST_OUT] == pytest.approx(0.04 / 1500 * 1e6)


def test_without_accelerators_or_a_price_they_are_missing_and_never_0(point, one_round):
    metrics = scored([one_round(point())]).metrics
    assert not {PER_ONE, COST, COST_OUT} & metrics.keys()


def test_a_window_without_tokens_has_no_cost(on_four):
    score = scored([on_four(tokens=0)], Goal(COST_OUT, False))
    assert not score.measured and "cost_per_million_output_tokens cannot be told" in score.reason


def test_a_cost_is_an_slo(on_four):
    assert scored([on_four()], **{COST_OUT: 20.0}).feasible
    score = scored([on_four()], **{COST_OUT: 8.0})
    assert score.violations[COST_OUT] == pytest.approx(0.25)


def test_in_a_single_round_the_interval_follows_that_of_the_rate(on_four):
    one = [on_four(parts=(90.0, 100.0, 110.0))]
    goals = [Goal("output_tokens_per_second", True), Goal(PER_ONE, True), Goal(COST_OUT, False)]
    rate, each, cost = scored(one, *goals).intervals
    assert each == pytest.approx((rate[0] / 4, rate[1] / 4))
    assert cost == pytest.approx((3.6 / 3600 / rate[1] * 1e6, 3.6 / 3600 / rate[0] * 1e6))


def test_what_may_deliver_nothing_has_no_upper_bound_of_cost(on_four):
    ((low, high),) = scored([on_four(parts=(10.0, 190.0))], Goal(COST_OUT, False)).intervals
    assert 0 < low < 10 and high == math.inf


def test_a_single_round_without_parts_has_no_interval(on_four):
    ((low, high),) = scored([on_four()], Goal(COST_OUT, False)).intervals
    assert math.isnan(low) and math.isnan(high)


def test_what_a_round_was_served_on_is_read_back(on_four):
    stored = json.loads(json.dumps(on_four().to_json()))
    assert RoundResult.from_json(stored).points[0].accelerators == 4
    for point in stored["points"]:
        del point["accelerators"], point["price_per_hour"]  # as an earlier version wrote it
    assert RoundResult.from_json(stored).points[0].price_per_hour is None
