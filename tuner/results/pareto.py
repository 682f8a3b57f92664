"""The Pareto front of a run, as the tables, the report and best.json show it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tuner.results.figures import figure
from tuner.results.lines import TrialLine
from tuner.results.overview import BASELINE, Overview
from tuner.verdict import Front, Point, Verdict

KNEE = (
    "The knee is the trial of the front that lies farthest from the chord through its ends, after "
    "logarithms, in units of each objective's range over the front or of its noise, whichever is wider "
    "(Das, Structural Optimization 18, 1999, pages 107-115). It has the largest geometric mean of the "
    "objectives with the inverse ranges as weights."
)
NEAR = (
    "A trial is called beaten only where the 95 % interval of one other lies wholly on the better side of "
    "its own in every objective; the rest may belong to the front, within the noise."
)
_PLACES = {
    "knee": "knee",
    "balanced": "on the front, best balanced",
    "front": "on the front",
    "near": "may be on it, within the noise",
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A trial on the front or near it, with its place in words."""

    line: TrialLine
    place: str

    @property
    def name(self) -> str:
        """'trial 3', or the baseline."""
        return "0, baseline" if self.line.trial == BASELINE else str(self.line.trial)

    @property
    def values(self) -> tuple[str, ...]:
        """Each objective with its interval."""
        pairs = zip(self.line.values, self.line.intervals, strict=False)
        return tuple(_told(value, *ends) for value, ends in pairs)


def placed(seen: Overview, front: Front, *, verdict: Verdict | None = None) -> list[Placed]:
    """The front, the best in the first objective first, then those that may belong to it."""
    about = None if verdict is None else verdict.winner if verdict.gain_of is None else verdict.gain_of
    found = []
    for point in (*front.points, *front.near):
        line = seen.line_of(point.trial)
        if line is None:
            continue
        place = _PLACES[front.place(point.trial)]
        found.append(Placed(line, place + (", the verdict's" if point.trial == about else "")))
    return found


def place_of(front: Front | None, line: TrialLine) -> str:
    """A word for a row of a table; "" for a trial that is beaten, infeasible or out."""
    found = "" if front is None else front.place(line.trial)
    return "within noise" if found == "near" else found


def gain_in(seen: Overview, verdict: Verdict) -> str:
    """What the verdict's gain is a gain in."""
    if any(one.weight for one in verdict.objectives):
        return "the balance of the objectives"
    goal = seen.goal
    return goal.metric if goal.maximize else f"{goal.metric} (baseline over trial: less is better)"


def front_json(seen: Overview, verdict: Verdict) -> dict[str, Any] | None:
    """What best.json holds of it: None for one objective.

    `about` is the trial that the verdict is about; values and intervals are those of the search, one an
    objective, in the order of `objectives`; an end that cannot be told is null, an open one "Infinity".
    """
    front = seen.front_without(verdict.out)
    if front is None:
        return None
    return {
        "objectives": [one.to_json() for one in verdict.objectives],
        "knee": front.knee,
        "bulges": front.bulges,
        "about": verdict.winner if verdict.gain_of is None else verdict.gain_of,
        "method": f"{KNEE} {NEAR}",
        "front": [_point_json(seen, point) for point in front.points],
        "within_noise": [_point_json(seen, point) for point in front.near],
    }


def _point_json(seen: Overview, point: Point) -> dict[str, Any]:
    line = seen.line_of(point.trial)
    return {
        "trial": point.trial,
        "params": line.params if line else {},
        "values": list(point.values),
        "intervals": [list(ends) for ends in point.intervals],
    }


def _told(value: float, low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return figure(value)
    return f"{figure(value)} ({figure(low)} to {figure(high)})"
