"""What the tables and the report both ask of a run, read once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tuner.results.bottleneck import bound_by
from tuner.results.lines import RoundLine, TrialLine
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunState, RunStatus
from tuner.trial.objective import Goal, MergedObjective
from tuner.trial.ports import Phase, State
from tuner.verdict import Front, Point, Verdict, front_of

Key = tuple[int, Phase, int]
BASELINE = 0
PAIRED = (Phase.VALIDATION, Phase.SIMPLIFY)  # deployments in blocks


@dataclass(frozen=True)
class Overview:
    """A run as it was at one moment.

    Attributes:
        trials: every ended deployment, oldest first.
        rounds: every round, oldest first.
        best: best.json; None before the verdict.
        alive: whether a driver holds the run.
    """

    run: RunDirectory
    state: RunState
    trials: Sequence[TrialLine]
    rounds: Sequence[RoundLine]
    best: dict[str, Any] | None
    alive: bool

    @classmethod
    def of(cls, run: RunDirectory) -> Overview:
        """Read all of it."""
        return cls(run, run.state(), run.trials(), run.rounds(), run.best(), run.holder() is not None)

    @cached_property
    def verdict(self) -> Verdict | None:
        """The verdict; None before it."""
        return Verdict.from_json(self.best["verdict"]) if self.best else None

    @property
    def goal(self) -> Goal:
        """The leading objective."""
        return self.state.goals[0] if self.state.goals else Goal("objective", True)

    @property
    def several(self) -> bool:
        """Whether there is more than one objective."""
        return len(self.state.goals) > 1

    @cached_property
    def front(self) -> Front | None:
        """The Pareto front so far, without what the validation threw out; None for one objective."""
        return self.front_without(self.verdict.out if self.verdict else ())

    def front_without(self, out: Collection[int]) -> Front | None:
        """The Pareto front of the search's feasible trials but these; None for one objective."""
        if not self.several:
            return None
        able = [line for line in self.search if wins(line) and line.trial not in out]
        points = [Point(line.trial, line.values, line.intervals) for line in able]
        return front_of(points, maximize=[goal.maximize for goal in self.state.goals])

    @property
    def progress(self) -> str:
        """One word: finished, interrupted, running, or killed (no driver holds it, and none ended it)."""
        if self.state.status is RunStatus.RUNNING and not self.alive:
            return "killed"
        return str(self.state.status)

    @cached_property
    def search(self) -> list[TrialLine]:
        """The last search deployment of each trial, by trial."""
        last = {line.trial: line for line in self.trials if line.phase is Phase.SEARCH}
        return [last[trial] for trial in sorted(last)]

    @cached_property
    def validation(self) -> list[TrialLine]:
        """The last deployment of each trial in each block of validation and simplification, by block."""
        last = {(line.block, line.trial): line for line in self.trials if line.phase in PAIRED}
        return [last[key] for key in sorted(last, key=lambda k: (-1 if k[0] is None else k[0], k[1]))]

    def rounds_of(self, key: Key) -> list[RoundLine]:
        """The rounds of one deployment at the workload's own load, in order."""
        return self._rounds_by_key.get(key, [])

    @cached_property
    def _rounds_by_key(self) -> dict[Key, list[RoundLine]]:
        found: dict[Key, list[RoundLine]] = {}
        for line in self.rounds:
            if line.round.load == 1:
                found.setdefault(line.key, []).append(line)
        return found

    @cached_property
    def under_way(self) -> dict[Key, list[RoundLine]]:
        """The rounds of deployments that have not ended; of a dead run, those cut off."""
        ended = {line.key for line in self.trials}
        return {key: rounds for key, rounds in self._rounds_by_key.items() if key not in ended}

    def line_of(self, trial: int | None) -> TrialLine | None:
        """What the search has of a trial; of one that it did not try, what the simplification has."""
        found = (*self.search, *(line for line in self.validation if line.phase is Phase.SIMPLIFY))
        return next((line for line in found if line.trial == trial), None)

    def bound_by(self, line: TrialLine | None) -> str:
        """What bounded a deployment, one line; "" where that is not known."""
        return "" if line is None else bound_by([one.round for one in self.rounds_of(line.key)])

    def measured(self, trial: int | None) -> dict[str, float]:
        """A trial's metrics: of its validation's merged rounds where it has any, else of its search."""
        ended = {line.key for line in self.validation if line.trial == trial and line.values}
        rounds = [one.round for key in sorted(ended) for one in self.rounds_of(key)]
        if rounds and self.state.goals:
            return MergedObjective(self.state.goals, self.state.slos).score(rounds).metrics
        line = self.line_of(trial)
        return line.metrics if line else {}

    @cached_property
    def best_so_far(self) -> list[tuple[TrialLine, float]]:
        """(trial, best value up to it) for each trial of the search, in the order in which they ended."""
        ordered = sorted(self.search, key=lambda line: (line.ended, line.trial))
        best, found = math.nan, []
        for line in ordered:
            if wins(line) and (math.isnan(best) or self._better(line.values[0], best)):
                best = line.values[0]
            found.append((line, best))
        return found

    @property
    def leader(self) -> TrialLine | None:
        """The best feasible trial that was measured to its end; of several objectives the front's knee."""
        if self.front is not None and self.front.knee is not None:
            return self.line_of(self.front.knee)
        able = [line for line in self.search if wins(line)]
        sign = 1 if self.goal.maximize else -1
        return max(able, key=lambda line: sign * line.values[0], default=None)

    def _better(self, one: float, other: float) -> bool:
        return one > other if self.goal.maximize else one < other

    @cached_property
    def outcomes(self) -> Counter[str]:
        """How many trials of the search ended how."""
        return Counter(outcome(line) for line in self.search)

    @cached_property
    def trust(self) -> Counter[str]:
        """How many rounds carry each mark; "rounds" is all of them."""
        found: Counter[str] = Counter(rounds=len(self.rounds))
        for line in self.rounds:
            points = [point.trust for point in line.round.points]
            for mark in ("client_bound", "invalid", "contaminated", "dirty", "over_saturated"):
                found[mark] += any(getattr(trust, mark) for trust in points)
            found["unsteady"] += any(not trust.steady for trust in points)
            found["few_waves"] += any(trust.few_waves for trust in points)
        return found

    @cached_property
    def round_trip_ms(self) -> float | None:
        """Of the network between load and engine, the longest of all rounds; None where none was measured."""
        points = [point for line in self.rounds for point in line.round.points]
        return max((t for p in points if (t := p.trust.round_trip_ms) is not None), default=None)

    @cached_property
    def seconds_by_part(self) -> dict[str, float]:
        """Seconds of all deployments by part, the largest first."""
        found: Counter[str] = Counter()
        for line in self.trials:
            found.update(
                {part: seconds for part, seconds in line.times.items() if seconds > 0 and part != "total"}
            )
        return dict(found.most_common())

    @property
    def accelerator_hours(self) -> float:
        """Of all deployments."""
        return math.fsum(line.accelerator_seconds for line in self.trials) / 3600

    @property
    def cost(self) -> float | None:
        """Of all deployments, at the experiment's prices; None where it names none."""
        costs = [line.cost for line in self.trials if line.cost is not None]
        return math.fsum(costs) if costs else None


def wins(line: TrialLine) -> bool:
    """Whether a trial may be the best: feasible, measured to its end, with a value."""
    return (
        line.feasible and line.state is State.COMPLETE and bool(line.values) and math.isfinite(line.values[0])
    )


def outcome(line: TrialLine) -> str:
    """One word for a person: feasible, infeasible, stopped, failed or interrupted."""
    if line.state is State.COMPLETE:
        return "feasible" if line.feasible else "infeasible"
    return str(line.state)


def why(line: TrialLine) -> str:
    """Why it is not feasible or did not end, one line; "" where there is nothing to explain."""
    if line.failure is not None:
        return f"{line.failure.kind}: {line.failure.message}"
    if line.reason and line.state is not State.COMPLETE:
        return line.reason
    missed = [f"{name} {share * 100:+.0f} %" for name, share in line.violations.items() if not share <= 0]
    beyond = [f"beyond its limit: {', '.join(missed)}"] if missed else []
    return "; ".join([*([line.reason] if line.reason else []), *beyond])
