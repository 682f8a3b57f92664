"""What an objective makes of rounds."""

from __future__ import annotations

import math

import pytest

from tuner.trial.objective import NOT_MEASURED, Goal, MergedObjective
from tuner.trial.rounds import Trust

TOKENS = Goal("output_tokens_per_second", True)
TTFT = "ttft_p95_ms"


def objective(*goals: Goal, **slos: float) -> MergedObjective:
    return MergedObjective(goals or (TOKENS,), slos)


def test_tokens_are_summed_over_the_windows_of_all_rounds(point, one_round):
    rounds = [one_round(point(tokens=100, seconds=1.0)), one_round(point(tokens=1000, seconds=9.0))]
    assert objective().score(rounds).values == pytest.approx((110.0,))


def test_a_percentile_is_that_of_the_merged_rounds_and_no_mean_of_percentiles(point, one_round):
    calm, slow = point(ttft=[10.0] * 99), point(ttft=[1000.0])
    score = objective(ttft_p95_ms=500).score([one_round(calm), one_round(slow)])
    assert score.metrics[TTFT] == pytest.approx(10.0, rel=0.01)  # the mean of both p95 would be 505
    assert score.feasible


def test_an_objective_without_a_point_is_the_geometric_mean_over_the_points(point, one_round):
    score = objective().score([one_round(point("a", tokens=1000), point("b", tokens=4000))])
    assert score.values[0] == pytest.approx(200.0)


def test_a_limit_without_a_point_holds_for_the_worst_point(point, one_round):
    score = objective(ttft_p95_ms=100).score([one_round(point("a", ttft=[50.0]), point("b", ttft=[150.0]))])
    assert score.violations[TTFT] == pytest.approx(0.5, abs=0.01)
    assert not score.feasible


def test_one_metric_is_a_geometric_mean_as_a_goal_and_the_worst_as_a_limit(point, one_round):
    both = objective(Goal(TTFT, False), ttft_p95_ms=100)
    score = both.score([one_round(point("a", ttft=[50.0]), point("b", ttft=[200.0]))])
    assert score.values[0] == pytest.approx(100.0, rel=0.01)
    assert score.violations[TTFT] == pytest.approx(1.0, abs=0.02)


def test_goals_and_limits_may_name_one_load_point(point, one_round):
    named = MergedObjective((Goal("b.output_tokens_per_second", True),), {"a.ttft_p95_ms": 100})
    score = named.score([one_round(point("a", ttft=[60.0]), point("b", tokens=700, ttft=[900.0]))])
    assert score.values == pytest.approx((70.0,))
    assert score.feasible


def test_client_bound_and_invalid_rounds_are_left_out(point, one_round):
    rounds = [
        one_round(point(tokens=1000)),
        one_round(point(tokens=9000, trust=Trust(client_bound=True))),
        one_round(point(tokens=9000, trust=Trust(invalid=True))),
    ]
    score = objective().score(rounds)
    assert score.values == pytest.approx((100.0,)) and score.measured


def test_a_dirty_round_counts(point, one_round):
    rounds = [one_round(point(tokens=1000)), one_round(point(tokens=2000, trust=Trust(dirty=True)))]
    assert objective().score(rounds).values == pytest.approx((150.0,))


def test_with_client_bound_rounds_alone_the_figures_are_shown_and_nothing_is_feasible(point, one_round):
    score = objective(ttft_p95_ms=500).score([one_round(point(trust=Trust(client_bound=True)))])
    assert score.values == pytest.approx((100.0,))
    assert not score.measured and not score.feasible


def test_an_objective_that_cannot_be_told_is_not_measured(point, one_round):
    score = objective(Goal(TTFT, False)).score([one_round(point(ttft=[], requests=0))])
    assert math.isnan(score.values[0])
    assert not score.measured and not score.feasible


