"""The highest rate under the SLO, on simulated queues whose true rate is known by formula."""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import time
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from tuner.load.rate_search import Probe, RateAnswer, RateSearch, Share, SloLimit, probing
from tuner.load.rate_search.fit import crossing
from tuner.load.rate_search.probing import OverSaturated, end_when_overrun, probe_at
from tuner.load.target import Target
from tuner.spec.workload import Workload
from tuner.trial.histogram import Histogram
from tuner.trial.ports import Endpoint
from tuner.trial.rounds import HISTOGRAMS, PointResult, Trust

WINDOW, RAMP = 3.0, 0.15  # seconds
PROBES_IN_BLOCK, MOST_BLOCKS = 12, 8


def share_that_waits(places: int, load: float) -> float:
    """Erlang's C: the share of requests that find all places taken, at `load` = rate * service time."""
    blocked = 1.0
    for k in range(1, places + 1):
        blocked = load * blocked / (k + load * blocked)
    used = load / places
    return blocked / (1 - used + used * blocked)


def true_rate(places: int, service: float, limit: float, allowed: float) -> float:
    """Where P(wait > limit) = C exp(-(places / service - rate) limit) is `allowed`, in an M/M/K queue."""
    low, high = 0.0, places / service * (1 - 1e-9)
    for _ in range(100):
        rate = (low + high) / 2
        late = share_that_waits(places, rate * service) * math.exp(-(places / service - rate) * limit)
        low, high = (rate, high) if late <= allowed else (low, rate)
    return low


def queue(
    rng: random.Random,
    *,
    places: int,
    service: float,
    limit: float,
    allowed: float,
    fixed: bool,
    window: float = WINDOW,
) -> Callable[[float], Probe]:
    """A probe of a queue, first come first served; `fixed` for even arrivals and service times."""

    def probe(rate: float) -> Probe:
        free, at, late, of = [0.0] * places, 0.0, 0, 0
        while (at := at + (1 / rate if fixed else rng.expovariate(rate))) < RAMP + window:
            start = max(at, free[0])
            heapq.heapreplace(free, start + (service if fixed else rng.expovariate(1 / service)))
            if at >= RAMP:
                of += 1
                late += start - at > limit
        return Probe(rate, {"ttft_p90_ms": Share(late, of, allowed)})

    return probe


def found(
    probe: Callable[[float], Probe],
    *,
    low: float,
    high: float,
    blocks: int = MOST_BLOCKS,
    half_width: float = 0.05,
) -> tuple[RateSearch, RateAnswer]:
    """Blocks of probes until the interval is narrow enough."""
    search = RateSearch(low=low, high=high)
    answer = search.answer() if search.probes else RateAnswer(math.nan, 0.0, math.inf)

    async def probe_at(rate: float) -> Probe:
        return probe(rate)

    for _ in range(blocks):
        answer = asyncio.run(search.run_block(probe_at, probes=PROBES_IN_BLOCK, clock=lambda: 0.0))
        if answer.half_width <= half_width:
            break
    return search, answer


CAPACITIES = [
    (16, 0.04, 0.02),
    (24, 0.06, 0.02),
    (16, 0.02667, 0.015),
]  # places, service and limit in seconds


@pytest.mark.parametrize(("places", "service", "limit"), CAPACITIES)
def test_the_true_rate_lies_in_the_interval_in_18_of_20_seeds_within_5_percent(
    places: int, service: float, limit: float
) -> None:
    capacity, hits = places / service, 0
    truth = true_rate(places, service, limit, 0.1)
    for seed in range(20):
        probe = queue(
            random.Random(seed), places=places, service=service, limit=limit, allowed=0.1, fixed=False
        )
        _, answer = found(probe, low=0.25 * capacity, high=2 * capacity)
        assert answer.half_width <= 0.05
        assert abs(answer.rate / truth - 1) < 0.1
        hits += answer.low <= truth <= answer.high
        assert not answer.cliff
    assert hits >= 18


@pytest.mark.parametrize("capacity", [60.0, 150.0, 500.0])
def test_a_cliff_is_found_to_a_few_percent_and_called_one(capacity: float) -> None:
    places = 20
    probe = queue(
        random.Random(0), places=places, service=places / capacity, limit=0.01, allowed=0.1, fixed=True
    )
    _, answer = found(probe, low=0.25 * capacity, high=4 * capacity, blocks=1)
    assert answer.cliff and answer.half_width < 0.05
    # A queue that grows by (rate - capacity) passes the limit a little above the capacity.
    assert answer.low <= capacity * (1 + 0.011 / WINDOW) and answer.high >= capacity
    assert answer.binding in ("", "ttft_p90_ms")


