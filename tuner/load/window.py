"""Accounting of one window: which request, token and gap belongs to it. Pure.

The window is [opens, closes). Ramp and drain lie outside it; load is the same in all three.

- Tokens count where they arrive inside the window, whatever request they belong to, so numerator and
  denominator share the window. Ended and failed requests count where their end lies inside it.
- Latencies that begin at one moment and end at another (TTFT, E2E, a gap) count where they *begin* inside
  the window, and are followed through the drain. Taking those that end inside would leave out the slow ones.
- Where one does not end before the drain does, a TTFT or a gap counts with what has passed, a lower bound;
  an E2E is projected: what has passed to the last token, and the missing tokens at the request's TPOT.
- One that contains the whole window counts too: nothing else speaks for it.
- TPOT is that of requests that ended inside the window, and of those in flight at its end as far as they
  got, from 8 gaps on.
- The first request of a stream is cut short by intent: it counts as the whole one that it is the rest of.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tuner.load import goodput
from tuner.load.exchange import OK, TIMEOUT, Exchange
from tuner.load.goodput import Goodput, Limits
from tuner.load.request_figures import (
    FEWEST_GAPS,
    projected_end,
    tokens_by_chunk,
    tpot_seconds,
    weights,
)
from tuner.trial.histogram import Histogram
from tuner.trial.rounds import HISTOGRAMS

SHORTEST_PART_SECONDS = 0.75
FEWEST_PARTS = 5


@dataclass(frozen=True, slots=True)
class Window:
    """When the window opened and closed, and when following its requests ended; seconds of one clock."""

    opens: float
    closes: float
    followed_until: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.closes - self.opens

    def holds(self, at: float) -> bool:
        """Whether a moment lies inside."""
        return self.opens <= at < self.closes

    def part_edges(self) -> list[float]:
        """Edges of equal parts, at least 5 of them, of 0.75 s and more where the window is long enough."""
        parts = max(FEWEST_PARTS, int(self.seconds / SHORTEST_PART_SECONDS))
        step = self.seconds / parts
        return [self.opens + step * k for k in range(parts)] + [self.closes]


@dataclass(slots=True)
class Account:
    """What one window gave. Counts as in PointResult; see the module's text for the rules.

    Attributes:
        mean_in_flight: requests in flight, mean over the window.
        sent, scheduled: of the requests with an intended time (open loop), those that were sent inside the
            window, and those that were to be.
        following: sent inside the window without one: a closed loop's, later turns of conversations.
        bounded_ttft: how many TTFTs are lower bounds.
        asked_output, given_output: tokens of whole requests that have ended, asked for and given.
        details: class of failure -> the first one's own words.
        goodput: None where no limits were given.
    """

    requests: int = 0
    output_tokens: int = 0
    input_tokens: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    cut: int = 0
    histograms: dict[str, Histogram] = field(default_factory=lambda: {h: Histogram() for h in HISTOGRAMS})
    parts: tuple[float, ...] = ()
    in_flight: tuple[float, ...] = ()
    token_source: str = "usage"
    mean_in_flight: float = 0.0
    sent: int = 0
    scheduled: int = 0
    following: int = 0
    bounded_ttft: int = 0
    asked_output: int = 0
    given_output: int = 0
    details: dict[str, str] = field(default_factory=dict)
    goodput: Goodput | None = None


def account(exchanges: Sequence[Exchange], window: Window, limits: Limits | None = None) -> Account:
    """Account for `exchanges` (all of the ramp, the window and the drain) in `window`.

    Args:
        limits: of one request, for goodput; None where nobody asks for it.
    """
    made = Account()
    made.token_source, tokens_per_chunk = tokens_by_chunk(exchanges)
    edges = window.part_edges()
    tokens = [0.0] * (len(edges) - 1)
    for exchange in exchanges:
        _count(made, exchange, window)
        _ttft(made, exchange, window)
        _gaps(made.histograms["itl_ms"], exchange.output_times, window)
        by_chunk = weights(exchange, tokens_per_chunk)
        for part, arrived in enumerate(_tokens_between(exchange.output_times, edges, by_chunk)):
            tokens[part] += arrived
    _open_gaps(made.histograms["itl_ms"], exchanges, window)
    _tpots(made, exchanges, window, tokens_per_chunk)
    _e2es(made, exchanges, window, tokens_per_chunk)
    step = window.seconds / len(tokens)
    made.parts = tuple(t / step for t in tokens)
    made.output_tokens = round(sum(tokens))
    made.in_flight = tuple(_mean_in_flight(exchanges, a, b) for a, b in pairwise(edges))
    made.mean_in_flight = sum(made.in_flight) / len(made.in_flight)
    if limits is not None:
        made.goodput = goodput.count(
            exchanges,
            limits,
            opens=window.opens,
            closes=window.closes,
            followed_until=window.followed_until,
            tokens_per_chunk=tokens_per_chunk,
        )
    return made


def tokens_so_far(exchanges: Sequence[Exchange], since: float) -> int:
    """Chunks of output that arrived since a moment: the live figure, before the server's count is known."""
    return sum(len(x.output_times) - bisect_left(x.output_times, since) for x in exchanges)


