"""A run without Ray: the real strategy, desk and study, measurements from a function, a simulated clock."""

from __future__ import annotations

import heapq
import importlib.util
import itertools
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
import pytest

from tuner.errors import Failure, FailureClass
from tuner.results.lines import RoundLine, TrialLine
from tuner.search.answer_guard import AnswerGuard
from tuner.search.assembly import Assembly, proposer_of, settings_of
from tuner.search.desk import Desk
from tuner.search.history import Deployment, History, TrialRecord
from tuner.search.memory import recalled, unfinished
from tuner.search.proposer import plain_distributions
from tuner.search.simplify import WinnerSimplifier
from tuner.search.stopping import rules_for
from tuner.search.strategy import Strategy
from tuner.search.study import StudyMirror, quiet
from tuner.spec import Experiment, load_experiment
from tuner.trial.objective import Goal, MergedObjective
from tuner.trial.ports import Phase, Score, Slot, State
from tuner.trial.rounds import RoundResult, Trust
from tuner.trial.step import Step

quiet()


def _module(path: Path) -> ModuleType:
    name = f"search_tests_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules[name]


_fakes = _module(Path(__file__).parents[2] / "conformance" / "fakes_load.py")
_made_round, _made_answers = _fakes.made_round, _fakes.made_answers
HEAD = """\
name: demo
model: {synthetic: {}}
workload: {scenario: "D(48,64)", concurrency: 16, rounds: 3, round_seconds: 10, warmup_seconds: 0}
"""
SPACE = """\
parameters:
  slots: {values: [1, 2, 4, 8], flag: --parallel}
  batch: {values: [32, 64, 128], flag: -b}
  mode: {values: [fast, safe], flag: --mode}
baseline: {slots: 1, batch: 32, mode: safe}
slo: {ttft_p95_ms: 100}
objective: {maximize: output_tokens_per_second}
"""


@pytest.fixture
def made_round() -> Callable[..., RoundResult]:
    """A round of one point in which all requests are alike."""
    return _made_round


@pytest.fixture
def experiment(tmp_path: Path) -> Callable[..., Experiment]:
    """Read an experiment: the usual head, then `text`, then overrides such as search.trials=5."""

    def read(*overrides: str, text: str = SPACE, head: str = HEAD) -> Experiment:
        path = tmp_path / "experiment.yaml"
        path.write_text(head + text)
        return load_experiment(path, overrides)

    return read


@pytest.fixture
def score() -> Callable[..., Score]:
    """A score by plain figures; `over` is by what share the only limit is missed."""

    def made(
        value: float = 100.0,
        *,
        over: float = -0.5,
        certain: float | None = None,
        interval: tuple[float, float] = (float("nan"), float("nan")),
        measured: bool = True,
    ) -> Score:
        beyond = {"ttft_p95_ms": over}
        sure = {"ttft_p95_ms": over if certain is None else certain}
        return Score((value,), (interval,), beyond, sure, {"output_tokens_per_second": value}, measured)

    return made


@pytest.fixture
def past() -> Callable[..., History]:
    """A history of search trials 0, 1, ...: each the scores after its rounds, with a state."""

    def made(*trials: Sequence[Score], states: Mapping[int, State] | None = None) -> History:
        history = History((Goal("output_tokens_per_second", True),))
        for number, scores in enumerate(trials):
            state = (states or {}).get(number, State.COMPLETE)
            failure = Failure(FailureClass.CRASH, "ended") if state is State.FAILED else None
            done = Deployment(
                number, Phase.SEARCH, 1, scores=list(scores), state=state, failure=failure, seconds=30.0
            )
            history.add(TrialRecord(number, {"slots": number}, [done]))
        return history

    return made


@dataclass(frozen=True)
class Behaviour:
    """How a configuration behaves when it is deployed."""

    tokens: float = 100.0
    ttft: float = 50.0
    failure: Failure | None = None
    fails_in_round: int = 0  # 0: while it is deployed
    trust: Trust | None = None
    dies: bool = False  # its actor, without a word
    stops_run: bool = False
    interrupted: bool = False
    at: Mapping[float, Behaviour] = field(default_factory=dict)  # other loads
    shift: float = 0.0  # of its log-probabilities, nats
    score: float | None = None  # of accuracy.command


