"""By which one figure a verdict compares: the objective, or the balance of several along their front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuner.search.history import History
from tuner.trial.objective import Goal
from tuner.trial.ports import Score
from tuner.verdict import Balance, Validated, Verdict
from tuner.verdict import objectives as several


@dataclass(frozen=True, slots=True)
class Worth:
    """The one figure by which the verdict compares: the objective, or the balance of several.

    Attributes:
        balance: of several objectives, as the search's front weighs them; None for one objective, and where
            none of several has a logarithm: then the first one leads.
    """

    goals: tuple[Goal, ...]
    balance: Balance | None = None

    @classmethod
    def of(cls, goals: Sequence[Goal], history: History) -> Worth:
        """As all of the search weighs them."""
        balance = history.front().balance if len(goals) > 1 else None
        return cls(tuple(goals), balance if balance is not None and any(balance.weights) else None)

    @property
    def maximize(self) -> bool:
        """Whether a larger figure is better."""
        return self.balance is not None or self.goals[0].maximize

    @property
    def name(self) -> str:
        """What a gain is a gain in."""
        if self.balance is None:
            first = self.goals[0]
            return first.metric if first.maximize else f"{first.metric} (baseline over trial: less is better)"
        return several.balance_name(self.pairs, self.balance.weights)

    @property
    def pairs(self) -> list[tuple[str, bool]]:
        """(metric, whether more is better) of each objective."""
        return [(g.metric, g.maximize) for g in self.goals]

    def value(self, score: Score | None) -> float | None:
        """The figure; None where nothing was measured that may be trusted."""
        if score is None or not score.measured:
            return None
        return score.values[0] if self.balance is None else math.exp(self.balance.log(score.values))


def with_front(verdict: Verdict, history: History, measured: Sequence[Validated], worth: Worth) -> Verdict:
    """The verdict of several objectives with their front, and the gain in each."""
    about = verdict.winner if verdict.gain_of is None else verdict.gain_of
    weights = worth.balance.weights if worth.balance else (0.0,) * len(worth.goals)
    gains = several.objective_gains(
        measured,
        goals=worth.pairs,
        weights=weights,
        trial=about,
        baseline=verdict.baseline,
        blocks=verdict.blocks,
    )
    wins = verdict.recommends and verdict.winner not in (None, verdict.baseline)
    said = [
        *(several.trade_told(gains, about) if wins and about is not None else []),
        *several.each_objective(gains),
        *several.front_told(history.front(without=verdict.out), about),
        *([several.balance_explained(gains)] if worth.balance else []),
    ]
    return replace(verdict, details=(*said, *verdict.details), objectives=gains)
