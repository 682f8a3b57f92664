"""What the probes so far say: the highest rate under the SLO, its interval, and whether it is a cliff."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.load.rate_search.fit import Crossing, bounded_crossing, crossing
from tuner.load.rate_search.probe import Probe

# The curve is fitted near the crossing only: further off it is no straight line.
NEAR = 0.25  # of ln(rate)
# A cliff: this much more load makes this share of the requests late.
CLIFF_STEP = 1.05
CLIFF_SHARE = 0.5
# By so many times fewer or more late ones than allowed, two probes are believed without a curve.
FAR = 3.0
# 3 would do for requests that are late one by one (Poisson); they are late in bursts.
FEWEST_EXPECTED = 8.0
_WIDEST_CLIFF_GAP = 1.1
_MOST_REFITS = 4


@dataclass(frozen=True, slots=True)
class RateAnswer:
    """The highest rate under the SLO as far as it is known.

    Attributes:
        rate: the best estimate, requests per second; NaN where no SLO was met even at the lowest rate.
        low, high: its 95 % interval. 0 or infinite where the range of rates ended before the SLO did.
        binding: the SLO that is missed first; "" before one is.
        cliff: 5 % more load makes half of the requests late: a limit that is not to be approached.
        probes: how many usable ones there were.
    """

    rate: float
    low: float
    high: float
    binding: str = ""
    cliff: bool = False
    probes: int = 0

    @property
    def half_width(self) -> float:
        """Half of the interval as a share of the rate; infinite while it has no end."""
        if math.isnan(self.rate) or self.rate <= 0:
            return math.inf
        return (self.high - self.low) / 2 / self.rate


@dataclass(frozen=True, slots=True)
class Bracket:
    """The highest rate below which every probe met the SLO, and the lowest above which every one missed it.

    Attributes:
        met: 0 where there is none. missed: infinite where there is none.
        mixed: a probe missed the SLO at a rate below one that met it: met and missed enclose them all.
    """

    met: float
    missed: float
    mixed: bool


def bracket(probes: Sequence[Probe]) -> Bracket:
    """What the probes' yes and no say."""
    met = [p.rate for p in probes if p.met]
    missed = [p.rate for p in probes if not p.met]
    highest_met, lowest_missed = max(met, default=0.0), min(missed, default=math.inf)
    if highest_met < lowest_missed:
        return Bracket(highest_met, lowest_missed, mixed=False)
    below = max((r for r in met if r < lowest_missed), default=0.0)
    above = min((r for r in missed if r > highest_met), default=math.inf)
    return Bracket(below, above, mixed=True)


def answer(probes: Sequence[Probe]) -> RateAnswer:
    """The answer from the usable ones of `probes`."""
    usable = [p for p in probes if p.usable]
    found = bracket(usable)
    if found.met == 0 and not found.mixed:
        return RateAnswer(math.nan, 0.0, found.missed, _missed_first(usable), probes=len(usable))
    if math.isinf(found.missed) and not found.mixed:
        return RateAnswer(found.met, found.met, math.inf, probes=len(usable))
    middle = _middle(usable, found)
    binding, curve = _binding(usable, middle)
    told = curve if curve.rises else _bounded(usable, middle)
    low_end, high_end, rate = told.low, told.high, told.rate
    if not found.mixed:
        # Between the two nothing was seen: the curve's shape alone must not narrow it.
        low_end, high_end = min(low_end, found.met), max(high_end, found.missed)
        rate = min(max(rate, found.met), found.missed)
    if not curve.rises:
        sure_low, sure_high = _beyond_doubt(usable, found)
        low_end, high_end = max(low_end, sure_low), min(high_end, sure_high)
        rate = rate if found.mixed else middle
    # Nobody was there: beyond all probes there is no estimate.
    rate = min(max(rate, min(p.rate for p in usable)), max(p.rate for p in usable))
    low_end, high_end = min(low_end, rate), max(high_end, rate)
    binding = binding or _missed_first(usable)
    return RateAnswer(rate, low_end, high_end, binding, _cliff(usable, curve, found), len(usable))


def _bounded(probes: Sequence[Probe], middle: float) -> Crossing:
    """Where the first SLO's curve crosses, with the ends that come first, as far as the least slope tells."""
    found = [_settled(probes, metric, middle) for metric in _judged(probes)]
    first = min(found, key=lambda c: c.rate)
    return Crossing(
        first.rate, min(c.low for c in found), min(c.high for c in found), first.slope, first.allowed
    )