def test_few_and_noisy_probes_still_give_a_lower_end_that_holds() -> None:
    """Some 20 requests a probe, late in bursts: what a slow engine gives in a short time."""
    places, service, limit, truth = 4, 0.2, 0.1, 11.6  # of windows so short, by simulation
    held, ends, rates = 0, 0, []
    for seed in range(6):
        rng = random.Random(seed)
        search = RateSearch(low=2, high=120)
        for _ in range(24):
            probe = queue(
                rng, places=places, service=service, limit=limit, allowed=0.1, fixed=False, window=2.0
            )
            search.add(probe(search.next_rate()))
        answer = search.answer()
        assert answer.low <= answer.rate <= answer.high
        held += answer.low <= truth <= answer.high
        ends += answer.low > 0
        rates.append(answer.rate)
    assert held >= 5 and ends >= 5
    assert abs(sorted(rates)[3] / truth - 1) < 0.15


def test_the_interval_narrows_with_probes_and_encloses_the_estimate() -> None:
    widths = []
    for blocks in (1, 2, 4, 8):
        probe = queue(random.Random(3), places=16, service=0.04, limit=0.02, allowed=0.1, fixed=False)
        search, answer = found(probe, low=100, high=800, blocks=blocks, half_width=0.0)
        assert answer.low <= answer.rate <= answer.high
        assert len(search.probes) == blocks * PROBES_IN_BLOCK == answer.probes
        widths.append(answer.half_width)
    assert widths[-1] < widths[0] and widths[-1] < 0.05


def test_probes_gather_where_the_slo_begins_to_be_missed() -> None:
    probe = queue(random.Random(5), places=32, service=0.04, limit=0.01, allowed=0.1, fixed=False)
    search, answer = found(probe, low=10, high=5000, blocks=2, half_width=0.0)
    near = [p for p in search.probes if abs(math.log(p.rate / answer.rate)) < 0.25]
    assert len(near) >= 14
    assert all(10 <= p.rate <= 5000 for p in search.probes)


def steps(at: float) -> Callable[[float], Probe]:
    return lambda rate: Probe(rate, {"ttft_p90_ms": Share(0 if rate <= at else 300, 300, 0.1)})


def test_a_range_that_ends_before_the_slo_does_has_no_upper_end() -> None:
    search, answer = found(steps(1e9), low=1, high=64, blocks=1)
    assert answer.low == 64 and math.isinf(answer.high) and not answer.cliff
    assert max(p.rate for p in search.probes) == 64


def test_an_slo_that_is_missed_at_the_lowest_rate_has_no_rate() -> None:
    search, answer = found(steps(0.0), low=1, high=64, blocks=1)
    assert math.isnan(answer.rate) and (answer.low, answer.high) == (0.0, 1.0)
    assert min(p.rate for p in search.probes) == 1


def test_a_window_that_is_client_bound_says_nothing_and_its_rate_is_asked_again() -> None:
    search = RateSearch(low=1, high=100)
    first = search.next_rate()
    search.add(Probe(first, {"ttft_p90_ms": Share(300, 300, 0.1)}, usable=False))
    assert search.next_rate() == first and search.answer().probes == 0


def test_where_the_queue_grew_the_slo_is_missed_whatever_the_latencies_were() -> None:
    probe = Probe(10, {"ttft_p90_ms": Share(0, 100, 0.1)}, over_saturated=True)
    assert not probe.met and probe.counted("ttft_p90_ms") == Share(100, 100, 0.1)


def test_the_slo_that_is_missed_first_decides() -> None:
    def probe(rate: float) -> Probe:
        late = {"ttft_p90_ms": 1 / (1 + (80 / rate) ** 12), "e2e_p90_ms": 1 / (1 + (50 / rate) ** 12)}
        return Probe(rate, {m: Share(round(1000 * p), 1000, 0.1) for m, p in late.items()})

    _, answer = found(probe, low=5, high=500, blocks=2, half_width=0.0)
    assert answer.binding == "e2e_p90_ms"
    assert answer.rate == pytest.approx(50 * (1 / 9) ** (1 / 12), rel=0.02)


def test_the_same_answers_make_the_same_search() -> None:
    rates = [[p.rate for p in found(steps(30.0), low=1, high=200, blocks=2)[0].probes] for _ in range(2)]
    assert rates[0] == rates[1]


