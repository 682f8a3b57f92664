"""Suggests configurations with an Optuna sampler that works on a study of its own in memory.

The run's study (study.py) holds one trial per deployed configuration. A sampler also suggests what cannot
be used: configurations that break a constraint or were proposed before. Those are told to the study in
memory alone, so that the sampler learns from them and the run's numbering has no gaps.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Hashable, Mapping, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from tuner.search.auto.sampler import AutoSampler
from tuner.search.earlier.memories import Memories
from tuner.search.history import History, TrialRecord
from tuner.search.outlook import Outlook
from tuner.search.refusal import Refused, nothing_refused
from tuner.search.samplers import SAMPLERS, Brief, Reads
from tuner.search.spare import UNTOLD, Spare
from tuner.search.study import constraints, directions
from tuner.spec.distribution import Categorical, FloatRange, IntRange
from tuner.spec.space import Space
from tuner.trial.objective import Goal
from tuner.trial.ports import ParamValue, State

_TRIES = 30  # suggestions thrown away before a random configuration is taken
_UNFITTING = 15  # suggestions thrown away because they do not fit what is free
_IN_SPACE = "in_space"


class OptunaProposer:
    """See `strategy.Proposer`.

    Args:
        startup: trials before the sampler's model speaks.
        history: read only, for what is not to be proposed again and for what the sampler learns from.
        memories: of earlier runs: the best of each is proposed first, whatever the sampler.
        refused: configurations that are not to be proposed, as far as that is known by then.
        spare: what suggestions should fit.
    """

    def __init__(
        self,
        space: Space,
        *,
        sampler: str,
        goals: Sequence[Goal],
        slos: Sequence[str],
        seed: int,
        startup: int,
        history: History,
        memories: Memories | None = None,
        refused: Refused = nothing_refused,
        spare: Spare | None = None,
    ) -> None:
        self.outlook: Outlook | None = None
        self._space = space
        self._spare = spare or Spare(space)
        self._kind = SAMPLERS[sampler]
        self._goals = tuple(goals)
        self._slos = tuple(slos)
        self._history = history
        self._refused = refused
        self._rng = random.Random(seed)
        self._codes = {name: Code(p.distribution()) for name, p in space.parameters.items()}
        self._seen: set[Hashable] = set()
        self._recalled = -1  # the highest number of the history that is among them
        self._asked: dict[int, optuna.Trial] = {}
        self._brain = optuna.create_study(
            sampler=self._kind.make(
                Brief(
                    seed=seed,
                    startup=startup,
                    space=space,
                    history=history,
                    goals=self._goals,
                    slos=self._slos,
                    distributions={name: code.optuna for name, code in self._codes.items()},
                    encode=lambda name, value: self._codes[name].encode(value),
                    refused=refused,
                    memories=memories,
                    spare=self._spare,
                )
            ),
            directions=directions(self._goals),
        )
        self._first = [] if memories is None else memories.first
        self._grid = self._shuffled_grid() if sampler == "grid" else None

    def propose(self, number: int) -> dict[str, ParamValue] | None:
        """See `strategy.Proposer`."""
        self.outlook = None
        for record in self._history.records.values():  # the baseline may still run, unknown to `learn`
            if record.number > self._recalled:
                self.recall(record)
        self._recalled = max(self._history.records, default=-1)
        for params in self._first:
            if self._is_new(params):
                return self._ask_fixed(number, dict(params))
        if self._grid is not None:
            return self._next_of_grid(self._grid)
        own = isinstance(self._brain.sampler, AutoSampler)  # it looks to what is free itself
        free = None if own else self._spare.free()
        for turn in range(_TRIES):
            trial = self._brain.ask()
            params = self._suggest(trial)
            if not self._space.valid(params) or self._refused(params):
                self._refuse(trial)
            elif free is not None and self._waits(params, free, turn):
                self._brain.tell(trial, state=TrialState.FAIL)  # it may be suggested again
            elif self._is_new(params):
                self._asked[number] = trial
                if isinstance(self._brain.sampler, AutoSampler):
                    self.outlook = self._brain.sampler.outlook
                return params
            else:
                self._brain.tell(trial, state=TrialState.FAIL)  # told already under its own number
        return self._any_new(number)

    def learn(self, record: TrialRecord) -> None:
        """See `strategy.Proposer`."""
        self._seen.add(self._space.key(record.params))
        last = record.search
        if last is None or not self._space.complete(record.params):
            return
        trial = self._asked.pop(record.number, None) or self._ask_known(record.params)
        for key, value in {**constraints(last, self._slos), _IN_SPACE: 0.0}.items():
            trial.set_constraint(key, value)
        score = last.score
        if score is not None and any(map(math.isnan, score.values)):
            score = None  # of no use to a sampler: as if it had not been measured
        complete = last.state is State.COMPLETE
        if score is not None and (complete or self._kind.reads is Reads.COMPLETE or len(self._goals) > 1):
            self._brain.tell(trial, list(score.values))
        elif score is None and self._kind.reads is Reads.COMPLETE:
            self._brain.tell(trial, self._worst_values())
        else:
            for step, so_far in enumerate(last.scores, start=1):
                trial.report(so_far.values[0], step)
            self._brain.tell(trial, state=TrialState.PRUNED)

    def recall(self, record: TrialRecord) -> None:
        """A configuration of an earlier start of the run that is not to be proposed again."""
        self._seen.add(self._space.key(record.params))

    def _suggest(self, trial: optuna.Trial) -> dict[str, ParamValue]:
        """Define by run: a parameter is suggested once its `when` is known to hold."""
        params: dict[str, ParamValue] = {}
        for name in self._space.order:
            if self._space.is_active(name, params):
                code = self._codes[name]
                params[name] = code.suggest(trial, name)
        return params

    def _refuse(self, trial: optuna.Trial) -> None:
        """A constraint is broken, or answers are known to be worse: infeasible, and nothing was deployed."""
        for key in ("deploys", *self._slos):
            trial.set_constraint(key, 0.0)
        trial.set_constraint(_IN_SPACE, 1.0)
        if self._kind.reads is Reads.COMPLETE:
            self._brain.tell(trial, self._worst_values())
        else:
            self._brain.tell(trial, state=TrialState.PRUNED)

    def _worst_values(self) -> list[float]:
        """What a sampler that needs values is told of a trial without any: the worst seen so far."""
        scores = [d.score for r in self._history.records.values() for d in r.deployments]
        seen = [s.values for s in scores if s is not None and not any(map(math.isnan, s.values))]
        columns = list(zip(*seen, strict=True)) or [(0.0,)] * len(self._goals)
        return [
            min(column) if goal.maximize else max(column)
            for goal, column in zip(self._goals, columns, strict=True)
        ]

    def _is_new(self, params: Mapping[str, ParamValue]) -> bool:
        if not self._is_open(params):
            return False
        self._seen.add(self._space.key(params))
        return True

    def _is_open(self, params: Mapping[str, ParamValue]) -> bool:
        return self._space.key(params) not in self._seen and not self._refused(params)

    def _any_new(self, number: int) -> dict[str, ParamValue] | None:
        for _ in range(_TRIES * 10):
            params = self._space.sample(self._rng)
            if self._is_new(params):
                return self._ask_fixed(number, params)
        size = self._space.size()
        if size is None:
            return None
        left = next((p for p in self._space.grid() if self._is_new(p)), None)
        return self._ask_fixed(number, left) if left is not None else None

    def _ask_fixed(self, number: int, params: dict[str, ParamValue]) -> dict[str, ParamValue]:
        self._asked[number] = self._ask_known(params)
        return params

    def _ask_known(self, params: Mapping[str, ParamValue]) -> optuna.Trial:
        coded = {name: self._codes[name].encode(value) for name, value in params.items()}
        self._brain.enqueue_trial(coded)
        trial = self._brain.ask()
        for name in params:
            self._codes[name].suggest(trial, name)
        return trial

    def _shuffled_grid(self) -> list[dict[str, ParamValue]]:
        points = list(itertools.islice(self._space.grid(), 1_000_000))
        self._rng.shuffle(points)
        return points[::-1]

    def _next_of_grid(self, left: list[dict[str, ParamValue]]) -> dict[str, ParamValue] | None:
        """The next in order that fits what is free; where none does, the next. `left` has it last."""
        while left and not self._is_open(left[-1]):
            left.pop()
        if not left:
            return None
        free, turn = self._spare.free(), -1
        if free is not None and self._waits(left[-1], free, 0):
            takes = self._space.accelerators
            fitting = (-i for i, p in enumerate(reversed(left), 1) if takes(p) <= free and self._is_open(p))
            turn = next(fitting, -1)
        found = left.pop(turn)
        self._seen.add(self._space.key(found))
        return found

    def _waits(self, params: Mapping[str, ParamValue], free: int, turn: int) -> bool:
        """Whether a suggestion that does not fit is passed over; its turn comes, and tries end."""
        if turn >= _UNFITTING or self._space.accelerators(params) <= free:
            return False
        return turn > 0 or self._spare.passes_over(UNTOLD)


class Code:
    """A parameter's values in Optuna's terms: numbers of a list by their place in it, which has an order."""

    def __init__(self, neutral: Categorical | IntRange | FloatRange) -> None:
        self._values: tuple[ParamValue, ...] = ()
        self.optuna: BaseDistribution
        if isinstance(neutral, IntRange):
            self.optuna = IntDistribution(neutral.low, neutral.high, neutral.log, neutral.step)
        elif isinstance(neutral, FloatRange):
            self.optuna = FloatDistribution(neutral.low, neutral.high, neutral.log, neutral.step)
        elif len(neutral.values) > 1 and all(_is_number(v) for v in neutral.values):
            self._values = tuple(sorted(neutral.values))
            self.optuna = IntDistribution(0, len(self._values) - 1)
        else:
            self.optuna = CategoricalDistribution(neutral.values)

    def suggest(self, trial: optuna.Trial, name: str) -> ParamValue:
        """What the study suggests for the parameter, as the experiment writes it."""
        kind = self.optuna
        coded: ParamValue
        if isinstance(kind, IntDistribution):
            coded = trial.suggest_int(name, kind.low, kind.high, step=kind.step, log=kind.log)
        elif isinstance(kind, FloatDistribution):
            coded = trial.suggest_float(name, kind.low, kind.high, step=kind.step, log=kind.log)
        else:
            assert isinstance(kind, CategoricalDistribution)
            coded = trial.suggest_categorical(name, kind.choices)  # type: ignore[assignment]
        return self._values[int(coded)] if self._values else coded

    def encode(self, value: ParamValue) -> ParamValue:
        """A value in Optuna's terms."""
        return self._values.index(value) if self._values else value


def _is_number(value: ParamValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain_distributions(space: Space) -> dict[str, BaseDistribution]:
    """The parameters as the run's study shows them: lists as they are written."""
    found: dict[str, BaseDistribution] = {}
    for name, parameter in space.parameters.items():
        neutral = parameter.distribution()
        coded = Code(neutral).optuna
        found[name] = CategoricalDistribution(neutral.values) if isinstance(neutral, Categorical) else coded
    return found
