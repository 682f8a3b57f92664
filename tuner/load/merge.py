"""What several processes saw of one load, put together as one would have seen it. Pure.

Every process hands over its requests as they were, not its figures, so the accounting is done once over all
of them and the merged result is exactly that of one process with the same requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tuner.load.host_usage import HostUsage
from tuner.load.interim import Interim
from tuner.load.round import Passed, lag_p99_ms
from tuner.trial.histogram import Histogram


def merge_passed(parts: Sequence[Passed], *, host: HostUsage, lost: Sequence[str] = ()) -> Passed:
    """One window that several processes passed together.

    - Requests: all of them, in the order in which they began.
    - Idle streams: the sum. Ramp and drain: the longest. Followed until the first stopped following.
    - Loop lag: that of the process whose p99 is worst: a late share is not excused by a punctual one.
    - CPU: that of the busiest process as the client's share, the sum as its cores. That of all of them is
      no foreign work.

    Args:
        parts: at least one; their windows open and close at the same moments.
        host: read by the process that loads nothing itself, over the same window.
        lost: a line for each process that ended before its part was told.

    Raises:
        ValueError: there are no parts, or their windows differ.
    """
    if not parts:
        raise ValueError("no process has told its part")
    first = parts[0].window
    if any((p.window.opens, p.window.closes) != (first.opens, first.closes) for p in parts):
        raise ValueError("windows that differ cannot be merged")
    exchanges = [x for part in parts for x in part.exchanges]
    exchanges.sort(key=lambda x: float("inf") if x.began is None else x.began)
    shares = [part.host.client_cpu_share for part in parts]
    return replace(
        parts[0],
        window=replace(first, followed_until=min(p.window.followed_until for p in parts)),
        exchanges=exchanges,
        host=replace(
            host,
            client_cpu_share=max(shares),
            client_cpu_cores=sum(shares),
            foreign_cpu_cores=max(0.0, host.foreign_cpu_cores - sum(shares)),
            throttled_share=max(host.throttled_share, *(p.host.throttled_share for p in parts)),
        ),
        lag_ms=max((p.lag_ms for p in parts), key=lag_p99_ms),
        ramp_seconds=max(p.ramp_seconds for p in parts),
        drain_seconds=max(p.drain_seconds for p in parts),
        paused_streams=sum(p.paused_streams for p in parts),
        lost=tuple(lost),
        process_cpu_shares=tuple(shares),
    )


def merge_interim(parts: Sequence[Interim]) -> Interim:
    """What is known so far of all processes' parts (at least one), as of the earliest of them."""
    ttft_ms = Histogram()
    for part in parts:
        ttft_ms.merge(part.ttft_ms)
    return Interim(
        elapsed_seconds=min(p.elapsed_seconds for p in parts),
        window_seconds=parts[0].window_seconds,
        # Each counted over its own time: the sum of the rates is the rate.
        output_tokens_per_second=sum(p.output_tokens_per_second for p in parts),
        requests=sum(p.requests for p in parts),
        failed=sum(p.failed for p in parts),
        ttft_ms=ttft_ms,
    )


def told_of_processes(passed: Passed) -> list[str]:
    """How the load was spread, and what of it was lost; nothing where one process made it."""
    shares = passed.process_cpu_shares
    if not shares:
        return []
    spread = (
        f"load from {len(shares)} processes, {sum(shares):.2f} cores in all, the busiest {max(shares):.2f}"
    )
    return [spread, *(f"invalid: {line}" for line in passed.lost)]