def _settled(probes: Sequence[Probe], metric: str, middle: float) -> Crossing:
    """The curve through the probes about its own crossing, or through all where those are too few."""
    curve = None
    for _ in range(_MOST_REFITS):
        near = [p for p in probes if abs(math.log(p.rate / middle)) <= 2 * NEAR]
        near = near if len(near) > 2 else list(probes)
        curve = bounded_crossing([p.rate for p in near], [p.counted(metric) for p in near])
        if math.isnan(curve.rate) or abs(math.log(curve.rate / middle)) < NEAR / 4:
            break
        middle = curve.rate
    assert curve is not None
    return curve if not math.isnan(curve.rate) else Crossing(middle, 0.0, math.inf, 0.0, curve.allowed)


def _beyond_doubt(probes: Sequence[Probe], found: Bracket) -> tuple[float, float]:
    """The ends that no curve is needed for: probes that met or missed by far, two at least.

    Those that met by far must have had late ones to expect, FEWEST_EXPECTED in all: of ten requests none may
    be late by chance.
    """
    low, expected, judged = 0.0, [], _judged(probes)
    for p in sorted(probes, key=lambda p: -p.rate):
        if p.rate <= found.met and p.strain <= 1 / FAR:
            expected.append(min(p.shares[m].allowed * p.shares[m].of for m in judged))
            if len(expected) > 1 and math.fsum(expected) >= FEWEST_EXPECTED:
                low = p.rate
                break
    missed = sorted(p.rate for p in probes if p.rate >= found.missed and p.strain >= FAR)
    return low, missed[1] if len(missed) > 1 else math.inf


def _middle(probes: Sequence[Probe], found: Bracket) -> float:
    """The middle of the rates where both was seen, or of the gap between the two."""
    if not found.mixed:
        return math.sqrt(found.met * found.missed)
    met, missed = max(p.rate for p in probes if p.met), min(p.rate for p in probes if not p.met)
    return math.sqrt(met * missed)


def _binding(probes: Sequence[Probe], middle: float) -> tuple[str, Crossing]:
    """The SLO whose curve crosses first, and that curve, with the ends that come first."""
    curves = {metric: _near(probes, metric, middle) for metric in _judged(probes)}
    told = {m: c for m, c in curves.items() if c.rises}
    if not told:
        return "", next(iter(curves.values()))
    binding = min(told, key=lambda m: told[m].rate)
    first = told[binding]
    low = min(c.low for c in told.values())
    high = min(c.high for c in told.values())
    return binding, Crossing(first.rate, low, high, first.slope, first.allowed)


def _judged(probes: Sequence[Probe]) -> list[str]:
    """The SLOs that some probe missed: one that none missed ends no rates. All where the queue alone grew."""
    missed = [m for m in probes[0].shares if any(not p.shares[m].met for p in probes)]
    return missed or list(probes[0].shares)


def _missed_first(probes: Sequence[Probe]) -> str:
    """The SLO that was missed by most in the lowest-rate probe that missed one; "" where none did."""
    lowest = min((p for p in probes if not p.met), key=lambda p: p.rate, default=None)
    if lowest is None:
        return ""
    return max(lowest.shares, key=lambda m: lowest.shares[m].strain)


def _near(probes: Sequence[Probe], metric: str, middle: float) -> Crossing:
    """The curve through the probes near its own crossing."""
    for _ in range(_MOST_REFITS):
        near = [p for p in probes if abs(math.log(p.rate / middle)) <= NEAR]
        curve = crossing([p.rate for p in near], [p.counted(metric) for p in near]) if near else None
        if curve is None or not curve.rises:
            break
        moved = abs(math.log(curve.rate / middle))
        if moved < NEAR / 4 or moved > NEAR:
            break
        middle = curve.rate
    return curve or crossing([1.0], [probes[0].counted(metric)])


def _cliff(probes: Sequence[Probe], curve: Crossing, found: Bracket) -> bool:
    """By the curve; or by a step of all probes near a gap, two a side or more: few late below, most above."""
    if curve.rises and curve.share_at(curve.rate * CLIFF_STEP) >= CLIFF_SHARE:
        return True
    if found.mixed or found.missed > _WIDEST_CLIFF_GAP * found.met:
        return False
    below = [p.strain for p in probes if found.met / _WIDEST_CLIFF_GAP <= p.rate <= found.met]
    above = [p.strain for p in probes if found.missed <= p.rate <= found.missed * _WIDEST_CLIFF_GAP]
    return min(len(below), len(above)) > 1 and max(below) <= 1 / FAR and math.isinf(min(above))
