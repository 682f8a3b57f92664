"""Whole runs with a validation, replayed under noise of which the levels are known."""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev

import pytest

from tuner.search.replay.measured import RecordedRound
from tuner.search.replay.noise import Noise, NoiseLevels
from tuner.search.replay.verdicts import judged
from tuner.trial.ports import Phase

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
RATE, TTFT, ERRORS = "output_tokens_per_second", "ttft_p95_ms", "error_rate"


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    """The benchmarks import one another from their folder."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


def logs(noise: Noise, *, count: int = 4, attempt: int = 1, place: int = 0, started: float = 0.0):
    """Of the factors on the rate of a deployment's rounds."""
    true = {RATE: 100.0}
    rounds = [RecordedRound(n, started + n * 20.0, 20.0, (), metrics=true) for n in range(count)]
    made = noise.applied(rounds, key=(1, Phase.SEARCH, attempt), place=place)
    return [math.log(one.metrics[RATE] / 100) for one in made]


def test_rounds_scatter_and_correlate_as_they_were_told_to():
    found = logs(Noise(NoiseLevels(round_cv=0.02, round_correlation=0.7), 1), count=8000)
    assert pstdev(found) == pytest.approx(0.02, rel=0.06)
    together = fmean(a * b for a, b in pairwise(found)) / fmean(a * a for a in found)
    assert together == pytest.approx(0.7, abs=0.03)


def test_a_later_deployment_of_a_node_goes_on_with_its_noise_and_one_elsewhere_does_not():
    here, there = [], []
    for seed in range(600):
        noise = Noise(NoiseLevels(round_cv=0.02, round_correlation=0.9, nodes=2), seed)
        last, elsewhere = logs(noise, count=1)[-1], logs(noise, count=1, place=1)[0]
        here.append(last * logs(noise, count=1, attempt=2, started=20.0)[0])
        there.append(last * elsewhere)
    assert fmean(here) / 0.02**2 == pytest.approx(0.9, abs=0.15)
    assert fmean(there) / 0.02**2 == pytest.approx(0.0, abs=0.15)


def test_what_a_deployment_and_a_node_got_by_chance_is_common_to_its_rounds():
    found = [logs(Noise(NoiseLevels(deployment_cv=0.01, node_cv=0.02), seed)) for seed in range(2000)]
    assert all(max(one) - min(one) < 1e-12 for one in found)
    assert pstdev(one[0] for one in found) == pytest.approx(math.hypot(0.01, 0.02), rel=0.06)


def test_drift_is_the_same_on_all_nodes():
    noise = Noise(NoiseLevels(drift_cv_per_hour=0.1, wave_cv=0.02, nodes=2), 5)
    first, second = logs(noise), logs(noise, attempt=2, place=1)
    assert first == second
    assert max(first) - min(first) > 0


def test_a_time_falls_where_a_rate_rises_and_a_share_stays():
    one = RecordedRound(1, 0.0, 20.0, (), metrics={RATE: 100.0, TTFT: 50.0, ERRORS: 0.01})
    [made] = Noise(NoiseLevels(deployment_cv=0.1), 3).applied([one], key=(1, Phase.SEARCH, 1), place=0)
    factor = made.metrics[RATE] / 100
    assert factor != 1
    assert made.metrics[TTFT] == pytest.approx(50 / factor)
    assert made.metrics[ERRORS] == 0.01


def test_where_nothing_matters_a_run_seldom_says_better():
    from verdict import Work, run_once

    runs = [run_once(Work("flat", "all", seed, trials=6)) for seed in range(100)]
    assert sum(run.better for run in runs) <= 12
    assert sum(run.covered is not None for run in runs) >= 50


def test_the_same_seed_gives_the_same_verdict_and_a_gain_without_noise_is_exact():
    from verdicts.cases import experiment, surface

    made = [judged(experiment(1), surface("one", 1), 4, NoiseLevels(deployment_cv=0.001)) for _ in range(2)]
    assert made[0].verdict == made[1].verdict
    assert made[0].true_gain == pytest.approx(0.05)
    assert made[0].covered
    assert made[0].verdict.gain.share == pytest.approx(0.05, abs=0.005)


def test_what_a_simplified_winner_truly_gives_away_is_known():
    from verdicts.cases import experiment, surface

    levels = NoiseLevels(deployment_cv=0.0005)
    made = [judged(experiment(1), surface("spare", 1), seed, levels) for seed in range(2)]
    for one in made:
        assert one.verdict.simplified.taken and one.verdict.simplified.back == ("slots",)
        assert one.would_lose == pytest.approx(0.002, abs=1e-4)
        assert one.true_gain == pytest.approx(1.07 * 1.0115 - 1)
    assert math.isnan(judged(experiment(1), surface("flat", 1), 0, NoiseLevels()).would_lose)


def test_nodes_that_differ_by_more_than_the_gain_do_not_hide_it():
    from verdicts.cases import experiment, surface

    levels = NoiseLevels(node_cv=0.1, deployment_cv=0.001, nodes=3)
    made = [judged(experiment(3), surface("ladder", 3), seed, levels) for seed in range(3)]
    for one in made:
        if one.candidates == 2:
            assert one.verdict.gain.high - one.verdict.gain.low < 0.04
            assert one.verdict.gain.share == pytest.approx(one.true_gain, abs=0.01)
    assert any(one.candidates == 2 for one in made)


def test_wilsons_interval_is_that_of_his_formula():
    from verdicts.figures import Share

    low, high = Share(5, 100).interval
    assert (low, high) == pytest.approx((0.0215, 0.1118), abs=1e-4)
    assert Share(0, 100).interval[1] == pytest.approx(0.0370, abs=1e-4)


def test_the_smallest_gain_is_shown_with_the_power_asked_for():
    from verdicts.figures import power_of, smallest_gain

    gain = smallest_gain(0.02, 3)
    assert power_of(gain, 0.02, 3) == pytest.approx(0.8, abs=0.01)
    assert smallest_gain(0.02, 6) < gain / 2
