"""Median: a trial ends where it is worse than the median of the others at the same round.

Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2; on the mean
so far.
"""

from __future__ import annotations

from dataclasses import dataclass

from tuner.search.history import Deployment, History
from tuner.search.stopping import StoppingRule

DESCRIPTION = "worse than half of the others, from round 2 on"


@dataclass(frozen=True, slots=True)
class Median:
    """Speaks from the second round on, once `least` other trials have come as far."""

    least: int = 5

    def stop(self, running: Deployment, history: History) -> str | None:
        """See `StoppingRule.stop`."""
        done = len(running.scores)
        if done < 2:
            return None
        others = sorted(map(history.rank, history.peers(running)))
        if len(others) < self.least or history.rank(running.scores[-1]) <= others[len(others) // 2]:
            return None
        return f"median: worse than half of {len(others)} trials after round {done}"


def make_rule() -> StoppingRule:
    """The rule as Vizier has it."""
    return Median()
