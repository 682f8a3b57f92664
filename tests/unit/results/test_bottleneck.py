"""What bounded a trial, from what its engine said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuner.results.bottleneck import bottleneck, bound_by
from tuner.trial.rounds import PointResult, RoundResult, Trust

CLOSED, OPEN = Trust(waves=4.0), Trust(waves=0.0)
BUSY = {"engine_running_mean": 30.0, "engine_waiting_mean": 0.1, "kv_cache_use_max": 0.4}


def point(engine: dict[str, float] | None = None, trust: Trust = CLOSED, name: str = "load") -> PointResult:
    return PointResult(name, 10.0, 40, 900, 900, {}, 0, {}, engine=engine or {}, trust=trust)


@pytest.mark.parametrize(
    ("changes", "trust", "kind"),
    [
        ({}, CLOSED, "compute"),
        ({"engine_waiting_mean": 12.0}, CLOSED, "queue"),
        ({"engine_waiting_mean": 12.0, "kv_cache_use_max": 0.97}, CLOSED, "kv cache"),
        ({"kv_cache_use_max": 0.97}, CLOSED, "compute"),  # full, and nobody waits
        ({"preemptions": 3.0, "engine_seconds": 9.0}, CLOSED, "kv cache"),
        ({"engine_waiting_mean": 1.4}, CLOSED, "compute"),  # below a twentieth of 30
        ({}, OPEN, "nothing"),
        ({}, replace(OPEN, over_saturated=True), "compute"),
        ({"engine_waiting_mean": 12.0}, replace(OPEN, over_saturated=True), "queue"),
        ({"engine_waiting_mean": 12.0}, replace(CLOSED, client_bound=True), "client"),
    ],
)
def test_the_first_cause_that_shows_is_told(changes: dict[str, float], trust: Trust, kind: str) -> None:
    assert bottleneck([point({**BUSY, **changes}, trust)]).kind == kind


@pytest.mark.parametrize(
    ("trust", "kind"), [(CLOSED, "unknown"), (replace(OPEN, over_saturated=True), "queue"), (OPEN, "unknown")]
)
def test_without_the_engines_word_only_a_growing_queue_is_known(trust: Trust, kind: str) -> None:
    assert bottleneck([point(trust=trust)]).kind == kind


def test_an_engine_that_tells_no_kv_cache_is_bound_by_its_queue() -> None:
    found = bottleneck([point({"engine_running_mean": 4.0, "engine_waiting_mean": 46.0})])
    assert found.kind == "queue" and found.words == "its queue (4.0 requests run, 46.0 wait)"


def test_one_late_round_of_three_is_not_the_client() -> None:
    late = point(BUSY, replace(CLOSED, client_bound=True))
    assert bottleneck([late, point(BUSY), point(BUSY)]).kind == "compute"
    assert bottleneck([late, late, point(BUSY)]).kind == "client"


def rounds(*points: PointResult) -> list[RoundResult]:
    return [RoundResult(1, 0.0, 10.0, points)]


def test_one_line_tells_the_figures() -> None:
    full: dict[str, Any] = {**BUSY, "engine_waiting_mean": 8.0, "kv_cache_use_max": 0.99}
    assert bound_by(rounds(point(full))) == (
        "its KV cache (30.0 requests run, 8.0 wait, KV cache at most 99% full)"
    )
    assert bound_by([]) == ""


def test_load_points_that_differ_are_told_by_name() -> None:
    queued = point({**BUSY, "engine_waiting_mean": 9.0}, name="peak")
    said = bound_by(rounds(point(BUSY, name="calm"), queued))
    assert said.startswith("calm: compute (") and "; peak: its queue (" in said
    assert bound_by(rounds(point(BUSY, name="a"), point(BUSY, name="b"))).startswith("compute (")
