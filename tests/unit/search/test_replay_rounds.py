"""The noise of replayed rounds, and the scores that the strategy sees of them."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest

from tuner.search.replay.measured import Measurement, RecordedObjective
from tuner.search.replay.surface import Row
from tuner.trial.objective import NOT_MEASURED, Goal
from tuner.trial.ports import Phase

TOKENS, TTFT, ERRORS = "output_tokens_per_second", "ttft_p95_ms", "error_rate"
OBJECTIVE = RecordedObjective((Goal(TOKENS, True),), {TTFT: 100.0, ERRORS: 0.01})


def row(noise_cv=0.0, rounds=None):
    truth = {TOKENS: 1000.0, TTFT: 50.0, ERRORS: 0.0}
    recorded = tuple(rounds or [truth])
    mean = {m: fmean(r[m] for r in recorded) for m in truth}
    return Row({"slots": 1}, 2, 10.0, None, noise_cv, recorded, mean)


def measured(of, *, seed=0, trial=1, count=4, rounds=4):
    drawn = Measurement(of, seed=seed, key=(trial, Phase.SEARCH, 1), rounds=rounds, round_seconds=5.0)
    return list(drawn.rounds(count, started=100.0))


def test_without_noise_a_round_is_what_was_recorded_and_its_interval_a_point():
    rounds = measured(row())
    assert [r.started for r in rounds] == [100, 105, 110, 115]
    for done in (1, 4):
        score = OBJECTIVE.score(rounds[:done])
        assert score.values == (1000,) and score.intervals == ((1000, 1000),)
        assert score.violations == {TTFT: -0.5, ERRORS: -1} and score.feasible
        assert score.certain_violations == {TTFT: -0.5, ERRORS: -1}


def test_the_mean_of_all_rounds_scatters_as_noise_cv_says_and_of_one_more():
    whole, single, within = [], [], []
    for seed in range(3000):
        figures = [r.metrics[TOKENS] for r in measured(row(0.1), seed=seed)]
        whole.append(fmean(figures))
        single.append(figures[0])
        within.append(stdev(figures) / fmean(figures))
    assert fmean(whole) == pytest.approx(1000, rel=0.01)
    assert stdev(whole) / 1000 == pytest.approx(0.1, rel=0.06)
    assert stdev(single) / 1000 == pytest.approx(math.sqrt(0.005 + 4 * 0.005), rel=0.06)
    assert fmean(within) == pytest.approx(math.sqrt(4 * 0.005), rel=0.1)  # the deployment's part is common


def test_noise_is_the_seeds_the_trials_and_the_attempts_alone():
    one = measured(row(0.1), seed=3, trial=5)
    assert measured(row(0.1), seed=3, trial=5) == one
    assert measured(row(0.1), seed=3, trial=5, count=2) == one[:2]
    assert measured(row(0.1), seed=3, trial=6)[0].metrics != one[0].metrics
    assert measured(row(0.1), seed=4, trial=5)[0].metrics != one[0].metrics


@pytest.mark.parametrize(("metric", "truth"), [(TOKENS, 1000), (TTFT, 50)])
def test_intervals_hold_what_the_deployment_really_does(metric, truth):
    """In about 95 of 100 cases: of output tokens per second, and of a percentile."""
    objective = RecordedObjective((Goal(metric, metric == TOKENS),), {})
    held, narrow = {1: 0, 4: 0}, 0
    for seed in range(800):
        drawn = Measurement(row(0.1), seed=seed, key=(0, Phase.SEARCH, 1), rounds=4, round_seconds=5.0)
        does = truth * drawn._factors[metric]
        rounds = list(drawn.rounds(4, 0.0))
        for count in held:
            low, high = objective.score(rounds[:count]).intervals[0]
            held[count] += low <= does <= high
            narrow += count == 4 and low <= 1.5 * does <= high
    assert held[1] / 800 == pytest.approx(0.95, abs=0.04)
    assert held[4] / 800 == pytest.approx(0.95, abs=0.04)
    assert narrow < 40  # and not by being wide


def test_an_slo_is_certainly_missed_by_the_kinder_end_of_its_interval():
    slow = {TOKENS: 1000.0, TTFT: 130.0, ERRORS: 0.02}
    score = OBJECTIVE.score(measured(row(0.1, [slow]))[:1])
    assert not score.feasible and score.violations[TTFT] > 0
    assert score.certain_violations[TTFT] < score.violations[TTFT]
    assert score.certain_violations[ERRORS] == -1  # of one round nothing is certain of a share
    assert OBJECTIVE.score(measured(row(0.0, [slow]))).certain_violations[ERRORS] == pytest.approx(1)


def test_recorded_rounds_are_replayed_in_order_and_again_from_the_first():
    recorded = [{TOKENS: v, TTFT: 50.0, ERRORS: 0.0} for v in (900.0, 1000.0, 1100.0)]
    figures = [r.metrics[TOKENS] for r in measured(row(rounds=recorded), count=5)]
    assert figures == [900, 1000, 1100, 900, 1000]
    noisy = [r.metrics[TOKENS] for r in measured(row(0.2, recorded), count=3)]
    assert noisy[1] / noisy[0] == pytest.approx(1000 / 900)  # their own differences, one factor for all
    assert noisy[0] != 900
    low, high = OBJECTIVE.score(measured(row(rounds=recorded), count=1)).intervals[0]
    assert low < 900 < high


def test_a_share_is_at_most_one():
    full = {TOKENS: 1.0, TTFT: 50.0, ERRORS: 0.99}
    assert all(r.metrics[ERRORS] <= 1 for s in range(20) for r in measured(row(0.3, [full]), seed=s))


def test_a_limit_without_a_figure_is_missed_by_far():
    from tuner.trial.objective import violation

    assert violation(TTFT, math.nan, 100.0) == NOT_MEASURED
    assert violation(TOKENS, 50.0, 100.0) == 0.5


def test_what_follows_from_the_output_rate_shares_its_noise():
    each, cost = "output_tokens_per_second_per_accelerator", "cost_per_million_tokens"
    truth = {TOKENS: 1000.0, each: 250.0, cost: 2.0, TTFT: 50.0}
    of = Row({"slots": 1}, 2, 10.0, None, 0.1, (truth,), truth)
    for one in measured(of):
        assert one.metrics[each] == pytest.approx(one.metrics[TOKENS] / 4)
        assert one.metrics[cost] == pytest.approx(2000 / one.metrics[TOKENS])
        assert one.metrics[TTFT] != pytest.approx(50 * one.metrics[TOKENS] / 1000)
    score = RecordedObjective((Goal(each, True),), {}).score(measured(of)[:1])
    low, high = score.intervals[0]
    assert low < score.values[0] < high  # by its parts, as the rate's own
