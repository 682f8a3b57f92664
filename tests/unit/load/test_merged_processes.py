"""What processes saw of one load, merged, is what one process would have seen; and how many there are."""

from __future__ import annotations

import pickle
import random
from array import array
from dataclasses import replace

import pytest

from tuner.load.exchange import OK, Exchange
from tuner.load.host_usage import HostUsage
from tuner.load.interim import InterimCount
from tuner.load.merge import merge_interim, merge_passed
from tuner.load.round import Passed
from tuner.load.traffic import Share
from tuner.load.trust import Asked, judge
from tuner.load.window import Window, account
from tuner.load.workers_plan import SpreadPlan, expected_cores
from tuner.spec.workload import LoadPoint

WINDOW = Window(opens=10.0, closes=20.0, followed_until=22.0)


def exchange(rng: random.Random) -> Exchange:
    sent = rng.uniform(5, 21)
    count = rng.randint(0, 40)
    times = array("d")
    at = sent
    for _ in range(count):
        at += rng.expovariate(20)
        if at < WINDOW.followed_until:
            times.append(at)
    ended = len(times) == count and count > 0
    return Exchange(
        intended=sent - 0.001,
        asked_tokens=(16, 40),
        sent=sent,
        output_times=times,
        ended=at if ended else None,
        outcome=(OK if rng.random() > 0.1 else "cut") if ended else "",
        completion_tokens=count if ended else None,
    )


def passed(exchanges: list[Exchange], **given: object) -> Passed:
    return replace(Passed(WINDOW, exchanges, HostUsage(client_cpu_share=0.2), lag_ms=[1.0]), **given)  # type: ignore[arg-type]


def test_the_merged_account_is_that_of_one_process() -> None:
    rng = random.Random(3)
    whole = [exchange(rng) for _ in range(300)]
    parts = [passed([whole[k] for k in Share(i, 3).numbers(300)]) for i in range(3)]
    parts = [pickle.loads(pickle.dumps(part)) for part in parts]  # as they come
    merged = account(merge_passed(parts, host=HostUsage()).exchanges, WINDOW)
    alone = account(whole, WINDOW)
    assert merged.output_tokens == alone.output_tokens > 0 and merged.errors == alone.errors != {}
    assert merged.parts == pytest.approx(alone.parts) and merged.in_flight == pytest.approx(alone.in_flight)
    for name, histogram in alone.histograms.items():
        ours, theirs = merged.histograms[name].to_json(), histogram.to_json()
        assert ours["buckets"] == theirs["buckets"] and ours["sum"] == pytest.approx(theirs["sum"]), name
    assert (merged.sent, merged.scheduled, merged.cut) == (alone.sent, alone.scheduled, alone.cut)


def test_the_worst_process_speaks_for_the_client_and_none_is_foreign_to_it() -> None:
    parts = [
        passed([], host=HostUsage(client_cpu_share=0.3), lag_ms=[1.0] * 100, paused_streams=1.0),
        passed([], host=HostUsage(client_cpu_share=0.6), lag_ms=[1.0] * 50 + [30.0] * 50, paused_streams=2.0),
    ]
    merged = merge_passed(parts, host=HostUsage(foreign_cpu_cores=1.1), lost=["one ended"])
    assert merged.host.client_cpu_share == 0.6 and merged.process_cpu_shares == (0.3, 0.6)
    assert merged.host.client_cpu_cores == pytest.approx(0.9)
    assert merged.host.foreign_cpu_cores == pytest.approx(0.2)
    assert max(merged.lag_ms) == 30.0 and merged.paused_streams == 3.0 and merged.lost == ("one ended",)
    trust = judge(
        account([], WINDOW),
        Asked(4, None),
        merged.host,
        lag_ms=merged.lag_ms,
        window_seconds=10.0,
        paused_streams=0.0,
    )
    assert trust.client_bound


def test_windows_that_differ_are_not_merged() -> None:
    other = passed([], window=replace(WINDOW, opens=10.5))
    with pytest.raises(ValueError, match="differ"):
        merge_passed([passed([]), other], host=HostUsage())


