"""Hopeless: an SLO is missed so clearly that more rounds cannot change it."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.search.history import Deployment, History
from tuner.search.stopping import StoppingRule

DESCRIPTION = "an SLO's interval lies more than 10 % beyond its limit"


@dataclass(frozen=True, slots=True)
class Hopeless:
    """Ends a trial where the kinder end of an SLO metric's interval lies `margin` beyond the limit."""

    margin: float = 0.1

    def stop(self, running: Deployment, history: History) -> str | None:
        """See `StoppingRule.stop`."""
        score = running.scores[-1]
        beyond = {m: v for m, v in score.certain_violations.items() if v > self.margin}
        if not beyond:
            return None
        metric = max(beyond, key=lambda m: beyond[m])
        return f"hopeless: {metric} at least {beyond[metric]:.0%} beyond its limit"


def make_rule() -> StoppingRule:
    """The rule with its default margin."""
    return Hopeless()
