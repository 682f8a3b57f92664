"""HttpLoad from end to end against a server whose truth is known."""

from __future__ import annotations

import asyncio
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import tuner.load.round
import tuner.load.target
from tuner.errors import Cancelled
from tuner.load import HttpLoad
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint, LoadError
from tuner.trial.rounds import PointResult


def never() -> bool:
    return False


def measured(measure: Callable[[], PointResult], check: Callable[[PointResult], None]) -> None:
    """`check` passes on one of a few measurements: a busy machine spoils some, a wrong figure all.

    Where the measurements say of themselves that the machine was taken, nothing is proven either way.
    """
    spoiled = True
    for _ in range(4):
        found = measure()
        try:
            check(found)
        except AssertionError as error:
            failed = error
            spoiled = spoiled and (found.trust.dirty or found.trust.client_bound)
        else:
            return
    if spoiled:
        pytest.skip(f"the machine is too busy to measure a truth: {found.trust.reasons}")
    raise failed


def workload(**given: Any) -> Workload:
    fields = {"scenario": "D(48,16)", "concurrency": 8, "round_seconds": 0.5, **given}
    return Workload.model_validate(fields)


def one_round(
    server: Any, given: Workload, *, salt: str = "s", number: int = 1, load: HttpLoad | None = None
) -> PointResult:
    load = load or HttpLoad(given)
    try:
        load.open(Endpoint(url=server.url, model="m"), salt=salt)
        return load.run_round(number, cancel=never).points[0]
    finally:
        load.close()


@pytest.fixture
def steady(scripted: ModuleType) -> Any:
    """First token after 30 ms, 15 more 10 ms apart: 180 ms a request."""
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(first_seconds=0.03, gap_seconds=0.01)
    ) as server:
        yield server


def test_a_session_opened_at_another_load_has_that_many_requests_in_flight(steady: Any) -> None:
    load = HttpLoad(workload())
    try:
        load.open(Endpoint(url=steady.url, model="m"), salt="x", load=0.5)
        found = load.run_round(5, cancel=never)
        assert (found.load, found.points[0].trust.asked) == (0.5, 4)
        load.open(Endpoint(url=steady.url, model="m"), salt="y")
        assert load.run_round(1, cancel=never).points[0].trust.asked == 8
    finally:
        load.close()


def test_a_closed_loop_measures_the_truth(steady: Any) -> None:
    def check(found: PointResult) -> None:
        ideal = 8 * 16 / 0.18
        assert found.output_tokens / found.window_seconds == pytest.approx(ideal, rel=0.07)
        assert found.requests / found.window_seconds == pytest.approx(8 / 0.18, rel=0.15)
        assert found.histograms["ttft_ms"].quantile(0.5) == pytest.approx(30, abs=4)
        assert found.histograms["tpot_ms"].quantile(0.5) == pytest.approx(10, rel=0.05)
        assert found.histograms["itl_ms"].quantile(0.5) == pytest.approx(10, rel=0.15)
        assert found.histograms["e2e_ms"].quantile(0.5) == pytest.approx(180, abs=8)
        assert found.input_tokens == 48 * found.requests
        assert found.errors == {} and found.cut == 8
        assert found.trust.achieved == pytest.approx(8, rel=0.05) and not found.trust.invalid
        assert found.trust.token_source == "usage"
        assert len(found.parts) == 5

    measured(lambda: one_round(steady, workload(round_seconds=0.8)), check)


def test_streams_do_not_run_in_step(steady: Any) -> None:
    def measure() -> PointResult:
        steady.seen.times.clear()
        steady.seen.requests.clear()
        return one_round(steady, workload(concurrency=16, round_seconds=0.4))

    def check(found: PointResult) -> None:
        seen = zip(steady.seen.times, steady.seen.requests, strict=True)
        later = [at for at, asked in seen if asked["max_tokens"] > 1][16:]  # all streams start at once
        together = max(sum(abs(a - b) < 0.01 for b in later) for a in later)
        assert together <= 8  # of 16; spread over 180 ms one or two would be usual

    measured(measure, check)


