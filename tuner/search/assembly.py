"""Puts a run's brain together: history, proposer, rules, strategy, study, desk."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tuner.deploy.backends import ServingBackend
from tuner.results.run_directory import RunDirectory
from tuner.search.answer_guard import AnswerGuard
from tuner.search.budget import Limits
from tuner.search.desk import Desk, model_place
from tuner.search.desk_ports import Watcher
from tuner.search.earlier.memories import Memories
from tuner.search.history import History, TrialRecord
from tuner.search.memory import recalled, unfinished
from tuner.search.neighbours import TRIALS_A_PLACE
from tuner.search.opening import Opening, expected_seconds
from tuner.search.plan import measuring_seconds, most_trials, sentinel_every
from tuner.search.proposer import OptunaProposer, plain_distributions
from tuner.search.refusal import Refused, nothing_refused
from tuner.search.samplers import startup_trials
from tuner.search.simplify import WinnerSimplifier
from tuner.search.spare import Spare
from tuner.search.stopping import StoppingRule, rules_for
from tuner.search.strategy import Settings, Strategy
from tuner.search.study import StudyMirror, quiet
from tuner.search.study_storage import Patience
from tuner.spec import Experiment
from tuner.spec.space import Space
from tuner.trial.objective import Goal, MergedObjective
from tuner.trial.ports import ParamValue

BEYOND = "beyond its parts"  # what a trial costs that neither deploying nor rounds explain


@dataclass(frozen=True, slots=True)
class Assembly:
    """What one session works with."""

    goals: tuple[Goal, ...]
    objective: MergedObjective
    history: History
    strategy: Strategy
    study: StudyMirror
    desk: Desk
    columns: tuple[str, ...]
    planned: tuple[int, int]
    simplifier: WinnerSimplifier
    spare: Spare
    _watchers: list[Watcher]

    @staticmethod
    def goals_of(experiment: Experiment) -> tuple[Goal, ...]:
        """The objectives as the rest of the system knows them."""
        return tuple(Goal(g.metric, g.is_maximized) for g in experiment.objective)

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        run: RunDirectory,
        *,
        backend: ServingBackend,
        parallel: int,
        elapsed: Callable[[], float],
        say: Callable[[str], None],
    ) -> Assembly:
        """Everything for `run`, with what its earlier sessions measured.

        Args:
            say: told in one line where something is waited for.

        Raises:
            UserError: `search.storage` names none that can be opened here.
            WorldError: the study's storage or the run directory cannot be read.
        """
        quiet()
        goals = cls.goals_of(experiment)
        slos = experiment.limits
        objective = MergedObjective(goals, slos)
        history = recalled(run.rounds(), run.trials(), goals=goals, objective=objective)
        storage = experiment.search.storage or f"sqlite:///{run.path / 'study.db'}"
        study = StudyMirror(
            storage,
            run.name,
            goals=goals,
            slos=tuple(slos),
            distributions=plain_distributions(experiment.space),
            patience=Patience(storage, say=say),
        )
        study.repair(history.records)
        again = unfinished(history, study, rounds=experiment.workload.rounds)
        guard = AnswerGuard.of(experiment, keep=run.write_answers, stored=run.answers(), lines=run.trials())
        spare = Spare(experiment.space)
        proposer = proposer_of(experiment, history, limits=slos, refused=guard.condemned, spare=spare)
        for record in history.records.values():
            (proposer.learn if record.ended else proposer.recall)(record)
        strategy = Strategy(
            settings_of(experiment, parallel),
            baseline=experiment.space.baseline,
            objective=objective,
            history=history,
            proposer=proposer,
            rules=rules_of(experiment, deploying_seconds=backend.assumed_deploy_seconds),
            simplifier=(simplifier := WinnerSimplifier.of(experiment, goals, objective)),
        )
        strategy.resume(again)
        guess = backend.assumed_deploy_seconds + measuring_seconds(experiment)
        watchers: list[Watcher] = []
        desk = Desk(
            strategy,
            run=run.name,
            space=experiment.space,
            store=run,
            study=study,
            watchers=watchers,
            guard=guard,
            warmed=[
                (line.node, model_place(experiment.space.places(dict(line.params))))
                for line in run.trials()
                if line.node
            ],
            opening=Opening(
                experiment.search.hours,
                expected_seconds=lambda rounds: expected_seconds(history, rounds, first_guess=guess),
                now=time.time,
            ),
            elapsed=elapsed,
        )
        v = experiment.validation
        deployments = (v.top + 1) * v.deployments if v.enabled else 0
        columns = tuple(dict.fromkeys([*(g.metric for g in goals), *slos]))
        return cls(
            goals,
            objective,
            history,
            strategy,
            study,
            desk,
            columns,
            (most_trials(experiment), deployments),
            simplifier,
            spare,
            watchers,
        )

    def watch(self, watcher: Watcher) -> None:
        """Have `watcher` see what happens from now on."""
        self._watchers.append(watcher)

    def spent(self) -> dict[str, float]:
        """Seconds of all deployments by part."""
        total: dict[str, float] = defaultdict(float)
        for deployment in self.history.deployments():
            known = 0.0
            for part, seconds in deployment.times.items():
                if part != "total":
                    total[part] += seconds
                    known += seconds
            total[BEYOND] += max(0.0, deployment.seconds - known)
        return {part: round(seconds, 2) for part, seconds in total.items()}


def rules_of(experiment: Experiment, *, deploying_seconds: float) -> list[StoppingRule]:
    """The experiment's stopping rules; of several objectives only hopeless trials are stopped."""
    asked = experiment.search.early_stop
    return rules_for(
        "hopeless" if len(experiment.objective) > 1 and asked != "none" else asked,
        measuring_seconds=measuring_seconds(experiment),
        deploying_seconds=deploying_seconds,
    )


