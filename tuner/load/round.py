"""One load point in one round: ramp, window, drain, each as long as it must be and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tuner.load.connection import Clock
from tuner.load.exchange import Exchange
from tuner.load.host_usage import HostMeter, HostUsage
from tuner.load.interim import Interim, InterimCount
from tuner.load.traffic import Traffic
from tuner.load.window import Window, overlap
from tuner.spec.workload import LoadPoint

OnProgress = Callable[[dict[str, Any]], None]
OnInterim = Callable[[Interim], None]

# Ramp and drain end as soon as they have done their work, and after this share of the window at the latest.
RAMP_LIMIT_IN_WINDOWS = 1.0
DRAIN_LIMIT_IN_WINDOWS = 0.5
SHORTEST_LIMIT_SECONDS = 1.0
LONGEST_LIMIT_SECONDS = 30.0
_TICK_SECONDS = 0.01  # of the lag's samples
_DRAIN_LOOK_SECONDS = 0.005
_PROGRESS_SECONDS = 1.0


@dataclass(slots=True)
class Passed:
    """What happened in one pass over one load point.

    Attributes:
        lag_ms: delays of the event loop inside the window.
        ramp_seconds, drain_seconds: before the window and after it.
        paused_streams: streams idle after failures, mean over the window.
        lost: a line for each process that ended before it told its part; () where the load is whole.
        process_cpu_shares: of one core, of each process that shared the load; () where it was this one.
    """

    window: Window
    exchanges: list[Exchange]
    host: HostUsage
    lag_ms: list[float] = field(default_factory=list)
    ramp_seconds: float = 0.0
    drain_seconds: float = 0.0
    paused_streams: float = 0.0
    lost: tuple[str, ...] = ()
    process_cpu_shares: tuple[float, ...] = ()


class InStep(Protocol):
    """How processes that share a load keep in step."""

    async def ramped(self) -> float:
        """The ramp has done its work here; returns the moment at which the window opens everywhere."""
        ...

    async def drained(self) -> None:
        """Nothing of the window is waited for here; returns once that holds everywhere."""
        ...


class Crew(Protocol):
    """Further processes, for load points that are too much for one."""

    def processes(self, point: LoadPoint) -> int:
        """How many are to share the load of `point`; 1: the asking one makes all of it."""
        ...

    async def pass_over(
        self,
        point: LoadPoint,
        number: int | str,
        *,
        window_seconds: float,
        meter: HostMeter,
        tell: OnInterim | None,
    ) -> Passed:
        """As `pass_over` below, shared out."""
        ...

    async def warm_up(self, point: LoadPoint, seconds: float) -> None:
        """Load for `seconds`, shared out, and keep nothing."""
        ...

    def learn(
        self, point: LoadPoint, cpu_shares: Sequence[float], *, lag_p99_ms: float, seconds: float
    ) -> None:
        """What `seconds` of `point` cost each process that made it, in cores, and how late the worst was."""
        ...


def limit_seconds(window_seconds: float, in_windows: float) -> float:
    """The longest that a ramp, or a drain, may take."""
    return min(max(in_windows * window_seconds, SHORTEST_LIMIT_SECONDS), LONGEST_LIMIT_SECONDS)


async def pass_over(
    traffic: Traffic,
    *,
    window_seconds: float,
    meter: HostMeter,
    clock: Clock,
    on_progress: OnInterim | None = None,
    in_step: InStep | None = None,
) -> Passed:
    """Start `traffic`, ramp up, let the window pass, follow its requests, stop.

    The load goes on through the drain: requests of the window are answered under the load that they met.
    Requests still in flight at its end are dropped. Also stops the traffic when it is cancelled.

    Args:
        in_step: with the other processes that share the load; None where this one makes all of it.
    """
    started = clock()
    try:
        traffic.start()
        await _wait_for(traffic.steady, seconds=limit_seconds(window_seconds, RAMP_LIMIT_IN_WINDOWS))
        opens = clock() if in_step is None else await in_step.ramped()
        while (early := opens - clock()) > 0:
            await asyncio.sleep(early)
        meter.begin()
        traffic.open_window(opens)
        lag_ms = await _window(traffic, opens, opens + window_seconds, clock, on_progress)
        host = meter.end()
        closes = opens + window_seconds
        limit = closes + limit_seconds(window_seconds, DRAIN_LIMIT_IN_WINDOWS)
        await _drain(traffic, closes, limit, clock)
        if in_step is not None:
            await in_step.drained()
        ended = clock()
        paused = sum(overlap(p.start, p.end, opens, closes) for p in traffic.pauses)
        return Passed(
            window=Window(opens, closes, ended),
            exchanges=traffic.exchanges,
            host=host,
            lag_ms=lag_ms,
            ramp_seconds=opens - started,
            drain_seconds=ended - closes,
            paused_streams=paused / window_seconds,
        )
    finally:
        await traffic.stop()


async def _wait_for(event: asyncio.Event, *, seconds: float) -> None:
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait({waiting}, timeout=seconds)
    waiting.cancel()


async def lag_of(seconds: float, clock: Clock) -> list[float]:
    """Let some time pass; the loop's lag meanwhile."""
    lag_ms: list[float] = []
    ends = clock() + seconds
    while (now := clock()) < ends:
        await asyncio.sleep(min(_TICK_SECONDS, ends - now))
        lag_ms.append(max(0.0, clock() - now - _TICK_SECONDS) * 1e3)
    return lag_ms


def lag_p99_ms(lag_ms: Sequence[float]) -> float:
    """The 99th percentile of a lag's samples; 0 where there are none."""
    ranked = sorted(lag_ms)
    return ranked[max(0, -(-99 * len(ranked) // 100) - 1)] if ranked else 0.0


async def _window(
    traffic: Traffic, opens: float, closes: float, clock: Clock, on_progress: OnInterim | None
) -> list[float]:
    """Let the window pass, sampling the loop's lag."""
    lag_ms: list[float] = []
    count = InterimCount(traffic.exchanges, opens=opens, closes=closes)
    told = opens
    while (now := clock()) < closes:
        await asyncio.sleep(min(_TICK_SECONDS, closes - now))
        woke = clock()
        lag_ms.append(max(0.0, woke - now - _TICK_SECONDS) * 1e3)
        if on_progress is not None and woke - told >= _PROGRESS_SECONDS:
            told = woke
            on_progress(count.at(woke))
    return lag_ms


async def _drain(traffic: Traffic, closes: float, limit: float, clock: Clock) -> None:
    """Wait until every request that began before the window's end has its first token or has failed."""
    waiting = [x for x in traffic.exchanges if _waits(x) and (x.began is None or x.began < closes)]
    while waiting and clock() < limit:
        await asyncio.sleep(_DRAIN_LOOK_SECONDS)
        waiting = [x for x in waiting if _waits(x)]


def _waits(x: Exchange) -> bool:
    return not x.output_times and x.ended is None
