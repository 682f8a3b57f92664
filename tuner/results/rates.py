"""What a search over rates found on one deployment, in one line for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuner.results.figures import figure
from tuner.trial.rate_rounds import RateRound
from tuner.trial.rounds import RoundResult


def rates_told(rounds: Sequence[RoundResult]) -> str:
    """Which limit ends the rates, where, and whether it is a cliff; "" where no rates were searched."""
    searched = [r.rates for r in rounds if r.rates is not None]
    return _told(searched[-1]) if searched else ""


def _told(last: RateRound) -> str:
    if not last.usable:
        return f"not known: none of {last.made} probes counts"
    if last.none_met:
        lowest = figure(min((p.rate for p in last.probes if not p.unusable), default=last.range_low))
        return f"{last.binding or 'its limits'}, already at {lowest} requests/s"
    if math.isinf(last.high) and last.low >= last.range_high * (1 - 1e-9):
        return f"nothing up to {figure(last.range_high)} requests/s, where rate_search ends"
    interval = (
        f"{figure(last.low)} to {figure(last.high)}" if last.low > 0 else f"at most {figure(last.high)}"
    )
    if math.isinf(last.high):
        interval = f"at least {figure(last.low)}"
    cliff = ", a cliff" if last.cliff else ""
    return f"{last.binding or 'no limit yet'} at {figure(last.rate)} requests/s ({interval}){cliff}"
