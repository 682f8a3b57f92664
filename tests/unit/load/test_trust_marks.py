"""When a window is marked, and that each mark says why."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tuner.load.host_usage import HostMeter, HostUsage, serving_pid
from tuner.load.trust import Asked, is_steady, judge, queue_grows
from tuner.load.window import Account
from tuner.trial.rounds import Trust

CLOSED, OPEN = Asked(16, None), Asked(None, 10.0)


def judged(
    made: Account | None = None, asked: Asked = CLOSED, host: HostUsage | None = None, **given: Any
) -> Trust:
    made = made or Account(mean_in_flight=16.0, requests=64, parts=(100.0,) * 5)
    fields = {"lag_ms": [1.0] * 100, "window_seconds": 5.0, "paused_streams": 0.0, **given}
    return judge(made, asked, host or HostUsage(), **fields)


def test_a_clean_window_has_no_mark_and_no_reason() -> None:
    trust = judged()
    assert trust.usable and not trust.dirty and trust.steady and not trust.over_saturated
    assert (trust.reasons, trust.waves, trust.achieved, trust.asked) == ((), 4.0, 16.0, 16.0)


@pytest.mark.parametrize(
    ("host", "lag"),
    [(HostUsage(), [1.0] * 98 + [30.0] * 2), (HostUsage(client_cpu_share=0.6), [1.0] * 100)],
)
def test_a_late_or_busy_client_is_client_bound(host: HostUsage, lag: list[float]) -> None:
    trust = judged(host=host, lag_ms=lag)
    assert trust.client_bound and not trust.usable
    assert "client-bound" in trust.reasons[0]


def test_what_all_load_processes_used_is_told_and_the_busiest_is_judged() -> None:
    trust = judged(host=HostUsage(client_cpu_share=0.4, client_cpu_cores=1.1))
    assert (trust.client_cpu_cores, trust.client_bound) == (1.1, False)


def test_one_late_sample_in_a_hundred_is_not_client_bound() -> None:
    assert not judged(lag_ms=[1.0] * 99 + [30.0]).client_bound


@pytest.mark.parametrize(("in_flight", "invalid"), [(15.3, False), (15.1, True), (16.9, True)])
def test_concurrency_more_than_5_percent_off_is_invalid(in_flight: float, invalid: bool) -> None:
    trust = judged(Account(mean_in_flight=in_flight))
    assert trust.invalid is invalid and trust.usable is not invalid


def test_streams_that_pause_after_failures_do_not_make_a_window_invalid() -> None:
    made = Account(mean_in_flight=6.0, requests=48, errors={"http_500": 30}, details={"http_500": "broken"})
    trust = judged(made, paused_streams=10.0)
    assert not trust.invalid and trust.achieved == 6.0
    assert trust.reasons == ("30 requests failed, http_500: broken",)


def test_an_open_loop_is_held_against_its_schedule() -> None:
    assert not judged(Account(sent=41, scheduled=41), OPEN).invalid
    trust = judged(Account(sent=38, scheduled=41), OPEN)
    assert trust.invalid and trust.achieved == pytest.approx(7.6)


@pytest.mark.parametrize(
    "host",
    [HostUsage(foreign_cpu_cores=0.3), HostUsage(steal_share=0.06), HostUsage(throttled_share=0.06)],
)
def test_a_machine_that_others_use_is_dirty_and_counts(host: HostUsage) -> None:
    trust = judged(host=host)
    assert trust.dirty and trust.usable
    assert trust.reasons[0].startswith("dirty: ")


def test_a_trend_beyond_the_scatter_is_not_steady() -> None:
    assert not is_steady([100, 90, 80, 72, 61])
    assert is_steady([100, 60, 110, 80, 95])
    assert is_steady([100, 99.9, 99.8, 99.7, 99.6])  # sure, and too small to matter
    assert is_steady([0, 0, 0, 0, 0])


def test_noise_is_rarely_called_a_trend() -> None:
    rng = random.Random(5)
    called = sum(not is_steady([rng.gauss(100, 20) for _ in range(10)]) for _ in range(400))
    assert called <= 0.08 * 400


def test_a_growing_queue_is_over_saturated_and_a_steady_one_is_not() -> None:
    assert queue_grows([5, 15, 25, 35, 45], arrivals=100)
    assert not queue_grows([9, 12, 8, 11, 12], arrivals=100)
    assert not queue_grows([0, 0, 1, 1, 1], arrivals=3)
    grown = Account(sent=100, scheduled=100, in_flight=(5, 15, 25, 35, 45))
    assert judged(grown, OPEN).over_saturated
    assert not judged(grown, CLOSED).over_saturated


def test_answers_that_end_early_are_told() -> None:
    made = Account(mean_in_flight=16.0, requests=64, asked_output=640, given_output=100)
    assert "16% of the output" in judged(made).reasons[0]


@pytest.mark.parametrize(("hit_rate", "implied", "contaminated"), [(0.04, 0.0, False), (0.06, 0.0, True)])
def test_a_cache_that_knows_more_than_the_workload_implies_is_contaminated(
    hit_rate: float, implied: float, contaminated: bool
) -> None:
    trust = judged(engine={"prefix_cache_hit_rate": hit_rate}, implied_hit_rate=implied)
    assert trust.contaminated is contaminated and trust.usable is not contaminated
    assert [r.partition(":")[0] for r in trust.reasons] == ["contaminated"] * contaminated


def test_hits_that_the_workload_implies_are_no_contamination() -> None:
    trust = judged(engine={"prefix_cache_hit_rate": 0.5}, implied_hit_rate=0.5)
    assert trust.usable and trust.implied_hit_rate == 0.5


def test_an_engine_that_tells_no_hit_rate_is_not_judged_by_it() -> None:
    assert not judged(engine={"engine_running_mean": 3.0}).contaminated


def test_a_closed_loop_of_fewer_than_three_waves_says_so_and_counts() -> None:
    few = judged(Account(mean_in_flight=16.0, requests=40))
    assert few.usable and few.reasons == ("spans 2.5 waves of the closed loop; at least 3 would be right",)
    assert judged(Account(sent=40, scheduled=40), OPEN).reasons == ()


def test_parts_that_hang_together_are_told() -> None:
    waves = (100.0, 110.0, 120.0, 110.0, 100.0, 90.0, 80.0, 90.0, 100.0, 110.0, 120.0, 110.0, 100.0, 90.0)
    trust = judged(Account(mean_in_flight=16.0, requests=64, parts=waves))
    assert trust.lag1 is not None and trust.lag1 > 0.6
    assert "hang together" in trust.reasons[-1]
    zigzag = judged(Account(mean_in_flight=16.0, requests=64, parts=(100.0, 90.0) * 7))
    assert zigzag.lag1 is not None and zigzag.lag1 < -0.8 and zigzag.reasons == ()


def test_missed_scrapes_are_told() -> None:
    assert judged(engine={"scrapes_missed": 2.0}).reasons == (
        "2 scrapes of the engine's metrics failed or were too slow",
    )


def test_the_serving_pid_is_read_from_the_endpoint() -> None:
    assert serving_pid("pid 4711 started 163.2") == 4711
    assert serving_pid("pod 3f2 restarts 0") is None


def test_the_host_meter_tells_this_process_from_others() -> None:
    meter = HostMeter(None)
    meter.begin()
    spent = sum(k * k for k in range(1_500_000))
    usage = meter.end()
    assert spent and usage.client_cpu_share > 0.3
    assert usage.client_cpu_cores == usage.client_cpu_share
    assert usage.foreign_cpu_cores >= 0 and 0 <= usage.steal_share <= 1
