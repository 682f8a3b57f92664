"""What the engine says of itself, and goodput, in the record of a real round."""

from __future__ import annotations

from typing import Any

from scripted_server import Script, ScriptedServer

from tuner.load.goodput import Limits
from tuner.load.session import HttpLoad
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint
from tuner.trial.rounds import PointResult


def one_round(server: ScriptedServer, *, metrics: bool, limits: Limits | None = None) -> PointResult:
    given: dict[str, Any] = {"scenario": "D(16,8)", "concurrency": 2, "round_seconds": 0.5}
    load = HttpLoad(Workload.model_validate(given), limits=limits)
    endpoint = Endpoint(url=server.url, model="m", metrics_url=f"{server.url}/metrics" if metrics else None)
    try:
        load.open(endpoint, salt="trial")
        (point,) = load.run_round(1, cancel=lambda: False).points
    finally:
        load.close()
    return point


def paced(number: int, request: dict[str, Any]) -> Script:
    return Script(first_seconds=0.01, gap_seconds=0.005)


def test_a_round_has_what_the_engine_offers_and_nothing_else() -> None:
    with ScriptedServer(paced, metrics=True) as server:
        point = one_round(server, metrics=True)
    assert 1.0 <= point.engine["engine_running_max"] <= 2.0
    assert point.engine["scrapes"] >= 3 and "scrapes_missed" not in point.engine
    assert not {"engine_waiting_mean", "kv_cache_use_mean", "preemptions", "prefix_cache_hit_rate"} & {
        *point.engine
    }


def test_an_endpoint_without_metrics_leaves_the_record_empty() -> None:
    with ScriptedServer(paced) as server:
        assert one_round(server, metrics=False).engine == {}


def test_a_page_that_is_not_there_is_missed_and_the_round_counts() -> None:
    with ScriptedServer(paced, metrics=False) as server:
        point = one_round(server, metrics=True)
    assert set(point.engine) == {"scrapes_missed"} and point.requests > 0


def test_goodput_is_counted_where_limits_are_set() -> None:
    with ScriptedServer(paced) as server:
        assert one_round(server, metrics=False).good is None
        kept = one_round(server, metrics=False, limits=Limits(e2e_ms=10_000))
        missed = one_round(server, metrics=False, limits=Limits(ttft_ms=1))
    assert kept.good == kept.requests > 0
    assert missed.good == 0 and missed.requests > 0
