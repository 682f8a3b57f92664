"""Outclassed: what was measured so far cannot catch up with the best feasible trial.

The scatter between rounds is pooled over all trials of the run, so that a single round can be judged: the
difference of two means of k and R rounds has the standard deviation s sqrt(1/k + 1/R), and Student's t with
the pooled degrees of freedom says how much of it may be luck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tuner.search.history import Deployment, History
from tuner.search.stopping import StoppingRule
from tuner.trial.ports import Phase, State
from tuner.trial.student_t import t_975

DESCRIPTION = "worse than the best by more than the rounds' scatter explains"
_FEWEST = 2  # degrees of freedom before the scatter is believed


@dataclass(frozen=True, slots=True)
class Outclassed:
    """Ends a trial that lies `margin`, a share of the objective, and the noise below the best."""

    margin: float = 0.02

    def stop(self, running: Deployment, history: History) -> str | None:
        """See `StoppingRule.stop`."""
        best = history.best()
        if best is None or best.search is None or best.search.score is None:
            return None
        spread = _pooled(history)
        if spread is None:
            return None
        deviation, freedom = spread
        behind = history.merit(best.search.score) - history.merit(running.scores[-1])
        done, whole = len(running.scores), len(best.search.scores)
        luck = t_975(freedom) * deviation * math.sqrt(1 / done + 1 / whole)
        if not math.isfinite(behind) or behind <= self.margin + luck:
            return None
        worse = 1 - math.exp(-behind)
        return f"outclassed: {worse:.0%} worse than trial {best.number}, luck explains {luck:.0%}"


def _pooled(history: History) -> tuple[float, int] | None:
    """The relative standard deviation of one round within its deployment, and the degrees of freedom."""
    squares, freedom = 0.0, 0
    for deployment in history.deployments(Phase.SEARCH):
        if deployment.state in (State.FAILED, State.INTERRUPTED):
            continue
        rounds = list(_by_round(deployment, history))
        if len(rounds) > 1:
            middle = sum(rounds) / len(rounds)
            squares += sum((r - middle) ** 2 for r in rounds)
            freedom += len(rounds) - 1
    return (math.sqrt(squares / freedom), freedom) if freedom >= _FEWEST else None


def _by_round(deployment: Deployment, history: History) -> Iterator[float]:
    """Each round's own merit, from the means so far; those that may not be trusted left out."""
    before = 0.0
    for done, score in enumerate(deployment.scores, start=1):
        merit = history.merit(score)
        if not score.measured or not math.isfinite(merit):
            return
        yield done * merit - (done - 1) * before
        before = merit


def make_rule() -> StoppingRule:
    """The rule with its default margin."""
    return Outclassed()
