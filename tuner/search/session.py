"""One session of a run: from the experiment to the verdict, on Ray. Resumes what an earlier one left."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from tuner.deploy.backends import ServingBackend
from tuner.errors import TunerError, UserError, WorldError
from tuner.results.export import write_best
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunState, RunStatus
from tuner.results.runs import find_unfinished, new_run_name
from tuner.search.assembly import Assembly
from tuner.search.conclusion import concluded
from tuner.search.interrupt import Interrupt
from tuner.search.opening import Pauses
from tuner.search.progress import Progress
from tuner.search.ray_run import RayRun
from tuner.search.startup import FIRST_REQUEST, TRIAL_ACTOR, Stopwatch
from tuner.search.strategy import ENDED_EARLIER
from tuner.search.told import BaselineTeller
from tuner.spec import Experiment
from tuner.trial.serving import Serving
from tuner.verdict import Verdict

_NOTED_EVERY_SECONDS = 30.0  # so much of the hours budget a kill -9 can lose


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says beside the experiment.

    Attributes:
        runs: the directory of all runs.
        new: start afresh although an unfinished run of the same experiment is there.
        address: of an existing Ray cluster; None for one of this machine's own.
    """

    runs: Path
    new: bool = False
    address: str | None = None


def opened(experiment: Experiment, options: Options) -> tuple[RunDirectory, RunState]:
    """The run to work on, its lease held: the newest unfinished one of this experiment, or a new one.

    Raises:
        LeaseHeld: another driver works on it.
        UserError, WorldError: the directory cannot be written.
    """
    now = time.time()
    found = None if options.new else find_unfinished(options.runs, experiment.hash)
    if found is not None:
        found.acquire(now=now)
        state = found.state()
        state = replace(state, status=RunStatus.RUNNING, sessions=state.sessions + 1, ended=None)
        state = replace(state, paused_until=None)
        found.write_state(state)
        return found, state
    search, validation = experiment.search, experiment.validation
    state = RunState(
        experiment=experiment.name,
        experiment_hash=experiment.hash,
        started=now,
        goals=Assembly.goals_of(experiment),
        slos=experiment.limits,
        parameters=tuple(experiment.parameters),
        log_parameters=tuple(n for n, p in experiment.parameters.items() if getattr(p, "log", False)),
        planned_trials=search.trials,
        planned_blocks=validation.deployments if validation.enabled else 0,
        planned_arms=validation.top + 1 if validation.enabled else 0,
        planned_rounds=validation.rounds or experiment.workload.rounds,
    )
    name = new_run_name(experiment.name, now, options.runs)
    made = RunDirectory.create(options.runs, name, experiment_yaml=experiment.resolved_yaml(), state=state)
    made.acquire(now=now)
    return made, state


