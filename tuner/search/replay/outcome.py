"""The figures of replayed runs: when a good configuration was measured and recommended, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from tuner.results.lines import TrialLine
from tuner.search.history import Deployment, History
from tuner.search.replay.truth import Truth
from tuner.trial.ports import ParamValue, State


@dataclass(frozen=True, slots=True)
class Found:
    """What had been spent when something was found.

    Attributes:
        seconds: of the simulated clock, from the run's start.
        trials: started by then, the baseline among them.
        accelerator_seconds: used by then, by the trials still running too.
    """

    seconds: float
    trials: int
    accelerator_seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One replayed search.

    Attributes:
        measured: a good configuration was first measured to its last round (one that was stopped early
            cannot be recommended and does not count); None where none ever was.
        recommended: the run's recommendation (History.best) was first a good configuration.
        kept: since when it was one for good, to the end; None where the last one is none.
        seconds, trials, accelerator_seconds: of the whole search.
        busy_share: of the accelerators while work was still being handed out (of the places for trials where
            nothing takes accelerators).
        busy_share_after_baseline: the same from when the second deployment began; until then the baseline
            runs alone.
        suggestion_seconds, longest_suggestion_seconds: wall time of suggesting and learning, whether it was
            charged to the simulated clock or not.
        states: how the trials ended.
        ended: why the search ended.
        recommendation: its parameters at the end; None where nothing feasible was measured.
        ratio: how near that truly comes to the optimum; 0 where it is truly infeasible, or there is none.
        lines: the trials as trials.jsonl would have them, where they were asked for.
    """

    seed: int
    measured: Found | None
    recommended: Found | None
    kept: Found | None
    seconds: float
    trials: int
    accelerator_seconds: float
    busy_share: float
    busy_share_after_baseline: float
    suggestion_seconds: float
    longest_suggestion_seconds: float
    states: Mapping[str, int]
    ended: str
    recommendation: dict[str, ParamValue] | None
    ratio: float
    lines: tuple[TrialLine, ...] = field(default=(), repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; without the lines."""
        told = {name: getattr(self, name) for name in self.__slots__ if name != "lines"}
        for name in ("measured", "recommended", "kept"):
            found = told[name]
            told[name] = asdict(found) if found is not None else None
        return {**told, "states": dict(self.states)}


class Tracker:
    """Watches a search for the moments that an Outcome tells."""

    def __init__(self, truth: Truth, history: History) -> None:
        self.measured: Found | None = None
        self.recommended: Found | None = None
        self.kept: Found | None = None
        self._truth = truth
        self._history = history

    @property
    def found(self) -> bool:
        """Whether a good configuration was measured and recommended."""
        return self.measured is not None and self.recommended is not None

    def ended(self, deployment: Deployment, spent: Found) -> None:
        """A search trial ended when `spent` had been spent."""
        if deployment.state is not State.COMPLETE:
            return
        params = self._history.records[deployment.trial].params
        if self.measured is None and self._truth.is_good(params):
            self.measured = spent
        best = self._history.best()
        if best is None or not self._truth.is_good(best.params):
            self.kept = None
        else:
            self.recommended = self.recommended or spent
            self.kept = self.kept or spent


_QUANTITIES = ("seconds", "trials", "accelerator_seconds")


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Medians and 90th percentiles over seeds; what was never found counts as infinite.

    Returns:
        moment (measured, recommended, kept) -> {"found": share of seeds, "seconds": {"median", "p90"}, ...},
        and the means of both busy shares and of ratio, and the longest suggestion.
    """
    told: dict[str, Any] = {}
    for moment in ("measured", "recommended", "kept"):
        found: list[Found | None] = [getattr(o, moment) for o in outcomes]
        told[moment] = {"found": sum(f is not None for f in found) / len(found)}
        for quantity in _QUANTITIES:
            values = sorted(getattr(f, quantity) if f is not None else math.inf for f in found)
            told[moment][quantity] = {"median": _median(values), "p90": percentile(values, 0.9)}
    for share in ("busy_share", "busy_share_after_baseline"):
        told[share] = sum(getattr(o, share) for o in outcomes) / len(outcomes)
    told["ratio"] = sum(o.ratio for o in outcomes) / len(outcomes)
    told["longest_suggestion_seconds"] = max(o.longest_suggestion_seconds for o in outcomes)
    return told


def _median(ordered: Sequence[float]) -> float:
    middle = ordered[len(ordered) // 2]
    return middle if math.isinf(middle) else median(ordered)


def percentile(ordered: Sequence[float], q: float) -> float:
    """Of sorted values, nearest rank."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]
