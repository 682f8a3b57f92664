"""The verdict of a simulated run, with what became of its winner's flags and of its other loads."""

from __future__ import annotations

from typing import Any

from tuner.search.conclusion import concluded
from tuner.verdict import Verdict


def verdict_of(run: Any) -> Verdict:
    """Of a run that has ended."""
    return concluded(
        run.strategy.history,
        candidates=run.strategy.candidates(),
        space=run.experiment.space,
        goals=run.simplifier.goals,
        objective=run.simplifier.objective,
        interrupted=False,
        validated=True,
        ending=run.simplifier,
        loads=run.experiment.validation.loads,
    )
