"""How hard a surface is, without any search: what is feasible, what is good, and what random needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.spec import Experiment
from tuner.spec.metrics import METRICS

GOOD = 0.03  # of the feasible optimum
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Counts over the rows of a surface.

    Attributes:
        good: feasible and within 3 % of the feasible optimum.
        random_median: trials of random without replacement until a good one is first drawn, the median.
    """

    rows: int
    failed: int
    feasible: int
    good: int
    best: float
    random_median: int


def difficulty_of(experiment: Experiment, rows: Sequence[Row]) -> Difficulty:
    """By the rows' true values, noise left out."""
    goal = experiment.objective[0]
    sign = 1.0 if goal.is_maximized else -1.0
    feasible = [r for r in rows if not r["failure"] and within_limits(experiment, r)]
    values = [sign * float(r[goal.metric]) for r in feasible]
    best = max(values)
    good = sum(v >= best - GOOD * abs(best) for v in values)
    failed = sum(bool(r["failure"]) for r in rows)
    return Difficulty(len(rows), failed, len(feasible), good, sign * best, median_first(len(rows), good))


def within_limits(experiment: Experiment, row: Row) -> bool:
    """Whether a row that was measured keeps every SLO."""

    def keeps(metric: str, limit: float) -> bool:
        value = float(row[metric])
        return value >= limit if METRICS[metric.rpartition(".")[2]].better == "higher" else value <= limit

    return all(keeps(metric, limit) for metric, limit in experiment.slo.items())


def median_first(rows: int, good: int) -> int:
    """Least m for which m of `rows`, without replacement, hold one of `good` with a chance of 1/2."""
    none = 1.0
    for drawn in range(rows):
        none *= (rows - good - drawn) / (rows - drawn)
        if none <= 0.5:
            return drawn + 1
    return rows
