"""How high a percentile may truly lie, and which scores it makes surely feasible."""

from __future__ import annotations

import math
import random

import pytest

from tuner.spec.percentiles import fewest
from tuner.trial.histogram import Histogram
from tuner.trial.objective import Goal, MergedObjective
from tuner.trial.ports import Score
from tuner.trial.quantile_bound import bound_rank, clustered_rank, design_effect

TTFT = "ttft_p95_ms"


def objective(**slos: float) -> MergedObjective:
    return MergedObjective((Goal("output_tokens_per_second", True),), slos)


def test_the_bound_lies_above_the_true_percentile_in_95_of_100_samples():
    rng, held = random.Random(1), 0
    rank = bound_rank(200, 0.95)
    assert rank is not None
    for _ in range(2000):
        held += sorted(rng.random() for _ in range(200))[rank - 1] >= 0.95
    assert 0.945 <= held / 2000 <= 0.985


def test_one_rank_lower_would_be_no_bound():
    def below(rank: int, count: int, q: float) -> float:  # P(Bin(count, q) <= rank - 1)
        return sum(math.comb(count, j) * q**j * (1 - q) ** (count - j) for j in range(rank))

    for count in (59, 75, 225, 500):
        for q in (0.5, 0.9, 0.95):
            rank = bound_rank(count, q)
            assert rank is not None and below(rank, count, q) >= 0.95 > below(rank - 1, count, q)


def test_the_approximation_for_many_requests_meets_the_exact_ranks():
    exact, approximate = bound_rank(5000, 0.95), bound_rank(5001, 0.95)
    assert exact is not None and approximate is not None
    assert 0 <= approximate - exact <= 3


def test_a_p95_takes_59_requests_and_a_p99_299():
    assert (fewest(0.95), fewest(0.99)) == (59, 299)
    assert bound_rank(58, 0.95) is None
    assert bound_rank(59, 0.95) == 59


def test_the_value_of_a_rank_is_that_of_the_sorted_values():
    histogram = Histogram([5.0, 1.0, 3.0, 100.0])
    assert [histogram.at_rank(r) for r in (1, 2, 3, 4)] == pytest.approx([1, 3, 5, 100], rel=0.01)
    assert math.isnan(Histogram().at_rank(1))


def test_a_percentile_within_its_limit_by_luck_is_feasible_and_not_surely_so(point, one_round):
    ttft = [90.0] * 96 + [130.0] * 4  # the p95 is 90, but 8 slow ones would be no surprise
    score = objective(ttft_p95_ms=100).score([one_round(point(ttft=ttft))])
    assert score.feasible and not score.surely_feasible
    assert score.bound_violations[TTFT] == pytest.approx(0.3, abs=0.02)


def test_more_rounds_of_the_same_make_it_sure(point, one_round):
    ttft = [90.0] * 98 + [130.0] * 2
    few = objective(ttft_p95_ms=100).score([one_round(point(ttft=ttft))])
    many = objective(ttft_p95_ms=100).score([one_round(point(ttft=ttft))] * 4)
    assert not few.surely_feasible and many.surely_feasible


def test_too_few_requests_bound_nothing(point, one_round):
    score = objective(ttft_p95_ms=100).score([one_round(point(ttft=[10.0] * 58))])
    assert score.bound_violations == {TTFT: math.inf}
    assert score.feasible and not score.surely_feasible


def test_the_bound_of_several_load_points_is_the_highest_and_that_of_one_its_own(point, one_round):
    rounds = [one_round(point("a", ttft=[50.0] * 100), point("b", ttft=[90.0] * 90 + [99.0] * 10))]
    found = objective(**{TTFT: 100, f"a.{TTFT}": 100}).score(rounds).bound_violations
    assert found[TTFT] == pytest.approx(-0.01, abs=0.01)
    assert found[f"a.{TTFT}"] == pytest.approx(-0.5, abs=0.01)


def test_limits_on_other_than_percentiles_stand_on_the_estimate(point, one_round):
    score = objective(error_rate=0.01).score([one_round(point())])
    assert score.bound_violations == {} and score.surely_feasible


def scored(now: float, bound: float) -> Score:
    return Score((1.0,), ((0.0, 2.0),), {TTFT: now}, {TTFT: now}, {}, bound_violations={TTFT: bound})


def test_what_more_requests_would_show_follows_the_root_of_their_number():
    near = scored(-0.05, 0.04)
    assert not near.expected_feasible(times=2.0)  # -0.05 + 0.09 / 1.41
    assert near.expected_feasible(times=4.0)
    assert not scored(0.01, 0.04).expected_feasible(times=1e6)
    assert scored(-0.05, math.inf).expected_feasible(times=3.0)


def test_rounds_that_scatter_as_independent_requests_do_have_no_effect():
    rng, found = random.Random(6), []
    for _ in range(300):
        found.append(design_effect([(200, sum(rng.random() < 0.05 for _ in range(200))) for _ in range(9)]))
    assert sorted(found)[150] < 1.1 and sorted(found)[285] < 2.2


def test_requests_that_come_late_together_count_for_fewer():
    rng, held, plain = random.Random(7), 0, 0
    for _ in range(600):  # one round in twenty is late as a whole, on the mean: the true p95 is the limit
        late = [sum(rng.random() < 0.05 for _ in range(20)) * 10 for _ in range(9)]  # ten at a time
        groups = [(200, n) for n in late]
        rank = clustered_rank(1800, 0.95, design_effect(groups))
        assert rank is not None
        held += rank > 1800 - sum(late)  # the bound is one of the late ones
        independent = bound_rank(1800, 0.95)
        assert independent is not None
        plain += independent > 1800 - sum(late)
    assert held / 600 >= 0.9
    assert plain / 600 < 0.75


def test_however_much_they_hang_together_the_largest_bounds():
    assert clustered_rank(300, 0.95, 1e9) == 300
    assert clustered_rank(58, 0.95, 1.0) is None
    assert clustered_rank(300, 0.95, 1.0) == bound_rank(300, 0.95)


def test_what_lies_above_a_value_is_counted_without_its_own_bucket():
    histogram = Histogram([1.0, 2.0, 2.0, 3.0, 0.0])
    assert [histogram.count_above(v) for v in (0.0, 1.0, 2.0, 3.0)] == [4, 3, 1, 0]
