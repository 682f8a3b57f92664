"""Several objectives: the Pareto front, who may belong to it, and its knee. Pure.

Dominance: a trial dominates another that it equals or beats in every objective and beats in one; the front
is what no trial dominates. Values carry noise, so a trial off the front is called beaten only where one
other's 95 % interval lies wholly on the better side of its own in every objective. The rest may belong to
the front: their place in it is within the noise.

Knee: the trial of the front that lies farthest from the chord through its ends, on the better side (I. Das,
"On characterizing the 'knee' of the Pareto curve based on normal-boundary intersection", Structural
Optimization 18, 1999, pages 107-115; for three objectives and more the plane through the unit points stands
for the hull of the ends). Distances are taken of logarithms, because a tenth more is a tenth more at any
size, and with each objective's range over the front as its unit. A range is taken for no smaller than its
noise, lest noise be spread over the whole unit. So measured, the distance of a trial is a weighted sum of
logarithms plus a constant: to lie farthest is to have the largest geometric mean with these weights, which is
the one figure that several objectives are compared by (`Balance`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

LEAST_RANGE = math.log(1.01)  # an objective that hardly differs over the front is not spread further
FEWEST = 3  # trials on a front that has a knee: two are its ends
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Point:
    """One feasible trial.

    Attributes:
        values: one an objective, in its own unit.
        intervals: the 95 % interval of each; NaN where it cannot be told.
    """

    trial: int
    values: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """A weighted geometric mean of the objectives, those to be minimised as their inverse.

    Attributes:
        maximize: for each objective whether more is better.
        weights: sum to 1; 0 for an objective that is 0 or less somewhere on the front: it has no logarithm.
    """

    maximize: tuple[bool, ...]
    weights: tuple[float, ...]

    def log(self, values: Sequence[float]) -> float:
        """The logarithm of the mean, larger is better; -inf where a value that counts has none."""
        total = 0.0
        for value, weight, up in zip(values, self.weights, self.maximize, strict=True):
            if not weight:
                continue
            if not 0 < value < math.inf:
                return -math.inf
            total += weight * (math.log(value) if up else -math.log(value))
        return total


@dataclass(frozen=True, slots=True)
class Front:
    """What several objectives leave to choose from.

    Attributes:
        points: what no trial dominates by its values, the best in the first objective first.
        near: dominated by their values, and by nobody's interval: they may belong to the front.
        balance: the weights by which the knee was found; even where the front has none.
        knee: the trial to take where nothing else speaks; None for an empty front, and where no objective
            has a logarithm.
        bulges: whether the knee lies beyond the chord; else it is an end, or one of too few.
    """

    points: tuple[Point, ...]
    near: tuple[Point, ...]
    balance: Balance
    knee: int | None
    bulges: bool

    @property
    def trials(self) -> tuple[int, ...]:
        """The trials on the front, in the order of `points`."""
        return tuple(p.trial for p in self.points)

    def place(self, trial: int) -> str:
        """ "knee" ("balanced" where there is none to speak of), "front", "near" (it may belong to the front,
        within the noise), or "" for any other trial.
        """
        if trial == self.knee:
            return "knee" if self.bulges else "balanced"
        if trial in self.trials:
            return "front"
        return "near" if any(p.trial == trial for p in self.near) else ""


def front_of(points: Sequence[Point], *, maximize: Sequence[bool]) -> Front:
    """The front of some feasible trials; those with a value that cannot be told are left out."""
    able = [_Turned.of(p, maximize) for p in points if not any(map(math.isnan, p.values))]
    on = [one.point for one in _maximal(able, lambda one: one.values, lambda one: one.values)]
    sure = _maximal(able, lambda one: one.low, lambda one: one.high)
    trials = {p.trial for p in on}
    near = sorted((one.point for one in sure if one.point.trial not in trials), key=lambda p: p.trial)
    even = Balance(tuple(maximize), _shares([float(_has_log(on, i)) for i in range(len(maximize))]))
    if not on or not any(even.weights):
        return Front(tuple(on), tuple(near), even, None, False)
    balance = even
    if len(on) >= FEWEST:
        inverse = [1 / _range(on, i) if weight else 0.0 for i, weight in enumerate(even.weights)]
        balance = Balance(tuple(maximize), _shares(inverse))
    best = max(balance.log(p.values) for p in on)
    tied = [p for p in on if balance.log(p.values) >= best - _SAME]
    knee = max(tied, key=lambda p: (even.log(p.values), -p.trial))
    bulges = len(on) >= FEWEST and not _is_end(knee, on, len(maximize))
    return Front(tuple(on), tuple(near), balance, knee.trial, bulges)


@dataclass(frozen=True, slots=True)
class _Turned:
    """A point with every objective turned so that more is better; an interval not known is without ends."""

    point: Point
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, point: Point, maximize: Sequence[bool]) -> _Turned:
        turned = [
            (-math.inf, math.inf) if math.isnan(low + high) else (low, high) if up else (-high, -low)
            for (low, high), up in zip(point.intervals, maximize, strict=True)
        ]
        values = tuple(v if up else -v for v, up in zip(point.values, maximize, strict=True))
        return cls(point, values, tuple(low for low, _ in turned), tuple(high for _, high in turned))


_Ends = Callable[[_Turned], tuple[float, ...]]


def _maximal(points: Sequence[_Turned], worst: _Ends, best: _Ends) -> list[_Turned]:
    """Those that no other one's worst end matches or beats everywhere, and beats somewhere.

    In the order of their worst ends a point comes behind all that dominate it, and what is dominated by a
    dominated point is so by the dominating one too: each is held against the maximal ones before it.
    """
    found: list[_Turned] = []
    for one in sorted(points, key=lambda p: (tuple(-v for v in worst(p)), p.point.trial)):
        if not any(_dominates(worst(other), best(one)) for other in found):
            found.append(one)
    return found


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and one != other


def _has_log(points: Sequence[Point], objective: int) -> bool:
    return all(0 < p.values[objective] < math.inf for p in points)


def _range(points: Sequence[Point], objective: int) -> float:
    """The range of the logarithms; at least what one trial's noise spans, and never next to nothing."""
    logs = [math.log(p.values[objective]) for p in points]
    ends = [p.intervals[objective] for p in points]
    widths = [math.log(high / low) for low, high in ends if 0 < low <= high < math.inf]
    return max(max(logs) - min(logs), median(widths) if widths else 0.0, LEAST_RANGE)


def _is_end(point: Point, points: Sequence[Point], objectives: int) -> bool:
    """Whether it is the best or the worst of them in some objective."""
    columns = [[p.values[i] for p in points] for i in range(objectives)]
    return any(point.values[i] in (min(c), max(c)) for i, c in enumerate(columns) if min(c) < max(c))


def _shares(weights: Sequence[float]) -> tuple[float, ...]:
    total = math.fsum(weights)
    return tuple(w / total for w in weights) if total else tuple(0.0 for _ in weights)