def test_a_limit_that_cannot_be_told_is_missed_and_is_not_certain(point, one_round):
    score = objective(ttft_p95_ms=500).score([one_round(point(ttft=[], requests=0))])
    assert score.violations == {TTFT: NOT_MEASURED}
    assert score.certain_violations[TTFT] <= 0
    assert TTFT not in score.metrics


def test_a_limit_of_a_metric_that_is_better_higher_is_a_floor(point, one_round):
    floor = objective(Goal(TTFT, False), output_tokens_per_second=200)
    assert floor.score([one_round(point(tokens=1000))]).violations == {"output_tokens_per_second": 0.5}
    assert floor.score([one_round(point(tokens=3000))]).feasible


def test_the_worst_point_of_a_floor_is_the_lowest(point, one_round):
    floor = objective(Goal(TTFT, False), output_tokens_per_second=200)
    score = floor.score([one_round(point("a", tokens=4000), point("b", tokens=1000))])
    assert score.violations["output_tokens_per_second"] == pytest.approx(0.5)


def test_a_limit_of_zero_counts_in_the_metrics_own_unit(point, one_round):
    none = objective(error_rate=0.0)
    assert none.score([one_round(point(ttft=[50.0] * 3))]).feasible
    score = none.score([one_round(point(ttft=[50.0] * 3, errors={"timeout": 1}))])
    assert score.violations == {"error_rate": 0.25}


def test_in_a_single_round_the_parts_of_the_window_give_the_interval(point, one_round):
    score = objective().score([one_round(point(tokens=1000, parts=(90.0, 100.0, 110.0)))])
    low, high = score.intervals[0]
    half = 4.303 * 10 / math.sqrt(3)
    assert (low, high) == pytest.approx((100 - half, 100 + half))


def test_over_rounds_the_interval_is_students_over_the_rounds(point, one_round):
    rounds = [one_round(point(tokens=t, parts=(1.0, 500.0))) for t in (900, 1000, 1100)]
    low, high = objective().score(rounds).intervals[0]
    half = 4.303 * 10 / math.sqrt(3)
    assert (low, high) == pytest.approx((100 - half, 100 + half))


def test_with_too_little_to_tell_an_interval_is_not_a_number(point, one_round):
    low, high = objective().score([one_round(point(parts=(1.0,)))]).intervals[0]
    assert math.isnan(low) and math.isnan(high)


def test_the_interval_of_a_percentile_is_that_of_its_order_statistics(point, one_round):
    values = [float(x) for x in range(1, 101)]
    median = objective(Goal("ttft_p50_ms", False)).score([one_round(point(ttft=values))])
    low, high = median.intervals[0]
    assert low == pytest.approx(41, rel=0.01) and high == pytest.approx(60, rel=0.01)


def test_few_requests_leave_the_upper_end_of_a_tail_percentile_open(point, one_round):
    score = objective(Goal("ttft_p99_ms", False)).score([one_round(point(ttft=[50.0] * 20))])
    assert score.intervals[0][1] == math.inf


def test_a_miss_is_certain_only_by_the_kinder_end_of_the_interval(point, one_round):
    values = [float(x) for x in range(1, 101)]
    score = objective(ttft_p50_ms=45).score([one_round(point(ttft=values))])
    assert score.violations["ttft_p50_ms"] > 0
    assert score.certain_violations["ttft_p50_ms"] < 0
    assert objective(ttft_p50_ms=20).score([one_round(point(ttft=values))]).certain_violations[
        "ttft_p50_ms"
    ] == pytest.approx((41 - 20) / 20, rel=0.02)


def test_the_kinder_end_of_a_floor_is_its_upper_one(point, one_round):
    floor = objective(Goal(TTFT, False), output_tokens_per_second=200)
    score = floor.score([one_round(point(tokens=1000, parts=(90.0, 100.0, 110.0)))])
    high = 100 + 4.303 * 10 / math.sqrt(3)
    assert score.certain_violations["output_tokens_per_second"] == pytest.approx((200 - high) / 200)