Surface = Callable[[Any], Behaviour]  # of a TrialConfig


class MemoryStore:
    """Lines that went through JSON, as on disk, and the order in which things were written."""

    def __init__(self) -> None:
        self.rounds: list[RoundLine] = []
        self.trials: list[TrialLine] = []
        self.logs: dict[str, str] = {}
        self.kept: dict[str, Any] | None = None

    def write_answers(self, stored: Mapping[str, Any]) -> None:
        self.kept = json.loads(json.dumps(stored))

    def answers(self) -> dict[str, Any] | None:
        return self.kept

    def append_round(self, line: RoundLine) -> None:
        self.rounds.append(RoundLine.from_json(json.loads(json.dumps(line.to_json()))))

    def append_trial(self, line: TrialLine) -> None:
        self.trials.append(TrialLine.from_json(json.loads(json.dumps(line.to_json()))))

    def write_log(self, deployment: str, tail: str) -> None:
        self.logs[deployment] = tail


@dataclass
class Run:
    """What outlives a driver: lines, study storage, clock. `start` makes a new driver from it."""

    experiment: Experiment
    surface: Surface
    parallel: int = 1
    store: MemoryStore = field(default_factory=MemoryStore)
    storage: Any = field(default_factory=optuna.storages.InMemoryStorage)
    seconds: float = 0.0
    handed_out: list[Any] = field(default_factory=list)
    strategy: Strategy = None  # type: ignore[assignment]
    desk: Desk = None  # type: ignore[assignment]
    study: StudyMirror = None  # type: ignore[assignment]
    simplifier: WinnerSimplifier = None  # type: ignore[assignment]
    watchers: list[Any] = field(default_factory=list)

    def start(self, proposer: Any = None, rules: Any = None) -> Run:
        """Forget every object and remember by the lines and the study, in the order of `Assembly.of`."""
        experiment = self.experiment
        goals, slos = Assembly.goals_of(experiment), experiment.limits
        objective = MergedObjective(goals, slos)
        self.simplifier = WinnerSimplifier.of(experiment, goals, objective)
        history = recalled(self.store.rounds, self.store.trials, goals=goals, objective=objective)
        self.study = StudyMirror(
            self.storage,
            "demo",
            goals=goals,
            slos=tuple(slos),
            distributions=plain_distributions(experiment.space),
        )
        self.study.repair(history.records)
        again = unfinished(history, self.study, rounds=experiment.workload.rounds)
        guard = AnswerGuard.of(
            experiment, keep=self.store.write_answers, stored=self.store.answers(), lines=self.store.trials
        )
        if proposer is None:
            proposer = proposer_of(experiment, history, limits=slos, refused=guard.condemned)
            for record in history.records.values():
                (proposer.learn if record.ended else proposer.recall)(record)
        if rules is None:
            rules = rules_for(experiment.search.early_stop, measuring_seconds=30, deploying_seconds=2)
        self.strategy = Strategy(
            settings_of(experiment, self.parallel),
            baseline=experiment.space.baseline,
            objective=objective,
            history=history,
            proposer=proposer,
            rules=rules,
            simplifier=self.simplifier,
        )
        self.strategy.resume(again)
        self.desk = Desk(
            self.strategy,
            run="demo",
            space=experiment.space,
            store=self.store,
            study=self.study,
            watchers=self.watchers,
            guard=guard,
            elapsed=lambda: self.seconds,
            now=lambda: 1_700_000_000.0 + self.seconds,
        )
        return self

    def go(self, *, events: int = 5_000) -> bool:
        """Run with `parallel` slots until finished; False when `events` ran out first, as if killed."""
        order = itertools.count()
        queue: list[tuple[float, int, int, Any, Any]] = []
        free = list(range(self.parallel))
        for _ in range(events):
            if self.desk.finished:
                return True
            while (
                free and not self.desk.finished and (begun := self.desk.begin(Slot(free[0], self.parallel)))
            ):
                assignment, trial = begun
                self.handed_out.append((assignment, trial))
                steps = self._steps(trial, assignment.rounds, assignment.loads)
                heapq.heappush(queue, (self.seconds + 2, next(order), free.pop(0), assignment.key, steps))
            if not queue:
                assert self.desk.finished, "nothing runs, nothing is handed out, and it is not finished"
                return True
            self.seconds, _, slot, key, steps = heapq.heappop(queue)
            step = next(steps)
            if step is None or step.ended is not None or self.desk.step(key, step):
                self.desk.end(key, step)
            else:
                heapq.heappush(queue, (self.seconds + 10, next(order), slot, key, steps))
                continue
            free.append(slot)
        return False

    def _steps(self, trial: Any, rounds: int, loads: Sequence[float]) -> Any:
        b = self.surface(trial)
        if b.dies:
            yield None
        if b.interrupted:
            fault = Failure(FailureClass.NODE_FAULT, "the node went away")
            yield Step(None, State.INTERRUPTED, fault, stops_run=b.stops_run)
        noise = random.Random(trial.name)
        for number in range(1, rounds + 1):
            if b.failure is not None and number > b.fails_in_round - 1:
                yield Step(None, State.FAILED, b.failure)
            complete = State.COMPLETE if number == rounds + len(loads) else None
            asked = trial.asked.passes if number == 1 else 0
            score = b.score if trial.asked.scored else None
            answers = _made_answers(shift=b.shift, passes=asked, score=score) if asked else None
            times = {"rounds": 10.0 * number}
            yield Step(self._round(b, number, noise), complete, times=times, answers=answers)
        for number, load in enumerate(loads, start=rounds + 1):
            there = b.at.get(load, b)
            if there.failure is not None:
                yield Step(None, State.COMPLETE, there.failure)
            measured = replace(self._round(there, number, noise), load=load)
            yield Step(measured, State.COMPLETE if number == rounds + len(loads) else None)

    def _round(self, b: Behaviour, number: int, noise: random.Random) -> RoundResult:
        shaken = b.tokens * (1 + noise.uniform(-0.01, 0.01))
        measured = _made_round(number, tokens_per_second=shaken, ttft_ms=b.ttft, trust=b.trust)
        return replace(measured, started=1_700_000_000.0 + self.seconds)

    @property
    def searched(self) -> list[TrialLine]:
        """The lines of the search."""
        return [line for line in self.store.trials if line.phase is Phase.SEARCH]

    @property
    def validated(self) -> list[TrialLine]:
        """The lines of the validation."""
        return [line for line in self.store.trials if line.phase is Phase.VALIDATION]