def test_interim_figures_of_processes_add_up() -> None:
    rng = random.Random(4)
    whole = [exchange(rng) for _ in range(100)]
    for x in whole:
        x.sent = max(10.0, x.sent or 0.0)
    counts = [
        InterimCount([whole[k] for k in Share(i, 2).numbers(100)], opens=10.0, closes=20.0) for i in (0, 1)
    ]
    merged = merge_interim([count.at(20.0) for count in counts])
    alone = InterimCount(whole, opens=10.0, closes=20.0).at(20.0)
    assert merged.output_tokens_per_second == pytest.approx(alone.output_tokens_per_second)
    assert (merged.requests, merged.failed) == (alone.requests, alone.failed)
    assert merged.ttft_ms.to_json()["buckets"] == alone.ttft_ms.to_json()["buckets"]


def test_interim_figures_count_each_request_once_however_often_one_looks() -> None:
    growing: list[Exchange] = []
    often, rng = InterimCount(growing, opens=10.0, closes=20.0), random.Random(5)
    for _ in range(50):
        growing.append(exchange(rng))
        often.at(15.0)
    once = InterimCount(growing, opens=10.0, closes=20.0)
    assert often.at(20.0).told() == once.at(20.0).told() and often.at(20.0).requests > 0


def point(**given: object) -> LoadPoint:
    return LoadPoint.model_validate({"scenario": "D(512,100)", **given})


def test_shares_hold_each_stream_and_arrival_once() -> None:
    shares = [Share(i, 3) for i in range(3)]
    assert sorted(k for share in shares for k in share.numbers(10)) == list(range(10))
    assert all(sum(share.has(k) for share in shares) == 1 for k in range(10))


def test_one_process_is_the_default_and_a_load_above_half_a_core_has_more() -> None:
    plan = SpreadPlan(most=8)
    assert plan.processes(point(concurrency=64)) == 1
    assert plan.processes(point(request_rate=100)) == 1  # 10,000 tokens/s
    assert expected_cores(point(request_rate=1000)) == pytest.approx(1.7)
    assert plan.processes(point(request_rate=1000)) == 5
    assert plan.processes(point(concurrency=100_000)) == 8  # as many as there are cores, and client-bound


def test_what_a_load_really_costs_replaces_what_was_expected() -> None:
    plan, slow_engine = SpreadPlan(most=8), point(concurrency=1024)
    assert plan.processes(slow_engine) > 1
    plan.learn(slow_engine, [0.1, 0.1], lag_p99_ms=1.0, seconds=20.0)
    assert plan.processes(slow_engine) == 1
    plan.learn(slow_engine, [0.7], lag_p99_ms=1.0, seconds=20.0)
    assert plan.processes(slow_engine) == 2
    plan.learn(slow_engine, [0.1, 0.1], lag_p99_ms=1.0, seconds=20.0)
    assert plan.processes(slow_engine) == 2  # not back and forth
    # No time left: nobody knows how much it would have taken.
    plan.learn(slow_engine, [0.99, 0.98], lag_p99_ms=1.0, seconds=20.0)
    assert plan.processes(slow_engine) == 8


def test_a_load_that_came_late_is_not_taken_for_a_cheap_one() -> None:
    plan, load = SpreadPlan(most=8), point(concurrency=1024)
    plan.learn(load, [0.1], lag_p99_ms=900.0, seconds=20.0)  # starved by others, or by itself
    assert plan.processes(load) == SpreadPlan(most=8).processes(load) > 1


def test_a_moment_of_load_teaches_nothing() -> None:
    plan = SpreadPlan(most=8)
    plan.learn(point(concurrency=64), [0.99], lag_p99_ms=90.0, seconds=0.2)
    assert plan.processes(point(concurrency=64)) == 1


def test_points_are_measured_each_by_itself() -> None:
    plan = SpreadPlan(most=4)
    plan.learn(point(concurrency=64), [0.9], lag_p99_ms=1.0, seconds=20.0)
    assert plan.processes(point(concurrency=64)) == 4 and plan.processes(point(concurrency=32)) == 1
