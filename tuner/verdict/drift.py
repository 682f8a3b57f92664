"""Whether the baseline, measured again and again through a run, stays where it was.

The same configuration measured at other times should give the same figure. Where its deployments differ by
more than their rounds explain (one-way analysis of variance: R. A. Fisher, "Statistical Methods for
Research Workers", 1925, chapter VII) the run has moved: the machine, its neighbours, or what one start of
an engine gets by chance; a few deployments cannot tell these apart. Between two of them the level is taken
to change evenly in time, before the first and after the last to stay.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SIGNIFICANCE = 0.01  # rounds of one deployment hang together a little, so less than the usual 5 %
LEAST_SHARE = 0.01  # a move that is smaller is no concern, however sure


@dataclass(frozen=True, slots=True)
class Level:
    """The baseline as one deployment measured it.

    Attributes:
        at: Unix time of the middle of its rounds.
        logs: of the objective in each of its rounds, turned so that larger is better; at least one.
    """

    at: float
    logs: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over its rounds."""
        return math.fsum(self.logs) / len(self.logs)


@dataclass(frozen=True, slots=True)
class Drift:
    """How the baseline moved from its first deployment on.

    Attributes:
        at: when each deployment was measured, rising.
        logs: how far each lies above the first.
        probability: of such differences between deployments by the scatter of their rounds alone; NaN where
            that cannot be told.
    """

    at: tuple[float, ...]
    logs: tuple[float, ...]
    probability: float

    @property
    def range_share(self) -> float:
        """From the lowest to the highest, as a share of the lowest."""
        return math.expm1(max(self.logs) - min(self.logs))

    @property
    def moved(self) -> bool:
        """Whether the deployments differ by more than their rounds explain, and by enough to matter."""
        return self.probability < SIGNIFICANCE and self.range_share >= LEAST_SHARE

    def log_at(self, at: float) -> float:
        """How far the level of that time lies above the first deployment's; 0 where nothing moved."""
        if not self.moved:
            return 0.0
        place = bisect_right(self.at, at)
        if place == 0 or place == len(self.at):
            return self.logs[0 if place == 0 else -1]
        (early, before), (late, after) = ((self.at[i], self.logs[i]) for i in (place - 1, place))
        return before + (after - before) * (at - early) / (late - early)


def drift_of(levels: Sequence[Level]) -> Drift | None:
    """The drift over the baseline's deployments; None for fewer than two."""
    ordered = sorted(levels, key=lambda level: level.at)
    if len(ordered) < 2:
        return None
    first = ordered[0].mean
    return Drift(
        at=_rising([level.at for level in ordered]),
        logs=tuple(level.mean - first for level in ordered),
        probability=_probability([level.logs for level in ordered]),
    )


def _rising(times: Sequence[float]) -> tuple[float, ...]:
    """Two measured side by side at the very same time would leave no slope between them."""
    found = [times[0]]
    for before, after in pairwise(times):
        found.append(max(after, math.nextafter(found[-1], math.inf)) if after <= before else after)
    return tuple(found)


def _probability(groups: Sequence[Sequence[float]]) -> float:
    """That independent normal rounds of one level differ as much between their groups: the F test."""
    from scipy.special import fdtrc  # noqa: PLC0415  scipy.stats would cost a second of every start

    count, rounds = len(groups), sum(map(len, groups))
    if rounds <= count:
        return math.nan
    grand = math.fsum(v for g in groups for v in g) / rounds
    means = [math.fsum(g) / len(g) for g in groups]
    between = math.fsum(len(g) * (m - grand) ** 2 for g, m in zip(groups, means, strict=True)) / (count - 1)
    within = math.fsum((v - m) ** 2 for g, m in zip(groups, means, strict=True) for v in g) / (rounds - count)
    if within <= 0:
        return 0.0 if between > 0 else 1.0
    return float(fdtrc(count - 1, rounds - count, between / within))