def overlap(start: float, end: float | None, window_opens: float, window_closes: float) -> float:
    """Seconds of [start, end) inside the window; an open end lasts."""
    last = window_closes if end is None else min(end, window_closes)
    return max(0.0, last - max(start, window_opens))


def _tokens_between(
    times: array[float], edges: Sequence[float], by_chunk: tuple[float, float]
) -> list[float]:
    """Tokens that arrived between each two edges."""
    if not times or times[-1] < edges[0] or times[0] >= edges[-1]:
        return []
    places = [bisect_left(times, edge) for edge in edges]
    first, other = by_chunk
    return [
        (stop - start) * other + (first - other if start == 0 < stop else 0.0)
        for start, stop in pairwise(places)
    ]


def _count(made: Account, x: Exchange, window: Window) -> None:
    if x.intended is not None and window.holds(x.intended):
        made.scheduled += 1
    if x.sent is not None and window.holds(x.sent):
        made.sent += x.intended is not None
        made.following += x.intended is None
    began = x.began if x.sent is None else x.sent
    if x.ended is not None and window.holds(x.ended):
        if x.outcome == OK:
            made.requests += 1
            made.input_tokens += x.asked_tokens[0] if x.prompt_tokens is None else x.prompt_tokens
        else:
            made.errors[x.outcome] = made.errors.get(x.outcome, 0) + 1
            made.details.setdefault(x.outcome, x.detail)
    elif began is not None and began < window.closes and (x.ended is None or x.ended >= window.closes):
        made.cut += 1


def _ttft(made: Account, x: Exchange, window: Window) -> None:
    began = x.began
    if began is None or began >= window.closes:
        return
    first = x.output_times[0] if x.output_times else None
    known = first if first is not None else x.ended
    if began < window.opens and known is not None and known < window.closes:
        return
    if first is None and x.outcome not in ("", OK, TIMEOUT):
        return  # refused or broken: it is in the errors
    if first is None:
        made.bounded_ttft += 1
    until = known if known is not None else window.followed_until
    made.histograms["ttft_ms"].add(max(0.0, until - began) * 1e3)


def _gaps(itl_ms: Histogram, times: array[float], window: Window) -> None:
    if len(times) < 2 or times[-1] < window.opens or times[0] >= window.closes:
        return
    first = max(0, bisect_left(times, window.opens) - 1)
    last = min(len(times) - 1, bisect_left(times, window.closes))
    for at in range(first, last):
        start, end = times[at], times[at + 1]
        if start >= window.opens or end >= window.closes:
            itl_ms.add((end - start) * 1e3)


def _open_gaps(itl_ms: Histogram, exchanges: Sequence[Exchange], window: Window) -> None:
    """A stall that outlasts the drain counts where it is longer than every gap that ended."""
    for x in exchanges:
        if not x.outcome and x.output_times and x.output_times[-1] < window.closes:
            passed = (window.followed_until - x.output_times[-1]) * 1e3
            if passed > max(itl_ms.maximum, 0.0) and itl_ms.count:
                itl_ms.add(passed)


def _tpots(made: Account, exchanges: Sequence[Exchange], window: Window, tokens_per_chunk: float) -> None:
    few: list[float] = []
    for x in exchanges:
        began = x.began
        if began is None or began >= window.closes or (x.ended is not None and x.ended < window.opens):
            continue
        tpot = tpot_seconds(x, tokens_per_chunk)
        if tpot is None or x.outcome not in ("", OK):
            continue
        whole = x.outcome == OK and not x.shortened and x.ended is not None and x.ended < window.closes
        if whole or len(x.output_times) > FEWEST_GAPS:
            made.histograms["tpot_ms"].add(tpot * 1e3)
        else:
            few.append(tpot)
    if not made.histograms["tpot_ms"].count:
        for tpot in few:
            made.histograms["tpot_ms"].add(tpot * 1e3)


def _e2es(made: Account, exchanges: Sequence[Exchange], window: Window, tokens_per_chunk: float) -> None:
    e2e_ms = made.histograms["e2e_ms"]
    usual_tpot = made.histograms["tpot_ms"].mean() / 1e3  # NaN where there is none
    for x in exchanges:
        began = x.began
        if began is None or began >= window.closes:
            continue
        if began < window.opens and x.ended is not None and x.ended < window.closes:
            continue
        if x.outcome == OK and not x.shortened and x.ended is not None:
            until = x.output_times[-1] if x.output_times else x.ended
            made.asked_output += x.asked_tokens[1]
            made.given_output += len(x.output_times) if x.completion_tokens is None else x.completion_tokens
        elif x.outcome in ("", TIMEOUT) or (x.outcome == OK and x.shortened):
            until = projected_end(x, window.followed_until, tokens_per_chunk, usual_tpot)
        else:
            continue  # refused or broken: it is in the errors
        e2e_ms.add(max(0.0, until - began) * 1e3)


def _mean_in_flight(exchanges: Sequence[Exchange], opens: float, closes: float) -> float:
    total = sum(overlap(x.sent, x.ended, opens, closes) for x in exchanges if x.sent is not None)
    return total / (closes - opens) if closes > opens else 0.0
