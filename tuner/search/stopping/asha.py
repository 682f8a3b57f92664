"""ASHA: at each rung only the best share of those that reached it goes on.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, in the stopping variant:
a trial at a rung goes on when it is among the best 1/eta of all that have reached the rung so far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tuner.search.history import Deployment, History
from tuner.search.stopping import StoppingRule
from tuner.trial.ports import Score

DESCRIPTION = "after rounds 1, 3, 9, ... only the best third go on"


@dataclass(frozen=True, slots=True)
class Asha:
    """Rungs after rounds 1, eta, eta^2, ...

    A trial whose 95 % interval reaches the cut is let go on: within the noise nothing is decided.
    """

    eta: int = 3

    def stop(self, running: Deployment, history: History) -> str | None:
        """See `StoppingRule.stop`."""
        done = len(running.scores)
        if not self._is_rung(done):
            return None
        own = running.scores[-1]
        others = history.peers(running)
        keep = max(1, math.ceil((len(others) + 1) / self.eta))
        if len(others) < self.eta:
            return None  # too few to speak of a share
        ahead = sorted(others, key=history.rank)
        cut = ahead[keep - 1]
        if history.rank(own) <= history.rank(cut) or self._within_noise(own, cut):
            return None
        place = 1 + sum(history.rank(o) < history.rank(own) for o in others)
        return f"asha: place {place} of {len(others) + 1} after round {done}, the first {keep} go on"

    def _is_rung(self, done: int) -> bool:
        rung = 1
        while rung < done:
            rung *= self.eta
        return rung == done

    @staticmethod
    def _within_noise(own: Score, cut: Score) -> bool:
        if not (own.feasible and cut.feasible):
            return False
        low, high = own.intervals[0]
        return low <= cut.values[0] <= high  # False where the interval is not known


def make_rule() -> StoppingRule:
    """The rule with the field's usual reduction factor."""
    return Asha()
