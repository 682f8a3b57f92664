"""How long deployments took to serve, in parts, cold and warm apart: medians over a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tuner.results.lines import TrialLine
from tuner.trial.ports import State

# What a trial's life adds around the parts that its backend tells of coming up.
_NOT_COMING_UP = frozenset({"queue", "waited", "deploying", "opened", "warmup", "rounds", "release", "total"})
TO_READY = "to ready"
_STARTS = {True: "cold", False: "warm", None: ""}


@dataclass(frozen=True, slots=True)
class PartTime:
    """One part of coming up.

    Attributes:
        start: "cold" (first use of the model on its node), "warm", or "" where that is not known.
        part: as the backend names it (scheduled, started, ready, served), or `TO_READY` for their sum.
        seconds: the median; None where the run has no such deployment.
        deployments: how many it is the median of.
    """

    start: str
    part: str
    seconds: float | None
    deployments: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object without what names it."""
        return {"median_seconds": self.seconds, "deployments": self.deployments}


def part_times(a: Sequence[TrialLine], b: Sequence[TrialLine]) -> list[tuple[PartTime, PartTime]]:
    """The medians of both runs side by side; deployments that never served are left out."""
    found = []
    for cold, start in _STARTS.items():
        sides = [[_parts(line) for line in lines if line.cold is cold and _served(line)] for lines in (a, b)]
        names = dict.fromkeys(part for side in sides for times in side for part in times)
        for part in (*names, TO_READY) if names else ():
            first, second = (_median(side, start, part) for side in sides)
            found.append((first, second))
    return found


def _served(line: TrialLine) -> bool:
    return line.state in (State.COMPLETE, State.STOPPED) and bool(_parts(line))


def _parts(line: TrialLine) -> dict[str, float]:
    return {part: seconds for part, seconds in line.times.items() if part not in _NOT_COMING_UP}


def _median(side: Sequence[dict[str, float]], start: str, part: str) -> PartTime:
    if part == TO_READY:
        seconds = [sum(times.values()) for times in side]
    else:
        seconds = [times[part] for times in side if part in times]
    return PartTime(start, part, median(seconds) if seconds else None, len(seconds))
