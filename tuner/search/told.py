"""Says what the baseline tells as soon as it is known: limits, noise floor, what neighbours cost, drift."""

from __future__ import annotations

from collections.abc import Callable

from tuner.results.baseline_again import BaselineAgain
from tuner.results.limits import baseline_told
from tuner.results.overview import Overview
from tuner.results.run_directory import RunDirectory
from tuner.search.history import Deployment
from tuner.search.strategy import Assignment, Strategy
from tuner.trial.ports import Phase, State, TrialConfig


class BaselineTeller:
    """A watcher; `say` gets one line at a time."""

    def __init__(self, run: RunDirectory, strategy: Strategy, *, say: Callable[[str], None]) -> None:
        self._run = run
        self._strategy = strategy
        self._told = len(strategy.width.lost)
        self._say = say

    def began(self, trial: TrialConfig, assignment: Assignment) -> None:
        """See Watcher."""

    def measured(self, deployment: Deployment) -> None:
        """See Watcher."""

    def ended(self, deployment: Deployment) -> None:
        """See Watcher."""
        if deployment.trial != 0 or deployment.state is not State.COMPLETE:
            return
        if deployment.phase is Phase.SEARCH:
            seen = Overview.of(self._run)
            for line in (*baseline_told(seen), *BaselineAgain(seen).floor_told()):
                self._say(line)
        elif deployment.phase is Phase.SENTINEL:
            width = self._strategy.width
            if len(width.lost) > self._told:
                self._told = len(width.lost)
                self._say(width.told)
            again = BaselineAgain(Overview.of(self._run))
            for line in (*again.drift_told()[:1], *again.floor_told()[:1]):
                self._say(line)
