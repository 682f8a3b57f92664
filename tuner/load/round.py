"""One load point in one round: ramp, window, drain, each as long as it must be and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tuner.load.connection import Clock
from tuner.load.exchange import Exchange
from tuner.load.host_usage import HostMeter, HostUsage
from tuner.load.traffic import Traffic
from tuner.load.window import Window, overlap, tokens_so_far
from tuner.trial.histogram import Histogram

OnProgress = Callable[[dict[str, Any]], None]

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
    """

    window: Window
    exchanges: list[Exchange]
    host: HostUsage
    lag_ms: list[float] = field(default_factory=list)
    ramp_seconds: float = 0.0
    drain_seconds: float = 0.0
    paused_streams: float = 0.0


def limit_seconds(window_seconds: float, in_windows: float) -> float:
    """The longest that a ramp, or a drain, may take."""
    return min(max(in_windows * window_seconds, SHORTEST_LIMIT_SECONDS), LONGEST_LIMIT_SECONDS)


async def pass_over(
    traffic: Traffic,
    *,
    window_seconds: float,
    meter: HostMeter,
    clock: Clock,
    on_progress: OnProgress | None = None,
) -> Passed:
    """Start `traffic`, ramp up, let the window pass, follow its requests, stop.

    The load goes on through the drain: requests of the window are answered under the load that they met.
    Requests still in flight at its end are dropped. Also stops the traffic when it is cancelled.
    """
    started = clock()
    try:
        traffic.start()
        await _wait_for(traffic.steady, seconds=limit_seconds(window_seconds, RAMP_LIMIT_IN_WINDOWS))
        meter.begin()
        opens = clock()
        traffic.open_window(opens)
        lag_ms = await _window(traffic, opens, opens + window_seconds, clock, on_progress)
        host = meter.end()
        closes = opens + window_seconds
        limit = closes + limit_seconds(window_seconds, DRAIN_LIMIT_IN_WINDOWS)
        await _drain(traffic, closes, limit, clock)
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


async def _window(
    traffic: Traffic, opens: float, closes: float, clock: Clock, on_progress: OnProgress | None
) -> list[float]:
    """Let the window pass, sampling the loop's lag."""
    lag_ms: list[float] = []
    told = opens
    while (now := clock()) < closes:
        await asyncio.sleep(min(_TICK_SECONDS, closes - now))
        woke = clock()
        lag_ms.append(max(0.0, woke - now - _TICK_SECONDS) * 1e3)
        if on_progress is not None and woke - told >= _PROGRESS_SECONDS:
            told = woke
            on_progress(_so_far(traffic.exchanges, opens, closes, woke))
    return lag_ms


async def _drain(traffic: Traffic, closes: float, limit: float, clock: Clock) -> None:
    """Wait until every request that began before the window's end has its first token or has failed."""
    waiting = [x for x in traffic.exchanges if _waits(x) and (x.began is None or x.began < closes)]
    while waiting and clock() < limit:
        await asyncio.sleep(_DRAIN_LOOK_SECONDS)
        waiting = [x for x in waiting if _waits(x)]


def _waits(x: Exchange) -> bool:
    return not x.output_times and x.ended is None


def _so_far(exchanges: list[Exchange], opens: float, closes: float, now: float) -> dict[str, Any]:
    ttft_ms = Histogram(
        max(0.0, x.output_times[0] - x.began) * 1e3
        for x in exchanges
        if x.began is not None and x.output_times and x.output_times[0] >= opens
    )
    return {
        "elapsed_seconds": now - opens,
        "window_seconds": closes - opens,
        "output_tokens_per_second": tokens_so_far(exchanges, opens) / (now - opens),
        "ttft_p50_ms": ttft_ms.quantile(0.5),
        "requests": sum(x.ended is not None and x.ended >= opens and x.outcome == "ok" for x in exchanges),
        "failed": sum(x.ended is not None and x.ended >= opens and x.outcome != "ok" for x in exchanges),
    }
