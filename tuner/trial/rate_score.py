"""Rounds of a search over rates -> Score: the interval's lower end, and how far off where no rate will do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean

from tuner.spec.metrics import MAX_REQUEST_RATE
from tuner.trial.ports import Score
from tuner.trial.rate_rounds import ProbeRecord, RateRound
from tuner.trial.rounds import PointResult, RoundResult

FEWEST_PROBES = 3  # that count; before that nothing is known of a deployment
# Missed so often at the lowest rate of the range, and met nowhere: more rounds cannot change it.
_SURELY_MISSED = 2
_WITHIN = -1.0  # a violation that is none

Figures = Callable[[Sequence[PointResult]], dict[str, float]]
Violation = Callable[[str, float], float]  # SLO, value -> share beyond the limit, NaN's as the caller has it


@dataclass(frozen=True, slots=True)
class _Searched:
    """One deployment's search as far as it has come."""

    last: RateRound
    probes: tuple[ProbeRecord, ...]  # that count
    results: tuple[PointResult, ...]

    @classmethod
    def of(cls, rounds: Sequence[RoundResult]) -> _Searched:
        told = [r.rates for r in rounds if r.rates is not None]
        return cls(
            told[-1],
            tuple(p for one in told for p in one.probes if not p.unusable),
            tuple(p for one in rounds for p in one.points),
        )

    @property
    def untold(self) -> str:
        """Why nothing is known, one line; "" where something is."""
        if self.last.usable < FEWEST_PROBES:
            why = "; ".join(self.last.unusable) or self.last.cut
            return f"only {self.last.usable} of {self.last.made} probes count" + (f": {why}" if why else "")
        if not self.last.none_met and self.last.low <= 0:
            return f"after {self.last.usable} probes no rate surely meets the limits"
        return ""

    @property
    def at_rate(self) -> PointResult | None:
        """The window that stands for the answer: the highest rate not above it, else the lowest there is."""
        able = [p for p in self.results if p.trust.usable] or list(self.results)
        below = [p for p in able if p.trust.asked <= self.last.low * (1 + 1e-9)]
        if below:
            return max(below, key=lambda p: p.trust.asked)
        return min(able, key=lambda p: p.trust.asked, default=None)

    def violations(self, slos: Sequence[str], figures: Figures, violation: Violation) -> dict[str, float]:
        """At the value; where no rate will do at the lowest probed, by the share of late ones if need be."""
        if not self.probes:
            return {slo: violation(slo, math.nan) for slo in slos}
        if not self.last.none_met:
            at = figures([p]) if (p := self.at_rate) is not None else {}
            return {slo: min(0.0, violation(slo, at[slo])) if slo in at else _WITHIN for slo in slos}
        lowest = min(self.probes, key=lambda p: p.rate)
        measured = [p for p in self.results if math.isclose(p.trust.asked, lowest.rate)]
        told = figures(measured) if measured else {}
        found = {}
        for slo in slos:
            late = 1.0 if lowest.over_saturated else lowest.late.get(slo, 1.0)
            allowed = self.last.allowed.get(slo, 1.0)
            by_share = late / allowed - 1
            by_metric = violation(slo, told.get(slo, math.nan))
            found[slo] = by_metric if slo in told and by_metric > 0 else by_share
        return found

    def surely(self, violations: dict[str, float]) -> dict[str, float]:
        """The violations as far as they are beyond doubt."""
        at_low = [p for p in self.probes if p.rate <= self.last.range_low * (1 + 1e-9)]
        if self.last.none_met and len(at_low) >= _SURELY_MISSED:
            return violations
        return dict.fromkeys(violations, _WITHIN)


def score_of_rates(
    rounds: Sequence[RoundResult], *, slos: Sequence[str], figures: Figures, violation: Violation
) -> Score:
    """The score after these rounds, which may be of several deployments (their numbers begin again).

    The value is the lower end of the last round's interval, over several deployments their geometric mean;
    an SLO is missed where one of them has no rate that meets it. NaN and not measured while too few probes
    count, or no rate surely meets the limits and some do. Metrics are those of the window whose rate lies
    nearest below the value.
    """
    searched = [_Searched.of(d) for d in _by_deployment(rounds)]
    told = [s for s in searched if not s.untold]
    counted = told or searched
    lows = [s.last.low for s in counted]
    value = math.nan
    if told:
        value = lows[0] if len(lows) == 1 else geometric_mean(lows) if min(lows) > 0 else 0.0
    highs = [s.last.high for s in counted]
    missed = [s.violations(slos, figures, violation) for s in counted]
    sure = [s.surely(v) for s, v in zip(counted, missed, strict=True)]
    standing = [p for s in counted if (p := s.at_rate) is not None]
    metrics = figures(standing) if standing else {}
    metrics.update(
        dict.fromkeys([MAX_REQUEST_RATE, *(f"{p.point}.{MAX_REQUEST_RATE}" for p in standing)], value)
    )
    return Score(
        values=(value,),
        intervals=((fmean(lows), fmean(highs)),),
        violations={slo: max(v[slo] for v in missed) for slo in slos},
        certain_violations={slo: max(v[slo] for v in sure) for slo in slos},
        metrics={name: figure for name, figure in metrics.items() if not math.isnan(figure)},
        measured=bool(told),
        reason="" if told else searched[-1].untold,
    )


def _by_deployment(rounds: Sequence[RoundResult]) -> list[list[RoundResult]]:
    found: list[list[RoundResult]] = []
    before = math.inf
    for one in rounds:
        if one.number <= before:
            found.append([])
        found[-1].append(one)
        before = one.number
    return found