def test_no_probe_is_begun_after_the_time_is_up() -> None:
    now = iter(range(100))
    search = RateSearch(low=1, high=100)

    async def probe_at(rate: float) -> Probe:
        return steps(30.0)(rate)

    asyncio.run(search.run_block(probe_at, probes=50, clock=lambda: float(next(now)), seconds=5))
    assert len(search.probes) == 4


def test_a_curve_that_does_not_rise_crosses_nowhere() -> None:
    flat = crossing([9.0, 10.0, 11.0, 12.0], [Share(10, 100, 0.1)] * 4)
    falling = crossing([9.0, 10.0, 11.0], [Share(k, 100, 0.1) for k in (60, 40, 20)])
    assert not flat.rises and not falling.rises


def test_a_curve_through_exact_shares_crosses_where_they_do() -> None:
    rates = [80.0, 90.0, 100.0, 110.0, 120.0]
    shares = [Share(round(1e6 / (1 + 9 * (100 / r) ** 15)), 10**6, 0.1) for r in rates]
    curve = crossing(rates, shares)
    assert curve.rate == pytest.approx(100, rel=1e-3) and curve.low < 100 < curve.high
    assert curve.slope == pytest.approx(15, rel=1e-2)


def point(
    ttft_ms: list[float], *, requests: int, errors: dict[str, int], saturated: bool = False
) -> PointResult:
    histograms = {name: Histogram() for name in HISTOGRAMS} | {"ttft_ms": Histogram(ttft_ms)}
    trust = Trust(over_saturated=saturated)
    return PointResult("load", 10.0, requests, 0, 0, errors, 0, histograms, trust=trust)


def test_late_ones_are_those_above_the_limit_and_those_that_failed() -> None:
    measured = point([10.0] * 90 + [300.0] * 8, requests=95, errors={"http_503": 5, "timeout": 3})
    # The timeouts are among the 98 latencies, the refused ones are not.
    assert SloLimit("ttft_p95_ms", 200.0).share(measured) == Share(13, 103, 0.05)
    assert SloLimit("ttft_p95_ms", 400.0).share(measured) == Share(5, 103, 0.05)
    assert SloLimit("ttft_p95_ms", 1.0).share(measured) == Share(103, 103, 0.05)
    assert SloLimit("error_rate", 0.1).share(measured) == Share(8, 103, 0.1)
    slos = [SloLimit("ttft_p95_ms", 400.0), SloLimit("error_rate", 0.1)]
    assert Probe.of(7.0, slos, measured).met
    assert not Probe.of(7.0, slos, point([1.0], requests=1, errors={}, saturated=True)).met
    assert not Probe.of(7.0, slos, point([], requests=0, errors={})).met


def test_an_slo_that_is_no_share_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="would be right: a percentile such as ttft_p99_ms, error_rate or"):
        SloLimit("ttft_mean_ms", 200.0)
    with pytest.raises(ValueError, match="0 < low < high"):
        RateSearch(low=3, high=2)


BAD = {"requests": 100, "failed": 0, "ttft_p50_ms": 700.0}


@pytest.mark.parametrize(
    ("looks", "ends"),
    [
        ([BAD, BAD | {"ttft_p50_ms": 900.0}], True),
        ([BAD], False),  # a stall may pass
        ([BAD, BAD | {"ttft_p50_ms": 650.0}], False),  # it is passing
        ([BAD, BAD | {"ttft_p50_ms": 150.0}, BAD], False),
        ([BAD | {"ttft_p50_ms": 500.0}] * 9, False),  # bad, and not beyond doubt
        ([{"requests": 40, "failed": 60, "ttft_p50_ms": 1.0}] * 2, True),
        ([{"requests": 0, "failed": 60, "ttft_p50_ms": math.nan}] * 2, True),
        ([{"requests": 5, "failed": 5, "ttft_p50_ms": 9000.0}] * 9, False),  # too few to tell
        ([{"requests": 100, "failed": 0, "ttft_p50_ms": math.nan}] * 9, False),
    ],
)
def test_a_probe_ends_early_only_where_the_engine_is_overrun_beyond_doubt(
    looks: list[dict[str, float]], ends: bool
) -> None:
    look = end_when_overrun([SloLimit("ttft_p99_ms", 200.0), SloLimit("error_rate", 0.01)])
    for so_far in looks[:-1]:
        look(so_far)
    if ends:
        with pytest.raises(OverSaturated):
            look(looks[-1])
        return
    look(looks[-1])


