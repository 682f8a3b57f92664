"""Rounds of a search over rates on a server whose capacity is known: places and a service time."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tuner.errors import UserError
from tuner.load import HttpLoad
from tuner.load.rate_search import probing
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint, LoadError
from tuner.trial.rounds import RoundResult

pytestmark = pytest.mark.engine  # whole windows: too slow for the unit tier


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ramps and drains of windows so short end with them."""
    monkeypatch.setattr("tuner.load.round.SHORTEST_LIMIT_SECONDS", 0.1)


def never() -> bool:
    return False


def workload(seconds: float, **searching: float) -> Workload:
    return Workload.model_validate(
        {
            "scenario": "D(4,1)",
            "arrivals": "constant",
            "rate_search": searching,
            "round_seconds": seconds,
        }
    )


def searched(
    server: Any,
    slos: dict[str, float],
    *,
    rounds: int = 1,
    seconds: float = 0.2,
    before: Callable[[], None] = lambda: None,
    **searching: float,
) -> list[RoundResult]:
    load = HttpLoad(workload(seconds, **searching), slos=slos)
    load.open(Endpoint(url=server.url, model="m", metrics_url=f"{server.url}/metrics"), salt="s")
    before()
    try:
        return [load.run_round(number, cancel=never) for number in range(1, rounds + 1)]
    finally:
        load.close()


def test_a_round_is_a_block_of_probes_and_the_search_goes_on_over_the_rounds(scripted: ModuleType) -> None:
    script = scripted.Script(first_seconds=0.02)  # in 4 places: 200 requests per second
    with scripted.ScriptedServer(lambda number, request: script, slots=4) as server:
        found = searched(
            server,
            {"load.ttft_p90_ms": 60.0, "error_rate": 0.01},
            rounds=2,
            seconds=0.15,
            low=20,
            high=900,
            probes=5,
        )
    first, second = (r.rates for r in found)
    assert first is not None and second is not None
    assert len(first.probes) == len(second.probes) == 5 and (first.made, second.made) == (5, 10)
    assert first.probes[0].rate == pytest.approx(math.sqrt(20 * 900))
    assert all(100 < p.rate < 400 for p in second.probes)  # where the first block left it
    # A queue that grows by (rate - 200) passes the limit a little above the capacity in so short a window.
    assert 120 < second.low < 280 and second.low <= second.rate <= second.high
    assert second.binding == "load.ttft_p90_ms" and second.allowed == {
        "load.ttft_p90_ms": 0.1,
        "error_rate": 0.01,
    }
    for one in found:
        (standing,) = one.points
        assert one.rates is not None and one.usable
        kept = next(p for p in one.rates.probes if p.rate == standing.trust.asked)
        assert kept.late["load.ttft_p90_ms"] <= 0.1 and not kept.over_saturated
        assert 0 < standing.requests <= kept.requests


def test_the_engine_is_at_rest_before_the_probe_after_one_that_was_ended_early(
    scripted: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.load.round._PROGRESS_SECONDS", 0.1)
    script = scripted.Script(first_seconds=0.02, deaf=True)  # 200 a second, read or not
    with scripted.ScriptedServer(lambda number, request: script, slots=4, metrics=True) as server:
        (found,) = searched(server, {"ttft_p90_ms": 60.0}, seconds=0.4, low=25, high=10_000, probes=2)
    assert found.rates is not None
    overrun, after = found.rates.probes
    assert overrun.ended_early and overrun.over_saturated and overrun.seconds < 0.9
    assert overrun.late == {"ttft_p90_ms": 1.0}
    assert not after.ended_early and after.late == {"ttft_p90_ms": 0.0} and not after.unusable
    assert [p.trust.asked for p in found.points] == [after.rate]


def test_a_block_ends_where_the_engine_comes_to_no_rest(
    scripted: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "SHORTEST_REST_SECONDS", 0.02)
    with scripted.ScriptedServer(metrics=True) as server:

        def busy() -> None:
            server.seen.in_flight += 1  # somebody else's request, for ever

        (found,) = searched(
            server, {"ttft_p90_ms": 60.0}, seconds=0.1, before=busy, low=50, high=90, probes=2
        )
    assert found.rates is not None and found.rates.probes == () and found.points == ()
    assert (
        found.unusable == ("the engine was not at rest 0.3 s after its last requests",) and not found.usable
    )


def test_a_search_on_an_engine_that_is_gone_ends_with_the_fault(scripted: ModuleType) -> None:
    with scripted.ScriptedServer() as server:
        load = HttpLoad(workload(0.1, low=50, high=90), slos={"ttft_p90_ms": 60.0})
        load.open(Endpoint(url=server.url, model="m"), salt="s")
    try:
        with pytest.raises(LoadError, match=r"127\.0\.0\.1"):
            load.run_round(1, cancel=never)
    finally:
        load.close()


def test_a_range_of_rates_without_a_limit_is_refused_in_one_line() -> None:
    with pytest.raises(
        UserError, match="load point load: got a rate_search and no slo; would be right: limits"
    ):
        HttpLoad(workload(1.0, low=1, high=2))