class Session:
    """Works on one run until it is finished, interrupted or broken.

    Raises:
        LeaseHeld, UserError, WorldError: as `opened`.
    """

    def __init__(
        self,
        experiment: Experiment,
        options: Options,
        *,
        backend: ServingBackend,
        console: Console,
        watch: Stopwatch,
    ) -> None:
        self.interrupted = False
        self._experiment = experiment
        self._options = options
        self._backend = backend
        self._console = console
        self._watch = watch
        self._started = time.monotonic()
        self.run, self._state = opened(experiment, options)
        self._before = self._state.elapsed_seconds
        self._pauses = Pauses(time.monotonic)

    def work(self) -> Verdict:
        """Search, validate, conclude and write everything down; the lease is given back in every case.

        Raises:
            UserError: the baseline does not deploy.
            WorldError: Ray is not to be had, nothing can be deployed, or nothing can be written.
        """
        try:
            assembly = self._measure()
            self._raise_for(assembly)
            return self._conclude(assembly)
        finally:
            self.run.release()

    def _measure(self) -> Assembly:
        """All deployments of the search and the validation; Ray and every engine are gone afterwards."""
        from tuner.search.ray import cluster  # noqa: PLC0415  Ray is not needed before

        with self._backend.running(self.run.name, say=self._say) as self._backend:
            try:
                return self._deploy_all()
            finally:
                cluster.stop()

    def _deploy_all(self) -> Assembly:
        ray_run = RayRun(
            self._experiment,
            self._backend,
            address=self._options.address,
            tag=self.run.name,
            watch=self._watch,
        )
        if ray_run.cores is not None:
            self._backend = self._backend.restricted_to(ray_run.cores)
        assembly = Assembly.of(
            self._experiment,
            self.run,
            backend=self._backend,
            parallel=ray_run.parallel,
            elapsed=self._elapsed,
            say=self._say,
        )
        self._watch.mark("study")
        self._greet(assembly)
        progress = Progress(
            self._console,
            strategy=assembly.strategy,
            columns=assembly.columns,
            planned=assembly.planned,
            parallel=ray_run.parallel,
        )
        assembly.watch(progress)
        assembly.watch(BaselineTeller(self.run, assembly.strategy, say=self._say))
        try:
            with Interrupt(assembly.strategy) as interrupt, progress:
                ray_run.run(
                    assembly.desk,
                    backend=self._backend,
                    interrupt=interrupt,
                    spare=assembly.spare,
                    look=lambda line, notes: self._looked(assembly, progress, line, notes),
                )
        finally:
            self.interrupted = interrupt.asked
            self._write_state(assembly, RunStatus.INTERRUPTED, machine=ray_run.machine)
        return assembly

    def _looked(self, assembly: Assembly, progress: Progress, line: str, notes: Mapping[str, str]) -> None:
        """On every turn of Tune's loop: what is waited for, and the time spent so far for a next session."""
        progress.waiting(line)
        progress.noted(notes)
        until = assembly.desk.paused_until
        self._pauses.look(paused=until is not None)
        if until != self._state.paused_until:
            self._state = replace(self._state, paused_until=until)
            self._write_state(assembly, RunStatus.RUNNING)
        if self._elapsed() - self._state.elapsed_seconds > _NOTED_EVERY_SECONDS:
            self._write_state(assembly, RunStatus.RUNNING)

    def _greet(self, assembly: Assembly) -> None:
        """Say what an earlier session left."""
        if self._state.sessions > 1:
            ended = sum(r.ended for r in assembly.history.records.values())
            self._say(f"goes on with {self.run.path}: {ended} ended trials are kept")

    def _raise_for(self, assembly: Assembly) -> None:
        broken, failure = assembly.desk.broken, assembly.strategy.baseline_failure
        if broken is not None:
            raise WorldError(f"the run was stopped: {broken.message}")
        if failure is not None:
            self._write_state(assembly, RunStatus.FINISHED)  # the same command starts afresh
            raise UserError(
                f"baseline: it does not deploy ({failure.kind}: {failure.message}); "
                f"its log is in {self.run.path / 'logs'}"
            )

    def _conclude(self, assembly: Assembly) -> Verdict:
        from tuner.results.report import write_report  # noqa: PLC0415  plotly.js is read only at the end

        verdict = concluded(
            assembly.history,
            candidates=assembly.strategy.candidates(),
            space=self._experiment.space,
            goals=assembly.goals,
            objective=assembly.objective,
            interrupted=self.interrupted,
            validated=self._experiment.validation.enabled,
            ending=assembly.simplifier,
            loads=self._experiment.validation.loads,
        )
        self._state = replace(self._state, importance=assembly.study.importance())
        self._write_state(assembly, RunStatus.INTERRUPTED)
        write_best(self.run, verdict, serving=self._serving(verdict, assembly))
        if not self.interrupted:  # finished once the verdict is on disk: until then the run goes on
            self._write_state(assembly, RunStatus.FINISHED)
        try:
            write_report(self.run)
        except TunerError:
            self._write_state(
                assembly, RunStatus.INTERRUPTED
            )  # the same command writes it, once there is room
            raise
        return verdict

    def _serving(self, verdict: Verdict, assembly: Assembly) -> Serving | None:
        if verdict.winner is None:
            return None
        try:
            return self._backend.serving(assembly.desk.by_hand(verdict.winner), name=self._experiment.name)
        except TunerError as error:  # on a cluster the driver's machine need not have engine and model
            self._say(f"best.yaml is left out: {error}")
            return None

    def _write_state(
        self, assembly: Assembly, status: RunStatus, *, machine: dict[str, str] | None = None
    ) -> None:
        first = assembly.desk.first_step
        if first is not None and FIRST_REQUEST not in self._watch.parts:
            self._watch.mark(TRIAL_ACTOR, at=first.begun)
            self._watch.mark(FIRST_REQUEST, at=first.first_request)
        self._state = replace(
            self._state,
            status=status,
            ended=None if status is RunStatus.RUNNING else time.time(),
            startup_seconds=dict(self._watch.parts),
            elapsed_seconds=round(self._elapsed(), 2),
            spent_seconds=assembly.spent(),
            search_ended=self._search_ended(assembly),
            machine={**(machine or self._state.machine), **assembly.strategy.width.facts},
        )
        try:
            self.run.write_state(self._state)
        except TunerError as error:
            self._say(str(error))

    def _search_ended(self, assembly: Assembly) -> str:
        """Why, also where that was in an earlier session."""
        ended = assembly.strategy.search_ended or ""
        return self._state.search_ended or ended if ended == ENDED_EARLIER else ended

    def _elapsed(self) -> float:
        """Seconds of the run without its pauses, earlier sessions included."""
        return self._before + time.monotonic() - self._started - self._pauses.seconds

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
