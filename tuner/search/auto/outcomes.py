"""What each trial teaches: log objective, how far each SLO metric is from its limit, whether it deployed.

The mean so far of a trial that a rule stopped is a measurement like any other, of fewer rounds and so
noisier. An SLO metric is learned as the logarithm of metric over limit, turned so that above 0 is missed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.search.auto.encoding import Flags, Rows
from tuner.search.history import Deployment, History
from tuner.spec.metrics import METRICS
from tuner.trial.objective import NOT_MEASURED, Goal
from tuner.trial.ports import ParamValue, Score, State

SOFT = 0.05  # of the limit: what keeps the logarithm of an error rate of 0 finite
_MOST = math.log(6.0)  # a limit missed more than six times over is missed just as well
FAR_BELOW = 2.0  # log units below the best objective; further below is no worse


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One row a trial that was begun, in the order of their numbers.

    Attributes:
        params: the configurations.
        objectives: log of each objective, higher better; NaN where it was not measured, (n, goals).
        slos: log of metric over limit, above 0 missed; NaN where it was not measured, (n, slos).
        rounds: how many rounds the figures stand on, (n,).
        whole: measured to the end, (n,).
        failed: the configuration did not deploy or did not survive, (n,).
        running: it goes on; what its rounds so far say is known, (n,).
        feasible: measured within every limit, (n,).
        seconds: what it cost, NaN where that is not known, (n,).
    """

    numbers: list[int]
    params: list[dict[str, ParamValue]]
    objectives: Rows
    slos: Rows
    rounds: Rows
    whole: Flags
    failed: Flags
    running: Flags
    feasible: Flags
    seconds: Rows


def outcomes_of(
    history: History, goals: Sequence[Goal], slos: Sequence[str], *, stopped: bool = True
) -> Outcomes:
    """What the search trials of a history teach; without `stopped`, of those measured to the end alone."""
    seen = [(r, last) for _, r in sorted(history.records.items()) if (last := r.search) is not None]
    scores = [_taught(last, history, stopped=stopped) for _, last in seen]
    states = [last.state for _, last in seen]
    ended = (State.COMPLETE, State.STOPPED, State.FAILED)
    costs = [d.seconds if d.state in ended and d.seconds > 0 else math.nan for _, d in seen]
    return Outcomes(
        numbers=[r.number for r, _ in seen],
        params=[r.params for r, _ in seen],
        objectives=_lifted(_table([_objectives(s, goals) for s in scores], len(goals))),
        slos=_table([_limits(s, slos) for s in scores], len(slos)),
        rounds=np.array([max(1, len(last.scores)) for _, last in seen], dtype=float),
        whole=np.array([s is State.COMPLETE for s in states], dtype=bool),
        failed=np.array([s is State.FAILED for s in states], dtype=bool),
        running=np.array([s is None for s in states], dtype=bool),
        feasible=np.array([s is not None and s.feasible for s in scores], dtype=bool),
        seconds=np.array(costs, dtype=float),
    )


def _taught(last: Deployment, history: History, *, stopped: bool) -> Score | None:
    """The score that a deployment teaches, the run's drift taken out; one that runs, its rounds so far."""
    score = history.levelled(last)
    if score is None or not score.measured or last.state in (State.FAILED, State.INTERRUPTED):
        return None
    return score if stopped or last.state is State.COMPLETE else None


def _table(rows: list[list[float]], columns: int) -> Rows:
    return np.array(rows, dtype=float).reshape(len(rows), columns)


def _objectives(score: Score | None, goals: Sequence[Goal]) -> list[float]:
    """Logarithms; 0 of what is to be high lies below everything, else it has none: as if not measured."""
    if score is None or any(math.isnan(v) or v < 0 for v in score.values):
        return [math.nan] * len(goals)
    found = []
    for goal, value in zip(goals, score.values, strict=True):
        least = -math.inf if goal.maximize else math.nan
        found.append((math.log(value) if goal.maximize else -math.log(value)) if value else least)
    return found


def _lifted(objectives: Rows) -> Rows:
    """What lies far below the best is lifted: how bad it is says nothing about what is good."""
    known = np.isfinite(objectives)
    best = np.where(known, objectives, -np.inf).max(axis=0, initial=-np.inf)
    return np.maximum(objectives, np.where(np.isfinite(best), best, 0.0) - FAR_BELOW)


def _limits(score: Score | None, slos: Sequence[str]) -> list[float]:
    if score is None:
        return [math.nan] * len(slos)
    return [_beyond(m, score.violations.get(m, NOT_MEASURED)) for m in slos]


def missed_sign(metric: str) -> float:
    """1 where more of a metric is worse, -1 where less is."""
    return -1.0 if METRICS[metric.rpartition(".")[2]].better == "higher" else 1.0


def _beyond(metric: str, violation: float) -> float:
    """From the share of the limit by which it is missed, negative where it is kept."""
    if math.isnan(violation) or violation == NOT_MEASURED:
        return math.nan
    sign = missed_sign(metric)
    return min(_MOST, sign * math.log((max(0.0, 1 + sign * violation) + SOFT) / (1 + SOFT)))