CRASH = Failure(FailureClass.CRASH, "the engine ended", "its last words", 1)


def usual(trial: Any) -> Behaviour:
    """Best at slots 4, batch 128, fast; slots 8 misses the limit; batch 128 with slots 8 crashes."""
    p = {"slots": 1, "batch": 32, "mode": "safe", **trial.params}
    if p["slots"] == 8 and p["batch"] == 128:
        return Behaviour(failure=CRASH)
    tokens = 100 * {1: 1, 2: 1.5, 4: 2, 8: 2.2}[p["slots"]] * (1 + p["batch"] / 640)
    ttft = {1: 30, 2: 40, 4: 60, 8: 300}[p["slots"]]
    return Behaviour(tokens * (1.1 if p["mode"] == "fast" else 1), ttft)


@pytest.fixture
def behaviour() -> type[Behaviour]:
    """Makes a `Behaviour`."""
    return Behaviour


@pytest.fixture
def usual_surface() -> Surface:
    """See `usual`."""
    return usual


@pytest.fixture
def run_of(experiment: Callable[..., Experiment]) -> Callable[..., Run]:
    """A run of the usual space that was not started yet."""

    def made(
        *overrides: str, surface: Surface = usual, parallel: int = 1, text: str = SPACE, **more: Any
    ) -> Run:
        return Run(experiment(*overrides, text=text), surface, parallel, **more)

    return made
