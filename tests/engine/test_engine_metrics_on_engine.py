"""The real engine's own metrics in a round's record: what it offers, and nothing that it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tuner.load import HttpLoad
from tuner.results.bottleneck import bottleneck
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint, TrialConfig
from tuner.trial.rounds import PointResult

pytestmark = pytest.mark.engine

SLOTS = 2


def loaded(endpoint: Endpoint, *, concurrency: int) -> PointResult:
    given = {"scenario": "D(32,32)", "concurrency": concurrency, "round_seconds": 1.5}
    load = HttpLoad(Workload.model_validate(given))
    try:
        load.open(endpoint, salt="a")
        (point,) = load.run_round(1, cancel=lambda: False).points
    finally:
        load.close()
    return point


@pytest.fixture
def endpoint(serve: Callable[..., Endpoint], trial: Callable[..., TrialConfig]) -> Endpoint:
    return serve(trial("--parallel", str(SLOTS), "--ctx-size", "2048"))


def test_requests_beyond_the_engines_slots_are_seen_to_wait(endpoint: Endpoint) -> None:
    point = loaded(endpoint, concurrency=3 * SLOTS)
    assert point.engine["scrapes"] >= 3
    assert point.engine["engine_running_max"] == SLOTS
    assert SLOTS < point.engine["engine_waiting_mean"] <= 2 * SLOTS
    assert bottleneck([point]).kind == "queue"
    assert "preemptions" not in point.engine and "prefix_cache_hit_rate" not in point.engine


def test_requests_that_all_have_a_slot_do_not_wait(endpoint: Endpoint) -> None:
    point = loaded(endpoint, concurrency=SLOTS)
    assert point.engine["engine_waiting_max"] == 0
    assert bottleneck([point]).kind == "compute"
