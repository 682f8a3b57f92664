"""Loads that change over the window: what arrives and when, and what that means for trust."""

from __future__ import annotations

import random
from itertools import pairwise, takewhile
from statistics import fmean, pvariance, stdev
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.load import HttpLoad
from tuner.load.host_usage import HostUsage
from tuner.load.schedule import arrival_seconds, stream_starts
from tuner.load.trust import Asked, judge, queue_grows
from tuner.load.window import Account
from tuner.load.workers_plan import SpreadPlan, expected_cores
from tuner.spec.level import Level
from tuner.spec.workload import LoadPoint, Workload
from tuner.trial.ports import Endpoint
from tuner.trial.rounds import PointResult, Trust

WINDOW = 10.0
rates = st.floats(0.5, 300)


def point(**given_: Any) -> LoadPoint:
    return LoadPoint.model_validate({"scenario": "D(8,8)", **given_})


def arrivals(one: LoadPoint, seed: int, *, until: float = WINDOW) -> list[float]:
    times = arrival_seconds(one, random.Random(seed), window_seconds=WINDOW)
    return list(takewhile(lambda at: at < until, times))


def integral(start: float, end: float, since: float, until: float) -> float:
    """Of a rate that goes from `start` to `end` over the window and stays, by the trapezium."""

    def rate(at: float) -> float:
        return start + (end - start) * min(at, WINDOW) / WINDOW

    edges = [since, *([WINDOW] if since < WINDOW < until else []), until]
    return sum((b - a) * (rate(a) + rate(b)) / 2 for a, b in pairwise(edges))


@settings(max_examples=60, deadline=None)
@given(rates, rates, st.floats(0, 12), st.floats(0, 12), st.integers(0, 99))
def test_constant_arrivals_of_any_part_are_the_integral_of_the_rate_to_within_one(
    start: float, end: float, a: float, b: float, seed: int
) -> None:
    since, until = sorted((a, b))
    one = point(request_rate=start, ramp_to=end + 0.001 * (start == end), arrivals="constant")
    times = arrivals(one, seed, until=12.0)
    assert times == sorted(times)
    counted = sum(since <= at < until for at in times)
    assert abs(counted - integral(start, end, since, until)) < 1.01


@pytest.mark.parametrize(
    ("kind", "burstiness", "dispersion"), [("poisson", 1.0, 1.0), ("gamma", 4.0, 0.25), ("gamma", 0.5, 2.0)]
)
def test_random_arrivals_of_each_part_have_the_integral_as_mean_and_their_own_scatter(
    kind: str, burstiness: float, dispersion: float
) -> None:
    one = point(request_rate=4, ramp_to=40, arrivals=kind, burstiness=burstiness)
    runs = [arrivals(one, seed) for seed in range(300)]
    for part in range(5):
        since, until = 2.0 * part, 2.0 * part + 2
        counts = [sum(since <= at < until for at in times) for times in runs]
        expected = integral(4, 40, since, until)
        error = stdev(counts) / len(runs) ** 0.5
        # gamma's arrivals begin with a whole gap after the opening: up to half of one is missing there
        assert fmean(counts) == pytest.approx(expected, abs=4 * error + 0.5 * abs(1 - dispersion))
        assert pvariance(counts) / expected == pytest.approx(dispersion, rel=0.35)


def test_a_ramp_without_a_window_is_at_its_start_and_after_the_window_at_its_end() -> None:
    one = point(request_rate=2, ramp_to=20, arrivals="constant")
    before = list(takewhile(lambda at: at < 100, arrival_seconds(one, random.Random(1))))
    assert len(before) == pytest.approx(200, abs=1)
    after = [at for at in arrivals(one, 1, until=20.0) if at >= WINDOW]
    assert len(after) == pytest.approx(200, abs=1)


def test_a_rate_that_stays_arrives_as_it_would_without_a_window() -> None:
    one = point(request_rate=7.0)
    there = arrival_seconds(one, random.Random(3), window_seconds=WINDOW)
    assert [next(there) for _ in range(200)] == pytest.approx(
        [at for at, _ in zip(arrival_seconds(one, random.Random(3)), range(200), strict=False)]
    )


