"""What the objectives would have been without the run's drift, judged by the baseline's sentinels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuner.trial.objective import Goal
from tuner.trial.ports import Score
from tuner.trial.rounds import RoundResult
from tuner.verdict import Drift, Level, drift_of


@dataclass(frozen=True, slots=True)
class Levels:
    """One drift for each objective; None where the baseline was not measured twice."""

    goals: tuple[Goal, ...]
    drifts: tuple[Drift | None, ...]

    @classmethod
    def of(
        cls, measured: Sequence[tuple[Sequence[RoundResult], Sequence[Score]]], goals: Sequence[Goal]
    ) -> Levels:
        """From the baseline's deployments: the rounds of each, and the score of each round alone."""
        drifts = []
        for index, goal in enumerate(goals):
            levels = [level_of(rounds, [s.values[index] for s in each], goal) for rounds, each in measured]
            drifts.append(drift_of([level for level in levels if level is not None]))
        return cls(tuple(goals), tuple(drifts))

    def levelled(self, score: Score, rounds: Sequence[RoundResult]) -> Score:
        """The score of these rounds with the drift taken out of its values."""
        if not rounds or not any(drift is not None and drift.moved for drift in self.drifts):
            return score
        at = middle(rounds)
        logs = [0.0 if drift is None else drift.log_at(at) for drift in self.drifts]
        signs = [1 if goal.maximize else -1 for goal in self.goals]
        values = [v * math.exp(-s * log) for v, s, log in zip(score.values, signs, logs, strict=True)]
        return replace(score, values=tuple(values))


def level_of(rounds: Sequence[RoundResult], values: Sequence[float], goal: Goal) -> Level | None:
    """One deployment's level by the values of its rounds; None where no round has a logarithm.

    A round of a search over rates tells the answer of all rounds so far: the last one stands for all.
    """
    if rounds and rounds[-1].rates is not None:
        values = values[-1:]
    logs = tuple(math.log(v) if goal.maximize else -math.log(v) for v in values if 0 < v < math.inf)
    return Level(middle(rounds), logs) if logs else None


def middle(rounds: Sequence[RoundResult]) -> float:
    """Unix time of the middle of some rounds, at least one."""
    return math.fsum(r.started + r.seconds / 2 for r in rounds) / len(rounds)