@pytest.mark.parametrize("overrun", [False, True])
def test_a_probe_loads_a_real_server_at_its_rate_and_an_overrun_one_ends_early(
    scripted: ModuleType, overrun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "rest_seconds", lambda window_seconds: 0.1)  # it refuses for ever
    workload = Workload.model_validate(
        {"scenario": "D(4,2)", "request_rate": 1, "arrivals": "constant", "round_seconds": 9}
    )
    script = (
        scripted.Script(status=503, error_body="full") if overrun else scripted.Script(first_seconds=0.01)
    )
    slos = [SloLimit("ttft_p90_ms", 5_000.0), SloLimit("error_rate", 0.1)]

    async def run(server: Any) -> tuple[Probe, float]:
        endpoint = Endpoint(url=server.url, model="m")
        target = Target(endpoint, workload, "completions", salt="s", clock=time.perf_counter)
        await target.prepare()
        server.script = lambda number, request: script
        asked = len(server.seen.requests)
        try:
            probe = await probe_at(
                target,
                workload.points[0],
                slos,
                rate=60.0,
                name="a",
                window_seconds=6.0 if overrun else 0.5,
                clock=time.perf_counter,
            )
        finally:
            await target.close()
        return probe, len(server.seen.requests) - asked

    with scripted.ScriptedServer() as server:
        probe, asked = asyncio.run(run(server))
    share = probe.shares["error_rate"]
    assert probe.rate == 60.0 and asked >= share.of >= 20
    assert probe.met is not overrun and probe.over_saturated is overrun
    assert share.late == (share.of if overrun else 0)
    assert probe.seconds < 5


def test_a_rate_that_the_client_cannot_make_is_left_alone_after_two_tries() -> None:
    search = RateSearch(low=10, high=1000)
    for _ in range(12):
        rate = search.next_rate()
        search.add(Probe(rate, {"ttft_p90_ms": Share(0, 100, 0.1)}, usable=rate < 150, why="client-bound"))
    tried = [p.rate for p in search.probes if not p.usable]
    assert all(tried.count(rate) <= 2 for rate in tried)
    answer = search.answer()
    assert 120 < answer.low < 150 and math.isinf(answer.high)


def test_what_kept_the_client_from_a_rate_for_a_while_does_not_end_the_range_for_good() -> None:
    search, disturbed = RateSearch(low=125, high=1000), 16
    for _ in range(40):
        rate = search.next_rate()
        usable = not (disturbed and rate > 450)
        disturbed -= not usable
        late = 300 if rate > 510 else 0
        search.add(Probe(rate, {"ttft_p90_ms": Share(late, 300, 0.1)}, usable=usable, why="client-bound"))
    answer = search.answer()
    assert answer.low <= 510 <= answer.high and answer.half_width < 0.05


def test_an_overrun_queue_makes_every_request_late_and_none_of_them_fail() -> None:
    slos = [SloLimit("ttft_p90_ms", 200.0), SloLimit("load.error_rate", 0.01)]
    early = Probe.ended_early(9.0, slos, sent=40, failed=3)
    assert early.shares["ttft_p90_ms"].late == 40 and early.shares["load.error_rate"].late == 3
    grown = Probe(9.0, {s.metric: Share(0, 50, s.allowed) for s in slos}, over_saturated=True)
    assert not grown.met
    assert (grown.counted("ttft_p90_ms").late, grown.counted("load.error_rate").late) == (50, 0)


def test_a_limit_that_no_probe_missed_does_not_widen_the_interval() -> None:
    def answer(*more: str) -> RateAnswer:
        rng, search = random.Random(5), RateSearch(low=2, high=120)
        for _ in range(20):
            rate = search.next_rate()
            at = 1 / (1 + math.exp(-12 * math.log(rate / 20)))
            late = sum(rng.random() < at for _ in range(30))
            shares = {"ttft_p50_ms": Share(late, 30, 0.5), **{m: Share(0, 30, 0.01) for m in more}}
            search.add(Probe(rate, shares))
        return search.answer()

    alone = answer()
    assert 15 < alone.low < 20 < alone.high < 25
    assert answer("error_rate") == alone


def test_a_share_of_good_requests_is_a_limit_of_late_ones() -> None:
    limit = SloLimit("goodput_share", 0.9)
    measured = replace(point([10.0] * 95, requests=95, errors={"http_503": 3}), good=90, late=2)
    assert limit.allowed == 0.1 and limit.share(measured) == Share(10, 100, 0.1)
