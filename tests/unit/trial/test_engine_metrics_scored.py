"""The engine's metrics over several rounds, in SLOs and objectives; what is not offered is never met."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from tuner.spec.metrics import METRICS
from tuner.trial.engine_totals import merged_engine
from tuner.trial.objective import Goal, MergedObjective, interval, totals
from tuner.trial.rounds import PointResult, RoundResult, Trust

Point = Callable[..., PointResult]
TOKENS = Goal("output_tokens_per_second", maximize=True)


def rounds(*points: PointResult) -> list[RoundResult]:
    return [RoundResult(k + 1, 0.0, 10.0, (p,)) for k, p in enumerate(points)]


def objective(*goals: Goal, **slos: float) -> MergedObjective:
    return MergedObjective(goals or (TOKENS,), slos)


def test_gauges_merge_by_time_and_counts_by_sums(point: Point) -> None:
    short = replace(
        point(seconds=10.0),
        engine={
            "engine_running_mean": 10.0,
            "engine_running_max": 12.0,
            "preemptions": 1.0,
            "engine_seconds": 9.0,
            "prefix_cache_hits": 10.0,
            "prefix_cache_queries": 100.0,
            "prefix_cache_hit_rate": 0.1,
        },
    )
    long = replace(
        point(seconds=30.0),
        engine={
            "engine_running_mean": 20.0,
            "engine_running_max": 32.0,
            "preemptions": 9.0,
            "engine_seconds": 11.0,
            "prefix_cache_hits": 0.0,
            "prefix_cache_queries": 900.0,
            "prefix_cache_hit_rate": 0.0,
        },
    )
    assert merged_engine([short, long]) == pytest.approx(
        {
            "engine_running_mean": 17.5,
            "engine_running_max": 32.0,
            "preemptions_per_second": 0.5,
            "prefix_cache_hit_rate": 0.01,
        }
    )


def test_a_round_without_scrapes_changes_nothing(point: Point) -> None:
    told = replace(point(), engine={"kv_cache_use_max": 0.4})
    missed = replace(point(), engine={"scrapes_missed": 5.0})
    assert merged_engine([told, missed]) == {"kv_cache_use_max": 0.4}


def test_what_the_engine_offers_is_a_metric_like_any_other(point: Point) -> None:
    found = replace(point(), engine={"kv_cache_use_max": 0.95, "engine_waiting_mean": 3.0})
    score = objective(kv_cache_use_max=0.9).score(rounds(found))
    assert score.measured and not score.feasible
    assert score.violations["kv_cache_use_max"] == pytest.approx(0.05 / 0.9)
    assert score.metrics["load.engine_waiting_mean"] == 3.0
    assert "preemptions_per_second" not in score.metrics


@pytest.mark.parametrize("name", ["kv_cache_use_max", "load.preemptions_per_second"])
def test_an_slo_on_what_the_engine_does_not_offer_is_not_measured(point: Point, name: str) -> None:
    score = objective(**{name: 0.9}).score(rounds(point()))
    assert not score.measured and not score.feasible
    assert score.reason == f"the engine does not offer {name}, which slo or objective names"
    assert score.certain_violations[name] <= 0  # nothing is pruned by what is not known


def test_an_objective_on_what_the_engine_does_not_offer_is_not_measured(point: Point) -> None:
    score = objective(Goal("prefix_cache_hit_rate", maximize=True)).score(rounds(point()))
    assert math.isnan(score.values[0]) and not score.measured
    assert "does not offer prefix_cache_hit_rate" in score.reason


def test_a_contaminated_round_is_left_out(point: Point) -> None:
    bad = point(tokens=9000, trust=Trust(contaminated=True))
    both = objective().score(rounds(point(tokens=1000), bad))
    assert both.measured and both.values[0] == pytest.approx(100.0)
    alone = objective().score(rounds(bad))
    assert not alone.measured and alone.reason == "no round may be trusted: contaminated"


def test_a_measured_score_has_no_reason(point: Point) -> None:
    assert objective().score(rounds(point())).reason == ""


def test_goodput_is_by_the_window_and_its_share_by_all_that_was_sent(point: Point) -> None:
    one = replace(point(seconds=10.0, requests=40, errors={"http_500": 6}), good=30, late=4)
    two = replace(point(seconds=10.0, requests=50), good=50)
    score = objective(goodput_share=0.9).score(rounds(one, two))
    assert score.metrics["goodput"] == pytest.approx(80 / 20)
    assert score.metrics["goodput_share"] == pytest.approx(80 / (90 + 6 + 4))
    assert score.violations["goodput_share"] == pytest.approx(0.1 / 0.9)


def test_without_limits_goodput_is_missing(point: Point) -> None:
    assert "goodput" not in objective().score(rounds(point())).metrics
    assert math.isnan(METRICS["goodput_share"].formula(totals([point()])))


def test_the_interval_of_parts_that_hang_together_is_wider(point: Point) -> None:
    metric = METRICS["output_tokens_per_second"]
    apart = (90.0, 110.0, 95.0, 105.0, 100.0, 92.0, 108.0, 97.0, 103.0, 100.0, 91.0, 109.0)
    together = tuple(sorted(apart))
    low, high = interval(metric, [point(parts=apart)])
    wider_low, wider_high = interval(metric, [point(parts=together)])
    assert (wider_high - wider_low) > 1.5 * (high - low)
    assert (wider_low + wider_high) / 2 == pytest.approx((low + high) / 2)
