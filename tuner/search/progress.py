"""The live table of a run; line by line where the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tuner.results.figures import duration
from tuner.search.history import Deployment
from tuner.search.plan import shown
from tuner.search.strategy import Assignment, Strategy
from tuner.trial.ports import Phase, State, TrialConfig

_ROWS = 14  # of the table: the newest
_LONG_SECONDS = 15.0  # a deployment that takes longer to come up is spoken of
_STYLES = {
    State.COMPLETE: "green",
    State.STOPPED: "yellow",
    State.FAILED: "red",
    State.INTERRUPTED: "magenta",
}


class Progress:
    """A watcher that shows; used as a context.

    Args:
        columns: metrics to show, the objective first.
        planned: trials of the search and deployments of the validation, for the ETA.
    """

    def __init__(
        self,
        console: Console,
        *,
        strategy: Strategy,
        columns: Sequence[str],
        planned: tuple[int, int],
        parallel: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._strategy = strategy
        self._columns = tuple(columns)
        self._planned = planned
        self._parallel = parallel
        self._clock = clock
        self._rows: dict[Any, tuple[TrialConfig, Assignment]] = {}
        self._waiting = ""
        self._said = False  # why the search ended
        self._notes: dict[str, str] = {}
        self._begun: dict[str, float] = {}
        self._live = (
            Live(console=console, refresh_per_second=4, get_renderable=self._render, transient=False)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def waiting(self, line: str) -> None:
        """What the run waits for; "" for nothing."""
        self._say_the_end()
        if line and line != self._waiting and self._live is None:
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)
        self._waiting = line

    def noted(self, notes: Mapping[str, str]) -> None:
        """What deployments are doing, by name. Line by line, only of those that take long to come up."""
        for name, line in notes.items():
            changed = self._notes.get(name) != line
            late = self._clock() - self._begun.get(name, self._clock()) > _LONG_SECONDS
            if self._live is None and late and changed and not line.startswith("round"):
                self._console.print(f"{name}: {line}", soft_wrap=True, highlight=False, markup=False)
            if late or self._live is not None:
                self._notes[name] = line

    def began(self, trial: TrialConfig, assignment: Assignment) -> None:
        """See Watcher."""
        self._say_the_end()
        self._begun[trial.name] = self._clock()
        self._rows[assignment.key] = (trial, assignment)

    def measured(self, deployment: Deployment) -> None:
        """See Watcher."""

    def ended(self, deployment: Deployment) -> None:
        """See Watcher."""
        if self._live is None:
            trial, assignment = self._rows[deployment.key]
            cells = ", ".join(
                f"{c} {v}" for c, v in zip(self._columns, self._figures(deployment), strict=True)
            )
            why = _why(deployment)
            done = f"round {len(deployment.rounds)}/{assignment.rounds}"
            self._console.print(
                f"{_name(assignment)} {shown(trial.params)} | {done} | {cells}"
                f" | {_state(deployment)}{': ' + why if why else ''} | {self._summary()}",
                soft_wrap=True,
                highlight=False,
                markup=False,
            )

    def _render(self) -> Group:
        table = Table(expand=False, pad_edge=False)
        table.add_column("trial", justify="right")
        table.add_column("parameters", overflow="fold", ratio=1)
        table.add_column("round", justify="right")
        for column in self._columns:
            table.add_column(column, justify="right")
        table.add_column("state", overflow="ellipsis", no_wrap=True, max_width=40)
        for key, (trial, assignment) in list(self._rows.items())[-_ROWS:]:
            deployment = self._strategy.deployment(key)
            style = _STYLES.get(deployment.state, "") if deployment.state else "bold"
            why = _why(deployment)
            doing = self._notes.get(trial.name, "") if deployment.state is None else ""
            table.add_row(
                _name(assignment),
                Text(shown(trial.params)),  # no markup: a value may hold brackets
                f"{len(deployment.rounds)}/{assignment.rounds}",
                *self._figures(deployment),
                Text(doing or _state(deployment) + (f": {why}" if why else ""), style=style),
            )
        lines = [Text(self._summary(), style="bold")]
        if self._waiting:
            lines.append(Text(self._waiting, style="yellow"))
        return Group(table, *lines)

    def _figures(self, deployment: Deployment) -> list[str]:
        score = deployment.score
        return [
            f"{score.metrics[c]:.4g}" if score is not None and c in score.metrics else "-"
            for c in self._columns
        ]

    def _summary(self) -> str:
        best = self._strategy.history.best()
        text = "best so far: none feasible"
        if best is not None and best.search is not None and best.search.score is not None:
            figures = dict(zip(self._columns, self._figures(best.search), strict=True))
            text = f"best so far: trial {best.number} ({self._columns[0]} {figures[self._columns[0]]})"
        return f"{text}; {self._strategy.phase}{self._gain_left()}; about {duration(self._eta())} left"

    def _gain_left(self) -> str:
        """What the newest suggestion expected of one more trial; "" where nobody says or it is over."""
        records = list(self._strategy.history.records.values())
        told = [r.outlook.gain_left for r in records if r.outlook is not None]
        if self._strategy.search_ended or not told or told[-1] is None:
            return ""
        return f" (one more trial is expected to gain {100 * told[-1]:.2g} %)"

    def _say_the_end(self) -> None:
        """Once, why the search ended."""
        if self._strategy.search_ended and not self._said:
            self._said = True
            self._console.print(
                f"the search ended: {self._strategy.search_ended}",
                soft_wrap=True,
                highlight=False,
                markup=False,
            )

    def _eta(self) -> float:
        """Seconds, by the mean of the deployments so far."""
        ended = [d for d in self._strategy.history.deployments() if d.state is not None and d.seconds]
        each = sum(d.seconds for d in ended) / len(ended) if ended else 0.0
        searching = sum(d.phase is Phase.SEARCH for d in ended)
        trials = 0 if self._strategy.search_ended else max(0, self._planned[0] - searching)
        validated = sum(d.phase is Phase.VALIDATION for d in ended)
        validating = max(0, self._planned[1] - validated)
        return each * (trials + validating) / self._parallel


def _name(assignment: Assignment) -> str:
    base = f"trial {assignment.trial}"
    if assignment.phase is Phase.SENTINEL:
        return f"baseline, sentinel {assignment.attempt}"
    if assignment.phase is not Phase.SEARCH:
        base += f" block {(assignment.block or 0) + 1}"
    return base + (" again" if assignment.phase is Phase.SEARCH and assignment.attempt > 1 else "")


def _state(deployment: Deployment) -> str:
    if deployment.state is None:
        return "running"
    score = deployment.score
    if deployment.state is State.COMPLETE and score is not None and not score.feasible:
        return "complete, infeasible"
    return str(deployment.state)


def _why(deployment: Deployment) -> str:
    if deployment.failure is not None:
        return f"{deployment.failure.kind}: {deployment.failure.message}"
    return "; ".join(line for line in dict.fromkeys((deployment.reason, deployment.left_out)) if line)
