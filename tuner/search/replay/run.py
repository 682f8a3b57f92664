"""One search on a surface: the run's own strategy, desk and rules, with a simulated backend and clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from tuner.errors import UserError
from tuner.results.lines import RoundLine, TrialLine
from tuner.search.assembly import Assembly, proposer_of, rules_of, settings_of
from tuner.search.desk import Desk
from tuner.search.history import History, TrialRecord
from tuner.search.replay.measured import RecordedObjective
from tuner.search.replay.outcome import Outcome, Tracker
from tuner.search.replay.simulated import SimulatedClock, Simulation
from tuner.search.replay.surface import Surface
from tuner.search.replay.truth import Truth
from tuner.search.strategy import Strategy
from tuner.search.study import quiet
from tuner.spec import Experiment
from tuner.spec.search import Search
from tuner.trial.ports import ParamValue


def replay(
    experiment: Experiment,
    surface: Surface,
    seed: int,
    *,
    sampler: str | None = None,
    early_stop: str | None = None,
    parallel: int | None = None,
    trials: int | None = None,
    accelerators: int | None = None,
    free_suggestions: bool = False,
    until_found: bool = False,
    grace_trials: int | None = None,
    keep_lines: bool = False,
    truth: Truth | None = None,
    timed: Callable[[], float] = time.perf_counter,
) -> Outcome:
    """Search once, without the validation, and tell when a good configuration was found.

    Args:
        surface: read for this experiment.
        seed: of the strategy and of the noise.
        sampler, early_stop, parallel, trials: in place of the experiment's; `parallel: auto` is 1.
        accelerators: that the trials share; default as many as `parallel` of the widest row take.
        free_suggestions: do not charge the wall time of suggestions to the simulated clock; the same seed
            then gives the same outcome, its two figures of wall time apart.
        until_found: end once a good configuration was measured and recommended.
        grace_trials: with it, end that many trials after it was measured although it is not recommended.
        keep_lines: keep what trials.jsonl would hold.
        truth: of the surface, where it is known already.
        timed: wall-clock seconds.

    Raises:
        UserError: an argument is wrong, no row is feasible, or a row takes more accelerators than there are.
    """
    quiet()
    search = _searching(
        experiment, seed, sampler=sampler, early_stop=early_stop, parallel=parallel, trials=trials
    )
    given = experiment.model_copy(update={"search": search})
    places = 1 if search.parallel == "auto" else search.parallel
    shared = _shared(surface, places, accelerators)
    goals, slos = Assembly.goals_of(given), dict(given.slo)
    truth = truth or Truth(surface, goals, slos)
    history, clock, store = History(goals), SimulatedClock(), _Store(keep_lines)
    strategy = Strategy(
        replace(settings_of(given, places), top=0),
        baseline=given.space.baseline,
        objective=RecordedObjective(goals, slos),
        history=history,
        proposer=proposer_of(given, history, surface.space),
        rules=rules_of(given, deploying_seconds=surface.row(given.space.baseline).deploy_seconds),
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
        given.workload,
        clock,
        seed=seed,
        parallel=places,
        accelerators=shared,
        timed=timed,
        free_suggestions=free_suggestions,
        tracker=tracker,
    )
    simulation.run(until_found=until_found, grace_trials=grace_trials)
    return _outcome(seed, simulation, tracker, truth, strategy, store=store, places=places, shared=shared)


def _searching(experiment: Experiment, seed: int, **given: Any) -> Search:
    """The search section with what replaces parts of it."""
    asked = {key: value for key, value in given.items() if value is not None}
    try:
        return Search.model_validate({**experiment.search.model_dump(), **asked, "seed": seed})
    except ValidationError as error:
        first = error.errors()[0]
        where, got = ".".join(map(str, first["loc"])), first["input"]
        raise UserError(f"search.{where}: got {got!r}; {first['msg']}") from error


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


def _outcome(
    seed: int,
    simulation: Simulation,
    tracker: Tracker,
    truth: Truth,
    strategy: Strategy,
    *,
    store: _Store,
    places: int,
    shared: int,
) -> Outcome:
    history, spent = strategy.history, simulation.spent
    use, of = (simulation.accelerators, shared) if shared else (simulation.places, places)
    best = history.best()
    ends = Counter(str(d.state) if d.state else "running" for d in history.deployments())
    return Outcome(
        seed=seed,
        measured=tracker.measured,
        recommended=tracker.recommended,
        kept=tracker.kept,
        seconds=spent.seconds,
        trials=spent.trials,
        accelerator_seconds=spent.accelerator_seconds,
        busy_share=use.handing_out / (of * simulation.last_begun) if simulation.last_begun else 1.0,
        suggestion_seconds=sum(simulation.suggesting),
        longest_suggestion_seconds=max(simulation.suggesting, default=0.0),
        states=dict(sorted(ends.items())),
        ended=strategy.search_ended or strategy.stopped or "a good configuration was found",
        recommendation=dict(best.params) if best else None,
        ratio=truth.ratio(best.params) if best else 0.0,
        lines=tuple(store.lines),
    )


class _Store:
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
