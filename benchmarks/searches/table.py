"""The table of `make bench-search`, and which of its targets are met."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from searches.figures import Cost, geometric_mean
from searches.surfaces import COUNTED

OURS, RANDOM, GRID, TPE, GP, BOTORCH = "ours", "random", "grid", "tpe", "gp", "botorch"
SHOWN = (OURS, RANDOM, GRID, TPE, GP, BOTORCH)
TITLES = {
    OURS: "tuner",
    RANDOM: "random",
    GRID: "grid",
    TPE: "Optuna TPE",
    GP: "Optuna GP",
    BOTORCH: "BoTorch qLogNEI",
}
MOST_OF_MEDIAN = {RANDOM: 1 / 4, TPE: 1 / 3, BOTORCH: 1 / 2}
MOST_OF_P90 = 1 / 8  # of random's
SHARE = 0.8  # of the surfaces, on which these hold
MOST_ON_AVERAGE = 0.12  # of random's median, the geometric mean


@dataclass(frozen=True)
class Line:
    """One surface.

    Attributes:
        costs: searcher -> what it cost; absent where nothing was recorded.
        notes: what is stale or missing, a line each.
    """

    name: str
    good: int
    rows: int
    floor: float
    costs: Mapping[str, Cost]
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def counts(self) -> bool:
        """Whether it is hard enough to count."""
        return self.costs[RANDOM].median_trials >= COUNTED

    def ratio(self, other: str) -> float:
        """Our median over another's; NaN where that is not there."""
        if other not in self.costs:
            return math.nan
        return _over(self.costs[OURS].median, self.costs[other].median)

    @property
    def p90_ratio(self) -> float:
        """Our 90th percentile over random's."""
        return _over(self.costs[OURS].p90, self.costs[RANDOM].p90)

    @property
    def met(self) -> bool:
        """Whether every target of one surface is met; a peer that was not recorded is none that is beaten."""
        medians = all(self.ratio(other) <= most for other, most in MOST_OF_MEDIAN.items())
        return medians and self.p90_ratio <= MOST_OF_P90


def costs_table(lines: Sequence[Line]) -> str:
    """Seconds until a good configuration was found: median, its interval, 90th percentile."""
    head = ["surface", "good", "floor", *(TITLES[s] for s in SHOWN)]
    rows = []
    for line in lines:
        cells = [_cost(line.costs.get(searcher)) for searcher in SHOWN]
        name = line.name if line.counts else f"{line.name} (does not count)"
        rows.append([name, f"{line.good} of {line.rows}", _seconds(line.floor), *cells])
    return _markdown(head, rows)


def ratios_table(lines: Sequence[Line]) -> str:
    """Our median as a share of the others', and the geometric means over the surfaces that count."""
    others = [s for s in SHOWN if s != OURS]
    head = ["surface", *(f"of {TITLES[s]}" for s in others), "p90 of random's", "targets"]
    rows = []
    for line in lines:
        verdict = ("met" if line.met else "missed") if line.counts else "does not count"
        rows.append([line.name, *(_ratio(line.ratio(s)) for s in others), _ratio(line.p90_ratio), verdict])
    counted = [line for line in lines if line.counts]
    means = [geometric_mean([r for e in counted if not math.isnan(r := e.ratio(s))]) for s in others]
    p90 = geometric_mean([e.p90_ratio for e in counted])
    rows.append(["**geometric mean**", *(f"**{_ratio(m)}**" for m in means), f"**{_ratio(p90)}**", ""])
    return _markdown(head, rows)


def targets(lines: Sequence[Line]) -> list[tuple[str, bool]]:
    """What is asked for over all surfaces that count, and whether it is met."""
    counted = [line for line in lines if line.counts]
    if not counted:
        return [("no surface counts", False)]
    met = sum(line.met for line in counted)
    mean = geometric_mean([line.ratio(RANDOM) for line in counted])
    worse = [line.name for line in lines if line.p90_ratio > 1]
    shares = "1/4 of random's, 1/3 of TPE's and 1/2 of BoTorch's median, 1/8 of random's 90th percentile"
    return [
        (
            f"{shares}: on {met} of {len(counted)} surfaces, {SHARE:.0%} asked for",
            met >= SHARE * len(counted),
        ),
        (
            f"geometric mean {mean:.3f} of random's median, {MOST_ON_AVERAGE} asked for",
            mean <= MOST_ON_AVERAGE,
        ),
        (f"worse than random at the 90th percentile on: {', '.join(worse) or 'none'}", not worse),
    ]


def _over(value: float, other: float) -> float:
    if math.isinf(value):
        return math.inf
    return 0.0 if math.isinf(other) else value / other


def _cost(cost: Cost | None) -> str:
    if cost is None:
        return "-"
    return f"{_seconds(cost.median)} [{_seconds(cost.low)}, {_seconds(cost.high)}] / {_seconds(cost.p90)}"


def _seconds(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:,.0f}"


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else "never" if math.isinf(value) else f"{value:.2f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    align = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, align, *rows))
