"""Goodput: which requests kept every limit that a single request has. Pure.

- A request is good where it succeeded, ended inside the window and kept every limit that is set. So goodput
  is never above the requests per second, and shares their window.
- TTFT counts from the intended send (open loop) or the send, E2E to the last token, TPOT as everywhere else.
  A request of one chunk has no TPOT: there is no gap in which it could have been slow.
- The first request of a stream is cut short by intent: its E2E is that of the whole one, at its own speed.
- The share's denominator has the good, all others that succeeded, those that failed, and those in flight at
  the window's end that had by then broken a limit for certain. Without these an engine in which nothing
  ends any more would have a share of nothing over nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.load.exchange import OK, Exchange
from tuner.load.request_figures import projected_end, tpot_seconds


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request must keep, milliseconds; None for no limit."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2e_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Goodput:
    """Counts of one window.

    Attributes:
        good: requests within every limit.
        late: in flight at the window's end, and beyond a limit already.
    """

    good: int
    late: int


def count(
    exchanges: Sequence[Exchange],
    limits: Limits,
    *,
    opens: float,
    closes: float,
    followed_until: float,
    tokens_per_chunk: float,
) -> Goodput:
    """Judge the requests of the window [opens, closes); times are seconds of the exchanges' clock."""
    good = late = 0
    for x in exchanges:
        if x.began is None or x.began >= closes:
            continue
        if x.ended is None or x.ended >= closes:
            late += _is_late(x, limits, at=closes)
        elif x.ended >= opens and x.outcome == OK:
            good += _is_good(x, limits, followed_until, tokens_per_chunk)
    return Goodput(good, late)


def _is_good(x: Exchange, limits: Limits, followed_until: float, tokens_per_chunk: float) -> bool:
    assert x.began is not None and x.ended is not None
    first = x.output_times[0] if x.output_times else x.ended
    last = x.output_times[-1] if x.output_times else x.ended
    if x.shortened:
        last = projected_end(x, followed_until, tokens_per_chunk, math.nan)
    tpot = tpot_seconds(x, tokens_per_chunk)
    return (
        _keeps(first - x.began, limits.ttft_ms)
        and _keeps(last - x.began, limits.e2e_ms)
        and (tpot is None or _keeps(tpot, limits.tpot_ms))
    )


def _is_late(x: Exchange, limits: Limits, *, at: float) -> bool:
    assert x.began is not None
    first = x.output_times[0] if x.output_times and x.output_times[0] < at else at
    return not (_keeps(first - x.began, limits.ttft_ms) and _keeps(at - x.began, limits.e2e_ms))


def _keeps(seconds: float, limit_ms: float | None) -> bool:
    return limit_ms is None or seconds * 1e3 <= limit_ms