def test_an_open_loop_is_timed_from_the_intended_send(steady: Any) -> None:
    def check(found: PointResult) -> None:
        assert found.trust.achieved == pytest.approx(60, rel=0.05)
        assert found.histograms["ttft_ms"].quantile(0.5) == pytest.approx(31, abs=5)
        assert found.output_tokens / found.window_seconds == pytest.approx(60 * 16, rel=0.08)
        assert not found.trust.over_saturated

    given = workload(concurrency=None, request_rate=60, arrivals="constant", round_seconds=0.6)
    measured(lambda: one_round(steady, given), check)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ramp and drain of a test that needs them to run out take no second."""
    monkeypatch.setattr(tuner.load.round, "SHORTEST_LIMIT_SECONDS", 0.3)


@pytest.mark.usefixtures("impatient")
def test_an_open_loop_beyond_what_the_server_can_is_over_saturated(scripted: ModuleType) -> None:
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(first_seconds=0.03, gap_seconds=0.01), slots=2
    ) as server:  # 11 requests a second at most
        given = workload(concurrency=None, request_rate=60, round_seconds=0.8)
        found = one_round(server, given)
    assert found.trust.over_saturated
    # The queue's wait is in it: 2 slots leave most arrivals waiting until the drain ends.
    assert found.histograms["ttft_ms"].quantile(0.5) > 300


@pytest.mark.usefixtures("impatient")
def test_a_first_token_that_takes_longer_than_the_round_is_a_large_ttft(scripted: ModuleType) -> None:
    slow = scripted.Script(first_seconds=20)
    with scripted.ScriptedServer(lambda n, r: slow if r["max_tokens"] > 1 else scripted.Script()) as server:
        found = one_round(server, workload(round_seconds=0.2, scenario="D(48,500)"))
    ttft = found.histograms["ttft_ms"]
    assert ttft.count == 8 and ttft.quantile(0.5) > 700
    assert not math.isnan(found.histograms["e2e_ms"].mean())
    assert (found.output_tokens, found.requests, found.cut) == (0, 0, 8)
    assert any("lower bounds" in reason for reason in found.trust.reasons)


def test_nothing_is_in_flight_after_a_round_and_connections_are_kept(scripted: ModuleType) -> None:
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(first_seconds=0.005, gap_seconds=0.005), metrics=True
    ) as server:
        load = HttpLoad(workload(round_seconds=0.3))
        endpoint = Endpoint(url=server.url, model="m", metrics_url=f"{server.url}/metrics")
        load.open(endpoint, salt="s")
        found = load.run_round(1, cancel=never).points[0]
        assert server.seen.in_flight == 0
        assert server.seen.most_in_flight == 8
        assert found.requests > 16
        assert server.seen.connections <= 8 + 1 + 1  # the streams', the metrics'
        assert not any("at rest" in r for r in found.trust.reasons)
        load.close()


@pytest.mark.parametrize("loop", [{"concurrency": 1}, {"concurrency": None, "request_rate": 40}], ids=str)
def test_lengths_and_arrivals_are_the_same_for_every_salt_and_prompts_are_not(
    steady: Any, loop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[Any] = []

    async def kept(*given: Any, **named: Any) -> Any:
        passes.append(await tuner.load.round.pass_over(*given, **named))
        return passes[-1]

    monkeypatch.setattr(tuner.load.target, "pass_over", kept)
    given = workload(scenario="U(20,90)/(2,9)", round_seconds=0.3, **loop)
    prompts = []
    for salt in ("trial 1", "trial 2"):
        start = len(steady.seen.prompts)
        one_round(steady, given, salt=salt)
        prompts.append(
            {
                p
                for p, r in list(zip(steady.seen.prompts, steady.seen.requests, strict=True))[start:]
                if r["max_tokens"] > 1
            }
        )
    asked = [
        [
            (x.asked_tokens, None if x.intended is None else round(x.intended - p.window.opens, 6))
            for x in p.exchanges
            if x.intended is None or x.intended >= p.window.opens
        ]
        for p in passes
    ]
    common = min(len(a) for a in asked)
    assert common >= 2
    assert asked[0][:common] == asked[1][:common]
    assert not prompts[0] & prompts[1]


def test_rounds_differ_in_their_prompts(steady: Any) -> None:
    given = workload(round_seconds=0.2)
    load = HttpLoad(given)
    load.open(Endpoint(url=steady.url, model="m"), salt="s")
    load.run_round(1, cancel=never)
    load.run_round(2, cancel=never)
    before = len(steady.seen.requests)
    load.warm_up(seconds=0, cancel=never)
    assert len(steady.seen.requests) == before
    load.warm_up(seconds=0.1, cancel=never)
    load.close()
    prompts = [r["prompt"] for r in steady.seen.requests if r["max_tokens"] > 1]
    assert len(set(prompts)) == len(prompts)


def test_a_shared_prefix_is_shared_and_the_rest_is_not(steady: Any) -> None:
    one_round(steady, workload(scenario="D(60,8)", shared_prefix=40, round_seconds=0.2))
    prompts = [r["prompt"].split() for r in steady.seen.requests if r["max_tokens"] > 1]
    assert len({tuple(p[:40]) for p in prompts}) == 1
    assert len({tuple(p[40:]) for p in prompts}) == len(prompts)
    assert {len(p) for p in prompts} == {60}


@pytest.mark.parametrize(
    ("count", "source"),
    [
        (lambda prompt: 17 + len(prompt.split()), "usage"),
        (len, "usage"),
        (lambda prompt: -(-len(prompt) // 3), "tokenize"),
    ],
)
def test_prompts_have_the_length_that_was_asked_for_as_the_server_counts(
    scripted: ModuleType, count: Any, source: str
) -> None:
    usage = "finish" if source == "usage" else "none"
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(usage=usage, gap_seconds=0.002), count=count, tokenize=True
    ) as server:
        one_round(server, workload(scenario="D(120,8)", round_seconds=0.2))
        lengths = [count(r["prompt"]) for r in server.seen.requests if r["max_tokens"] > 1]
    assert sum(lengths) / len(lengths) == pytest.approx(120, abs=6)
    assert max(lengths) - min(lengths) <= 6


def test_cancel_ends_a_round_within_a_second_and_leaves_nothing_in_flight(steady: Any) -> None:
    load = HttpLoad(workload(round_seconds=60))
    load.open(Endpoint(url=steady.url, model="m"), salt="s")
    began = time.perf_counter()
    asked_at: list[float] = []

    def cancel() -> bool:
        if time.perf_counter() - began > 0.3:
            asked_at.append(time.perf_counter())
        return bool(asked_at)

    with pytest.raises(Cancelled):
        load.run_round(1, cancel=cancel)
    assert time.perf_counter() - asked_at[0] < 0.5
    load.warm_up(seconds=0.05, cancel=never)  # the session goes on
    load.close()


def test_an_interrupt_leaves_a_session_that_can_be_closed(steady: Any) -> None:
    load = HttpLoad(workload(round_seconds=60), on_progress=None)
    load.open(Endpoint(url=steady.url, model="m"), salt="s")

    def interrupt() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load.run_round(1, cancel=interrupt)
    load.close()


def test_failures_are_counted_by_class_with_the_servers_words(scripted: ModuleType) -> None:
    def script(number: int, request: dict[str, Any]) -> Any:
        if request["max_tokens"] == 1:
            return scripted.Script()
        return (
            scripted.Script(status=500, error_body="out of memory")
            if number % 2
            else scripted.Script(end="cut", after_tokens=1)
        )

    with scripted.ScriptedServer(script) as server:
        found = one_round(server, workload(round_seconds=0.6, scenario="D(48,8)"))
    assert set(found.errors) == {"http_500", "cut"}
    assert found.requests == 0
    assert any("out of memory" in r for r in found.trust.reasons)
    assert not found.trust.invalid
    # Streams pause after a failure: no storm of requests.
    assert len(server.seen.requests) < 8 * 8


def test_a_server_that_dies_is_refused_and_the_round_still_ends(scripted: ModuleType) -> None:
    with scripted.ScriptedServer() as server:
        load = HttpLoad(workload(round_seconds=0.3))
        load.open(Endpoint(url=server.url, model="m"), salt="s")
    found = load.run_round(1, cancel=never).points[0]
    load.close()
    assert found.errors.get("refused", 0) > 0 and found.requests == 0


def test_timeouts_are_counted_and_do_not_hang(scripted: ModuleType) -> None:
    stall = scripted.Script(end="stall", after_tokens=0)
    with scripted.ScriptedServer(lambda n, r: stall if r["max_tokens"] > 1 else scripted.Script()) as server:
        found = one_round(
            server, workload(round_seconds=0.6, request_timeout_seconds=0.2, scenario="D(48,500)")
        )
    assert found.errors.get("timeout", 0) >= 8
    assert found.histograms["ttft_ms"].quantile(0.5) == pytest.approx(200, abs=30)


def test_a_server_that_closes_after_each_answer_is_loaded_all_the_same(scripted: ModuleType) -> None:
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(first_seconds=0.01, gap_seconds=0.01, then="close")
    ) as server:
        found = one_round(server, workload(round_seconds=0.5))
    assert found.errors == {}
    assert found.requests > 16 and not found.trust.invalid


def test_a_server_that_knows_no_ignore_eos_is_asked_without_it(scripted: ModuleType) -> None:
    def strict(number: int, request: dict[str, Any]) -> Any:
        if "ignore_eos" in request:
            return scripted.Script(status=400, error_body="Unrecognized request argument: ignore_eos")
        return scripted.Script(gap_seconds=0.002)

    with scripted.ScriptedServer(strict) as server:
        assert one_round(server, workload(round_seconds=0.2)).errors == {}


def test_open_says_what_the_server_refuses(scripted: ModuleType) -> None:
    refuse = scripted.Script(status=400, error_body="exceed_context_size_error")
    with scripted.ScriptedServer(lambda n, r: refuse) as server:
        load = HttpLoad(workload())
        with pytest.raises(LoadError, match=r"http_400: exceed_context_size_error"):
            load.open(Endpoint(url=server.url, model="m"), salt="s")
        with pytest.raises(LoadError, match="no session"):
            load.run_round(1, cancel=never)


def test_progress_is_told_about_once_a_second(steady: Any) -> None:
    told: list[dict[str, Any]] = []
    given = workload(round_seconds=1.05)

    def measure() -> PointResult:
        told.clear()
        return one_round(steady, given, load=HttpLoad(given, on_progress=told.append))

    def check(found: PointResult) -> None:
        assert len(told) == 1
        assert told[0]["point"] == "load" and told[0]["round"] == 1
        assert told[0]["output_tokens_per_second"] == pytest.approx(8 * 16 / 0.18, rel=0.1)
        assert told[0]["ttft_p50_ms"] == pytest.approx(30, abs=4)

    measured(measure, check)


def test_several_points_are_measured_one_after_another(steady: Any) -> None:
    given = Workload.model_validate(
        {
            "points": [
                {"name": "few", "scenario": "D(20,8)", "concurrency": 2},
                {"name": "many", "scenario": "D(20,8)", "concurrency": 6},
            ],
            "round_seconds": 0.3,
        }
    )
    load = HttpLoad(given)
    load.open(Endpoint(url=steady.url, model="m"), salt="s")
    found = load.run_round(3, cancel=never)
    load.close()
    assert found.number == 3
    assert [(p.point, round(p.trust.achieved)) for p in found.points] == [("few", 2), ("many", 6)]
    assert 0.6 < found.seconds < 2


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_a_session_is_pinned_to_the_endpoints_cores_and_gives_them_back(steady: Any) -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    load = HttpLoad(workload(round_seconds=0.1))
    load.open(Endpoint(url=steady.url, model="m", load_cpus=(core,)), salt="s")
    assert os.sched_getaffinity(0) == {core}
    load.close()
    assert os.sched_getaffinity(0) == before
    load.open(Endpoint(url=steady.url, model="m", load_cpus=(9_999,)), salt="s")
    found = load.run_round(1, cancel=never)
    load.close()
    assert any("not pinned to cores 9999" in r for r in found.points[0].trust.reasons)
    assert os.sched_getaffinity(0) == before


def test_it_imports_in_a_second_and_without_ray() -> None:
    code = (
        "import sys, time; import tuner.load; "
        "print(time.process_time(), 'ray' in sys.modules, 'optuna' in sys.modules)"
    )
    seconds, *heavy = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert heavy == ["False", "False"]
    assert float(seconds) < 1  # of CPU, which a busy machine stretches less than time


def test_it_works_on_asyncios_own_loop(steady: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    load = HttpLoad(workload(round_seconds=0.3))
    assert re.match("asyncio", type(load._loop).__module__)
    assert isinstance(load._loop, asyncio.AbstractEventLoop)
    found = one_round(steady, workload(round_seconds=0.3), load=load)
    assert found.errors == {} and found.requests > 0