def proposer_of(
    experiment: Experiment,
    history: History,
    space: Space | None = None,
    memories: Memories | None = None,
    *,
    limits: Mapping[str, float] | None = None,
    refused: Refused = nothing_refused,
    spare: Spare | None = None,
) -> OptunaProposer:
    """The experiment's proposer, knowing nothing of its own run yet.

    Args:
        space: a narrower one than the experiment's.
        memories: of the earlier runs, where they were read already.
        limits: hard limits by metric; None for the SLOs alone.
        refused: configurations that are not to be proposed, as far as that is known by then.
        spare: what suggestions should fit.

    Raises:
        UserError: its sampler needs a package that is not there, or `search.warm_start` names no run.
    """
    space = space or experiment.space
    return OptunaProposer(
        space,
        sampler=experiment.search.sampler,
        goals=Assembly.goals_of(experiment),
        slos=tuple(experiment.slo if limits is None else limits),
        refused=refused,
        seed=experiment.search.seed,
        startup=startup_trials(experiment.search.trials),
        history=history,
        memories=memories or Memories.of(experiment, space),
        spare=spare,
    )


def first_points(
    experiment: Experiment, count: int, memories: Memories | None = None
) -> list[dict[str, ParamValue]]:
    """The first configurations that a run will try after the baseline, as long as it has learned nothing.

    Raises:
        UserError: as `proposer_of`.
    """
    history = History(())
    proposer = proposer_of(experiment, history, memories=memories)
    history.add(TrialRecord(0, experiment.space.baseline))
    proposer.recall(history.records[0])
    while len(history.records) <= count:
        params = proposer.propose(history.next_number())
        if params is None:
            break
        history.add(TrialRecord(history.next_number(), params))
    return [r.params for r in history.records.values()][1:]


def settings_of(experiment: Experiment, parallel: int) -> Settings:
    """What the strategy is told of the experiment."""
    search, validation, budget = experiment.search, experiment.validation, experiment.search.budget
    return Settings(
        limits=Limits(
            trials=search.trials,
            hours=budget.hours,
            accelerator_hours=budget.accelerator_hours,
            failures_in_a_row=budget.failures_in_a_row,
            no_better_for=budget.no_better_for,
            minimum_gain=search.minimum_gain,
        ),
        rounds=experiment.workload.rounds,
        validation_rounds=validation.rounds or experiment.workload.rounds,
        top=validation.top if validation.enabled else 0,
        blocks=validation.deployments,
        parallel=parallel,
        seed=search.seed,
        loads=validation.loads if validation.enabled else (),
        sentinel=sentinel_every(experiment),
        by_neighbours=search.parallel == "auto"
        and search.sentinel != "none"
        and 1 < parallel <= most_trials(experiment) // TRIALS_A_PLACE,
    )
