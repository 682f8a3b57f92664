"""What the search has seen: one record per configuration, and how two of them compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from tuner.errors import Failure
from tuner.search.levels import Levels
from tuner.search.outlook import Outlook
from tuner.trial.objective import Goal
from tuner.trial.ports import ParamValue, Phase, Score, State
from tuner.trial.rounds import RoundResult
from tuner.verdict import Front, Point, front_of

Key = tuple[int, Phase, int]  # trial, phase, attempt


@dataclass(slots=True)
class Deployment:
    """One deployment of a configuration, as far as it has come."""

    trial: int
    phase: Phase
    attempt: int
    block: int | None = None
    rounds: list[RoundResult] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)  # the mean so far, after each round
    each: list[Score] = field(default_factory=list)  # each round alone; of the baseline's deployments only
    other_loads: list[RoundResult] = field(default_factory=list)  # after the rounds, no part of the score
    state: State | None = None  # None while it runs
    failure: Failure | None = None
    reason: str = ""
    node: str = ""  # where it runs, once that is known
    cold: bool | None = None  # whether it is the first use of the model there; None while that is not known
    times: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    accelerator_seconds: float = 0.0

    @property
    def key(self) -> Key:
        """What names it."""
        return self.trial, self.phase, self.attempt

    @property
    def score(self) -> Score | None:
        """The score after its last round; None before the first."""
        return self.scores[-1] if self.scores else None

    @property
    def left_out(self) -> str:
        """Why rounds of it neither prune nor win, one line; "" where all of them count and it is measured."""
        bad = [r for r in self.rounds if not r.usable]
        words = dict.fromkeys(word for r in bad for word in r.unusable)
        said = [f"{len(bad)} of {len(self.rounds)} rounds left out: {', '.join(words)}"] if bad else []
        if self.score is not None and self.score.reason and len(bad) < len(self.rounds):
            said.append(self.score.reason)
        return "; ".join(said)


@dataclass(slots=True)
class TrialRecord:
    """One configuration and its deployments."""

    number: int
    params: dict[str, ParamValue]
    deployments: list[Deployment] = field(default_factory=list)
    outlook: Outlook | None = None  # what was expected of it when it was proposed

    def in_phase(self, phase: Phase) -> list[Deployment]:
        """Its deployments of that phase, in order."""
        return [d for d in self.deployments if d.phase == phase]

    @property
    def search(self) -> Deployment | None:
        """The deployment that stands for it in the search: the last attempt."""
        found = self.in_phase(Phase.SEARCH)
        return found[-1] if found else None

    @property
    def ended(self) -> bool:
        """Whether its search deployment ended with something to learn from."""
        last = self.search
        return last is not None and last.state in (State.COMPLETE, State.STOPPED, State.FAILED)


class History:
    """All records of a run, by number."""

    def __init__(self, goals: Sequence[Goal]) -> None:
        self._goals = tuple(goals)
        self.records: dict[int, TrialRecord] = {}
        self._front: tuple[tuple[int, ...], Front] | None = (
            None  # the last one, with the trials that it is of
        )
        self._known_levels: tuple[int, Levels] | None = None  # with the deployments that they are of
        self.lost: dict[int, int] = {}  # numbers whose parameters nobody remembers -> attempts begun

    def add(self, record: TrialRecord) -> None:
        """Take a new configuration in."""
        self.records[record.number] = record

    def next_number(self) -> int:
        """The number of the next new configuration; Optuna counts the same way."""
        return max([*self.records, *self.lost], default=-1) + 1

    def deployments(self, phase: Phase | None = None) -> Iterable[Deployment]:
        """Every deployment, of one phase or of all."""
        for record in list(self.records.values()):  # the live table reads from a thread of its own
            yield from (d for d in record.deployments if phase is None or d.phase == phase)

    def node_of(self, phase: Phase, block: int) -> str:
        """Where a block began; "" where that is not known yet."""
        nodes = (d.node for d in self.deployments(phase) if d.block == block)
        return next(filter(None, nodes), "")

    def peers(self, running: Deployment) -> list[Score]:
        """What the other search trials had scored when they were as far as `running` is now.

        Failed and interrupted ones are no competitors, nor are scores that may not be trusted.
        """
        done = len(running.scores)
        return [
            d.scores[done - 1]
            for d in self.deployments(Phase.SEARCH)
            if d.trial != running.trial
            and d.state not in (State.FAILED, State.INTERRUPTED)
            and len(d.scores) >= done
            and d.scores[done - 1].measured
        ]

    def levelled(self, deployment: Deployment) -> Score | None:
        """Its score as it would be, had the run stayed where it was when the baseline was first measured.

        Only what is optimised is levelled, not what an SLO limits.
        """
        score = deployment.score
        return score if score is None else self._levels().levelled(score, deployment.rounds)

    @property
    def moved(self) -> bool:
        """Whether the baseline's deployments of the search differ by more than their rounds explain."""
        return any(drift is not None and drift.moved for drift in self._levels().drifts)

    def lost_to_neighbours(self, sentinel: Deployment) -> float:
        """By what share the leading objective is worse than trial 0's, measured alone; 0 within noise."""
        first = self.records[0].search
        if first is None:
            return 0.0
        measured = [(first.rounds, first.each), (sentinel.rounds, sentinel.each)]
        drift = Levels.of(measured, self._goals[:1]).drifts[0]
        return 0.0 if drift is None or not drift.moved else -math.expm1(drift.logs[-1])

    def _levels(self) -> Levels:
        """From the baseline's deployments of the search that were measured to their end."""
        record = self.records.get(0)
        found = [
            d
            for d in (record.deployments if record is not None else ())
            if d.phase in (Phase.SEARCH, Phase.SENTINEL) and d.state is State.COMPLETE
        ]
        if self._known_levels is None or self._known_levels[0] != len(found):
            measured = [(d.rounds, d.each) for d in found]
            self._known_levels = len(found), Levels.of(measured, self._goals)
        return self._known_levels[1]

    def merit(self, score: Score) -> float:
        """The one figure by which feasible configurations compare; higher is better.

        The sum over the objectives of the logarithm of the value, negated where less is better: with one
        objective its order is the objective's, with several that of their geometric mean.
        """
        total = 0.0
        for goal, value in zip(self._goals, score.values, strict=True):
            if math.isnan(value) or value <= 0:
                return -math.inf
            total += math.log(value) if goal.maximize else -math.log(value)
        return total

    def rank(self, score: Score) -> tuple[int, float]:
        """A key to sort by, best first: feasible by merit, then infeasible by how far beyond the limits."""
        if score.feasible:
            return 0, -self.merit(score)
        return 1, sum(max(0.0, v) for v in score.violations.values())

    def preference(self) -> Callable[[Score], tuple[int, float]]:
        """The key by which configurations are put forward for validation, best first, as of now.

        It is `rank`; with several objectives the feasible are sorted by the balance of the front, whose best
        is its knee. `rank` weighs a share of one objective like the same share of another, so that one which
        differs a hundredfold (a latency) would leave the others no say.
        """
        if len(self._goals) == 1:
            return self.rank
        balance = self.front().balance
        if not any(balance.weights):
            return self.rank
        return lambda score: (0, -balance.log(score.values)) if score.feasible else self.rank(score)

    def front(self, *, without: Collection[int] = ()) -> Front:
        """The Pareto front of the feasible configurations measured to their end, the baseline among them."""
        able = [
            (record.number, last.score)
            for record in list(self.records.values())
            if record.number not in without
            and (last := record.search) is not None
            and last.state is State.COMPLETE
            and last.score is not None
            and last.score.feasible
        ]
        numbers = tuple(number for number, _ in able)  # what has ended does not change
        if self._front is None or self._front[0] != numbers:
            points = [Point(number, score.values, score.intervals) for number, score in able]
            self._front = numbers, front_of(points, maximize=[g.maximize for g in self._goals])
        return self._front[1]

    def winners(self) -> list[TrialRecord]:
        """The feasible configurations measured to their end, the baseline left out, best first."""
        found = []
        for record in list(self.records.values()):
            last = record.search
            if record.number == 0 or last is None or last.state is not State.COMPLETE:
                continue
            if last.score is not None and last.score.feasible:
                found.append((self.rank(last.score), record.number, record))
        return [record for *_, record in sorted(found, key=lambda entry: entry[:2])]

    def best(self) -> TrialRecord | None:
        """The best feasible configuration so far, the baseline among them; of several objectives the knee."""
        if len(self._goals) > 1:
            knee = self.front().knee
            return None if knee is None else self.records[knee]
        found = self.winners()[:1]
        baseline = self.records.get(0)
        if baseline is not None and baseline.ended:
            last = baseline.search
            if last is not None and last.score is not None and last.score.feasible:
                found.append(baseline)
        return min(found, key=lambda r: self.rank(r.search.score), default=None)  # type: ignore[union-attr,arg-type]

    def newest_best(self) -> int | None:
        """The last trial that made the search better: the best one; of several objectives the newest of the
        front. None where nothing is feasible.
        """
        if len(self._goals) > 1:
            return max(self.front().trials, default=None)
        best = self.best()
        return None if best is None else best.number
