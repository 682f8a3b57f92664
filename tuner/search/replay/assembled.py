"""What a replay works with: the run's own strategy, desk and rules, with a simulated backend and clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tuner.errors import UserError
from tuner.results.lines import RoundLine, TrialLine
from tuner.search.assembly import Assembly, proposer_of, rules_of, settings_of
from tuner.search.desk import Desk
from tuner.search.earlier.memories import Memories
from tuner.search.history import History, TrialRecord
from tuner.search.replay.measured import RecordedObjective
from tuner.search.replay.noise import Noise
from tuner.search.replay.outcome import Tracker
from tuner.search.replay.simulated import SimulatedClock, Simulation
from tuner.search.replay.surface import Surface
from tuner.search.replay.truth import Truth
from tuner.search.simplify import WinnerSimplifier
from tuner.search.spare import Spare
from tuner.search.strategy import Strategy
from tuner.search.study import quiet
from tuner.spec import Experiment
from tuner.trial.objective import Goal
from tuner.trial.ports import ParamValue


@dataclass(frozen=True, slots=True)
class Assembled:
    """One replay, ready to run.

    Attributes:
        places: trials side by side.
        accelerators: that they share.
    """

    goals: tuple[Goal, ...]
    objective: RecordedObjective
    strategy: Strategy
    simplifier: WinnerSimplifier
    simulation: Simulation
    tracker: Tracker
    truth: Truth
    store: MemoryStore
    places: int
    accelerators: int


def assembled(
    experiment: Experiment,
    surface: Surface,
    *,
    validated: bool = False,
    noise: Noise | None = None,
    accelerators: int | None = None,
    free_suggestions: bool = False,
    keep_lines: bool = False,
    truth: Truth | None = None,
    memories: Memories | None = None,
    timed: Callable[[], float] = time.perf_counter,
) -> Assembled:
    """A replay of `experiment`, its seed that of strategy and noise.

    Args:
        validated: with the validation, as the experiment has it.
        noise: beside that of the rows.
        accelerators, free_suggestions, keep_lines, truth, memories, timed: as `replay` has them.

    Raises:
        UserError: no row is feasible, one takes more accelerators than there are, or `search.warm_start`
            names no run.
    """
    quiet()
    search = experiment.search
    places = 1 if search.parallel == "auto" else search.parallel
    shared = _shared(surface, places, accelerators)
    goals, slos = Assembly.goals_of(experiment), dict(experiment.slo)
    truth = truth or Truth(surface, goals, slos)
    objective = RecordedObjective(goals, slos)
    history, clock, store = History(goals), SimulatedClock(), MemoryStore(keep_lines)
    simplifier = WinnerSimplifier.of(experiment, goals, objective)
    settings = settings_of(experiment, places)
    spare = Spare(surface.space)
    strategy = Strategy(
        settings if validated else replace(settings, top=0, sentinel=None),
        baseline=experiment.space.baseline,
        objective=objective,
        history=history,
        proposer=proposer_of(experiment, history, surface.space, memories, spare=spare),
        rules=rules_of(experiment, deploying_seconds=surface.row(experiment.space.baseline).deploy_seconds),
        simplifier=simplifier if validated else None,
    )
    desk = Desk(
        strategy,
        run="replay",
        space=surface.space,
        store=store,
        study=_NoStudy(),
        elapsed=clock,
        now=clock,
    )
    tracker = Tracker(truth, history)
    simulation = Simulation(
        desk,
        surface,
        experiment.workload,
        clock,
        seed=search.seed,
        parallel=places,
        accelerators=shared,
        timed=timed,
        free_suggestions=free_suggestions,
        tracker=tracker,
        noise=noise,
        spare=spare,
    )
    return Assembled(
        goals, objective, strategy, simplifier, simulation, tracker, truth, store, places, shared
    )


def _shared(surface: Surface, places: int, given: int | None) -> int:
    """How many accelerators the trials share."""
    widest = max(surface.rows, key=lambda row: surface.space.accelerators(row.params))
    most = surface.space.accelerators(widest.params)
    if given is None:
        return most * places
    if given < most:
        raise UserError(
            f"{surface.name}:{widest.line}: takes {most} accelerators; would be right: at least so many "
            f"to share, got {given}"
        )
    return given


class MemoryStore:
    """A store that forgets, or keeps the trials in memory."""

    def __init__(self, keep: bool) -> None:
        self.lines: list[TrialLine] = []
        self._keep = keep

    def append_round(self, line: RoundLine) -> None:
        """See desk.Store."""

    def append_trial(self, line: TrialLine) -> None:
        """See desk.Store."""
        if self._keep:
            self.lines.append(line)

    def write_log(self, deployment: str, tail: str) -> None:
        """See desk.Store."""


class _NoStudy:
    """Nobody looks at the study of a replay."""

    def begin(self, number: int, params: Mapping[str, ParamValue], attempt: int) -> None:
        """See desk.Study."""

    def round(self, number: int, step: int, value: float) -> None:
        """See desk.Study."""

    def end(self, record: TrialRecord) -> None:
        """See desk.Study."""
