"""Optuna as a peer: `optuna_program.py tpe` or `gp`, with the library's own defaults and its constraints.

What is suggested again is told what was measured then, and what was not recorded that it violates every
constraint; neither costs anything but the suggestion's time. So are failed trials: to TPE as pruned, to the
GP sampler, which reads complete trials only, with the worst value so far.
"""

from __future__ import annotations

import random
import sys
import warnings

import optuna
from optuna.trial import Trial, TrialState
from protocol import Searcher, Task, Told, Untried, serve

_TRIES = 50  # suggestions that cannot be measured, then one is drawn at random
_BEYOND = 10.0


class OptunaSearch:
    """One study in memory."""

    def __init__(self, task: Task, kind: str) -> None:
        self._task = task
        self._gp = kind == "gp"
        self._untried = Untried(task)
        self._rng = random.Random(task.seed)
        self._pending: dict[int, Trial] = {}
        self._places = {tuple(row): i for i, row in enumerate(task.rows) if None not in row}
        if self._gp:
            sampler: optuna.samplers.BaseSampler = optuna.samplers.GPSampler(seed=task.seed)
        else:
            sampler = optuna.samplers.TPESampler(seed=task.seed)
        direction = "maximize" if task.maximize else "minimize"
        self._study = optuna.create_study(sampler=sampler, direction=direction)

    def tell(self, told: Told) -> None:
        """See Searcher."""
        self._untried.told[told.row] = told
        self._tell(self._pending.pop(told.row, None) or self._fixed(told.row), told)

    def ask(self) -> int:
        """See Searcher."""
        for _ in range(_TRIES):
            trial = self._study.ask()
            row = self._row(self._suggest(trial))
            if row is None:
                self._tell(trial, None)
            elif row in self._untried.told:
                self._tell(trial, self._untried.told[row])
            else:
                self._pending[row] = trial
                return row
        row = self._untried.any(self._rng)
        self._pending[row] = self._fixed(row)
        return row

    def _suggest(self, trial: Trial) -> list[int]:
        return [
            trial.suggest_int(f"p{i}", 0, count - 1)
            if ordered
            else trial.suggest_categorical(f"p{i}", list(range(count)))
            for i, (count, ordered) in enumerate(zip(self._task.values, self._task.ordered, strict=True))
        ]

    def _row(self, places: list[int]) -> int | None:
        exact = self._places.get(tuple(places))
        if exact is not None or len(self._places) == len(self._task.rows):
            return exact
        return self._untried.find(places)

    def _fixed(self, row: int) -> Trial:
        self._study.enqueue_trial({f"p{i}": place or 0 for i, place in enumerate(self._task.rows[row])})
        trial = self._study.ask()
        self._suggest(trial)
        return trial

    def _tell(self, trial: Trial, told: Told | None) -> None:
        lost = told is None or told.failed
        violations = [_BEYOND] * self._task.limits if told is None or lost else told.violations
        for index, violation in enumerate([1.0 if lost else 0.0, *violations]):
            trial.set_constraint(f"c{index}", violation)
        if told is not None and not lost:
            self._study.tell(trial, told.value)
        elif self._gp:
            seen = [t.value for t in self._untried.told.values() if t.value is not None]
            worst = (min if self._task.maximize else max)(seen, default=0.0)
            self._study.tell(trial, worst)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)


def begin(task: Task) -> Searcher:
    """One search."""
    return OptunaSearch(task, sys.argv[1])


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    if sys.argv[1] == "gp":
        import torch

        torch.set_num_threads(1)
    serve(begin)
