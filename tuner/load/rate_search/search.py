"""Which rate to probe next: halving first, then probes spread over where the SLO begins to be missed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import cycle

from tuner.load.rate_search.answer import RateAnswer, answer, bracket
from tuner.load.rate_search.probe import Probe

ProbeAt = Callable[[float], Awaitable[Probe]]
Clock = Callable[[], float]

_HALVED_ENOUGH = math.log(1.15)  # the bracket's width from which on the curve is fitted
_EDGE = math.log(1.3)  # a bound of the range is probed itself once the bracket is this narrow
_GAP_ENOUGH = math.log(1.03)  # a cliff's bracket is halved down to this
_NARROWEST, _WIDEST = 0.07, 0.12  # spread of the probes around the crossing, of ln(rate)
_WIDE = 0.3  # below it, while no lower end is known
# Ends first: they tell the slope; no two alike, so that no place is looked at twice for nothing.
_PLACES = (-1.0, 1.0, 0.0, -0.6, 0.6, 0.25, -0.25, 0.85, -0.85)


class RateSearch:
    """The search on one deployment: `next_rate`, a probe there, `add`, and so on. Pure and deterministic.

    Probes are of one length; how many there are is the caller's: the interval narrows with each. Probes that
    are not usable (a client-bound window) are kept, and the rate is asked for again; once it was not usable
    twice, the range ends there until the search is near to it and it proves to be usable.

    Args:
        low, high: the range of rates, requests per second, 0 < low < high.
    """

    def __init__(self, *, low: float, high: float) -> None:
        if not 0 < low < high < math.inf:
            raise ValueError(f"rates from {low:g} to {high:g}: would be right: 0 < low < high")
        self.low = low
        self.high = high
        self.probes: list[Probe] = []
        self._places: Iterator[float] = cycle(_PLACES)

    def add(self, probe: Probe) -> None:
        """Take what a probe said."""
        self.probes.append(probe)

    def answer(self) -> RateAnswer:
        """What is known so far; see `RateAnswer`."""
        return answer(self.probes)

    def next_rate(self) -> float:
        """Where to probe next, requests per second."""
        usable = [p for p in self.probes if p.usable]
        found = bracket(usable)
        low, high = max(found.met, self.low), min(found.missed, self.high)
        if (beyond := self._beyond_client()) is not None and low < beyond < high:
            # Near to it once more: what kept the client from it may have passed.
            return beyond if math.log(beyond / low) <= _GAP_ENOUGH else math.sqrt(low * beyond)
        if not found.mixed:
            width = math.log(high / low) if high > low else 0.0
            if found.met == 0 and width <= _EDGE:
                return self.low
            if math.isinf(found.missed) and width <= _EDGE:
                return self.high
            if width > _HALVED_ENOUGH:
                return math.sqrt(low * high)
        so_far = self.answer()
        if not found.mixed and so_far.cliff and math.log(high / low) > _GAP_ENOUGH:
            return math.sqrt(low * high)
        middle = math.sqrt(low * high) if math.isnan(so_far.rate) else so_far.rate
        spread, place = min(max(so_far.half_width, _NARROWEST), _WIDEST), next(self._places)
        if place < 0 and so_far.low <= 0:
            spread = _WIDE  # first of all some rate must surely do
        return min(max(middle * math.exp(spread * place), self.low), self.high)

    def _beyond_client(self) -> float | None:
        """The lowest rate at which two probes were not usable, and none was."""
        lost = Counter(p.rate for p in self.probes if not p.usable)
        for p in self.probes:
            if p.usable:
                lost.pop(p.rate, None)
        return min((rate for rate, times in lost.items() if times > 1), default=None)

    async def run_block(
        self, probe_at: ProbeAt, *, probes: int, clock: Clock, seconds: float = math.inf
    ) -> RateAnswer:
        """Make `probes` probes, one after another, and answer.

        Args:
            probe_at: makes one probe at a rate.
            seconds: no probe is begun after so long by `clock`.
        """
        until = clock() + seconds
        for _ in range(probes):
            if clock() >= until:
                break
            self.add(await probe_at(self.next_rate()))
        return self.answer()