def test_streams_of_a_ramp_are_the_level_rounded() -> None:
    starts = stream_starts(point(concurrency=2, ramp_to=10), 8.0)
    assert starts == [None, None, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    assert stream_starts(point(concurrency=3), 8.0) == [None] * 3


UP, CLOSED = Asked(None, 2.0, 20.0), Asked(4, None, 8.0)
RISING = (20.0, 60.0, 100.0, 140.0, 180.0, 190.0)


def judged(made: Account, asked: Asked, **given_: Any) -> Trust:
    fields: dict[str, Any] = {"lag_ms": [1.0] * 100, "window_seconds": 10.0, "paused_streams": 0.0}
    return judge(made, asked, **{"host": HostUsage(), **fields, **given_})


def test_a_ramp_that_does_what_it_was_asked_for_has_no_mark() -> None:
    in_flight = tuple(rate * 0.5 for rate in Level(2, 20).by_part(6))
    trust = judged(Account(sent=110, scheduled=110, parts=RISING, in_flight=in_flight), UP)
    assert trust.usable and trust.steady and not trust.over_saturated and trust.lag1 is None
    assert (trust.asked, trust.achieved) == (11.0, 11.0)
    assert trust.reasons == (
        "a ramp from 2 to 20, not judged for steadiness: tokens/s by part 20 60 100 140 180 190",
    )
    steady = judged(Account(sent=110, scheduled=110, parts=RISING, in_flight=in_flight), Asked(None, 11.0))
    assert not steady.steady and steady.lag1 is not None


def test_a_ramp_of_streams_is_held_against_its_mean() -> None:
    trust = judged(Account(mean_in_flight=6.1, requests=60, parts=RISING), CLOSED)
    assert trust.usable and (trust.asked, trust.waves) == (6.0, 10.0)
    assert judged(Account(mean_in_flight=5.6, requests=60, parts=RISING), CLOSED).invalid


def test_in_flight_that_grows_with_the_rate_is_no_queue_and_what_grows_beyond_it_is() -> None:
    level = Level(5, 50)
    answered = [rate * 0.4 for rate in level.by_part(9)]
    assert not queue_grows(answered, 550, level)
    long = [rate * 2.0 for rate in level.by_part(9)]
    assert queue_grows(long, 550) and not queue_grows(long, 550, level)
    slower = [rate * (0.4 + 0.03 * k) for k, rate in enumerate(level.by_part(9))]  # a fuller batch
    assert not queue_grows(slower, 550, level)
    overrun = [x + max(0, k - 4) * 25.0 for k, x in enumerate(answered)]
    assert queue_grows(overrun, 550, level)


def test_a_ramp_that_ends_with_what_its_start_left_behind_is_over_saturated() -> None:
    level = Level(50, 5)
    assert not queue_grows([rate * 0.4 for rate in level.by_part(9)], 275, level)
    assert queue_grows([60.0, 90.0, 110.0, 120.0, 120.0, 110.0, 100.0, 90.0, 80.0], 275, level)


def test_the_client_is_judged_at_the_ramps_highest() -> None:
    made = Account(sent=110, scheduled=110, parts=RISING)
    assert judged(made, UP, host=HostUsage(client_cpu_share=0.3)).client_bound  # 0.55 at its end
    assert not judged(made, UP, host=HostUsage(client_cpu_share=0.25)).client_bound


def test_processes_are_as_many_as_the_ramps_highest_needs() -> None:
    rising, high = point(request_rate=10, ramp_to=4000), point(request_rate=4000)
    assert expected_cores(rising) == expected_cores(high)
    plan = SpreadPlan(most=16)
    plan.learn(rising, [0.3, 0.3], lag_p99_ms=1.0, seconds=5.0)
    assert plan.processes(rising) == 3  # 0.6 cores on the mean, 1.2 at the end


def one_round(server: Any, **given_: Any) -> PointResult:
    load = HttpLoad(Workload.model_validate({"scenario": "D(8,6)", "round_seconds": 0.6, **given_}))
    try:
        load.open(Endpoint(url=server.url, model="m"), salt="s")
        return load.run_round(1, cancel=lambda: False).points[0]
    finally:
        load.close()


def test_a_rate_ramps_on_the_wire(scripted: ModuleType) -> None:
    with scripted.ScriptedServer(lambda n, r: scripted.Script(gap_seconds=0.002)) as server:
        found = one_round(server, request_rate=10, ramp_to=150, arrivals="constant")
        last = server.seen.times[-2]  # the last looks whether the engine is at rest
        late = sum(at > last - 0.15 for at in server.seen.times)
    assert found.trust.asked == 80 and found.trust.achieved == pytest.approx(80, abs=3)
    assert found.requests == pytest.approx(48, abs=4) and not found.errors and not found.trust.invalid
    assert late > 15 and found.parts == () and not found.trust.over_saturated


@pytest.mark.parametrize("talked", [{}, {"chat": True, "conversations": {"turns": 2}}], ids=["lone", "talk"])
def test_streams_join_over_the_window(scripted: ModuleType, talked: dict[str, Any]) -> None:
    with scripted.ScriptedServer(lambda n, r: scripted.Script(gap_seconds=0.01)) as server:
        found = one_round(server, concurrency=2, ramp_to=10, **talked)
    assert found.trust.asked == 6 and found.trust.achieved == pytest.approx(6, rel=0.06)
    assert server.seen.most_in_flight in (10, 11) and not found.errors


def test_a_warm_up_ramps_too(scripted: ModuleType) -> None:
    with scripted.ScriptedServer(lambda n, r: scripted.Script(gap_seconds=0.005)) as server:
        load = HttpLoad(Workload.model_validate({"scenario": "D(8,6)", "concurrency": 1, "ramp_to": 5}))
        load.open(Endpoint(url=server.url, model="m"), salt="s")
        load.warm_up(seconds=0.3, cancel=lambda: False)
        load.close()
    assert server.seen.most_in_flight >= 5
