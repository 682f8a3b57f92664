"""Whole runs without Ray, under a simulated clock: to a verdict, and on again after a kill at any point."""

from __future__ import annotations

from collections import Counter

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.errors import Failure, FailureClass
from tuner.search.assembly import Assembly
from tuner.search.conclusion import concluded
from tuner.search.validation import Plan, blocks_of
from tuner.trial.objective import MergedObjective
from tuner.trial.ports import Phase, Slot, State
from tuner.verdict import Outcome

BEST = {"slots": 4, "batch": 128, "mode": "fast"}


def verdict(run, *, interrupted=False):
    goals = Assembly.goals_of(run.experiment)
    return concluded(
        run.strategy.history,
        candidates=run.strategy.candidates(),
        space=run.experiment.space,
        goals=goals,
        objective=MergedObjective(goals, dict(run.experiment.slo)),
        interrupted=interrupted,
        validated=run.experiment.validation.enabled,
        ending=run.simplifier,
    )


def check_nothing_is_lost_or_doubled(run):
    """What holds of the lines of every finished run."""
    keys = [line.key for line in run.store.trials]
    assert len(set(keys)) == len(keys)
    rounds = Counter((*line.key, line.round.number) for line in run.store.rounds)
    assert set(rounds.values()) <= {1}
    ended = [line for line in run.searched if line.state is not State.INTERRUPTED]
    assert Counter(line.trial for line in ended) == Counter(range(run.experiment.search.trials))
    space = run.experiment.space
    by_number = {}
    for line in run.store.trials:
        assert by_number.setdefault(line.trial, space.key(line.params)) == space.key(line.params)
    assert len(set(by_number.values())) == len(by_number)
    for line in ended:
        if line.state is State.COMPLETE:
            assert all(rounds[(*line.key, n)] == 1 for n in range(1, run.experiment.workload.rounds + 1))
    states = [t.state.name for t in run.study._study.trials]
    assert len(states) == run.experiment.search.trials and set(states) <= {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_run_finds_the_best_and_proves_it(run_of, parallel):
    run = run_of("search.sampler=grid", "search.trials=24", parallel=parallel).start()
    assert run.go()
    check_nothing_is_lost_or_doubled(run)
    found = verdict(run)
    assert found.outcome in (Outcome.BETTER, Outcome.BETTER_TIED)
    assert run.strategy.history.records[found.winner].params == BEST
    assert found.gain.low > 0
    states = Counter(line.state for line in run.searched)
    assert states[State.FAILED] == 2 and states[State.STOPPED] > 4 and states[State.COMPLETE] > 4
    blocks = Counter((line.block, line.trial) for line in run.validated)
    assert len(blocks) == 9 and set(blocks.values()) == {1}


def test_parallel_slots_are_kept_busy(run_of):
    one = run_of("search.sampler=random", "search.trials=12", "validation.enabled=false").start()
    four = run_of("search.sampler=random", "search.trials=12", "validation.enabled=false", parallel=4).start()
    assert one.go() and four.go()
    assert four.seconds < one.seconds / 2


def test_a_trial_whose_actor_dies_again_and_again_does_not_hold_the_run_up(run_of, behaviour, usual_surface):
    def surface(trial):
        return behaviour(dies=True) if trial.trial == 2 else usual_surface(trial)

    run = run_of("search.sampler=grid", "search.trials=8", surface=surface).start()
    assert run.go()
    assert [line.attempt for line in run.searched if line.trial == 2] == [1, 2, 3]
    assert {line.trial for line in run.searched} == set(range(8))


def test_nothing_feasible_is_said_with_the_nearest(run_of, behaviour):
    def surface(trial):
        return behaviour(100.0, 100.0 * (2 + trial.params["slots"]))

    run = run_of("search.sampler=grid", "search.trials=8", surface=surface).start()
    assert run.go()
    found = verdict(run)
    assert (found.outcome, found.exit_code, run.validated) == (Outcome.NOTHING_FEASIBLE, 3, [])
    assert run.strategy.history.records[found.nearest.trial].params["slots"] == 1


def test_one_cause_of_failure_in_a_row_ends_the_search(run_of, behaviour, usual_surface):
    oom = Failure(FailureClass.ACCELERATOR_OOM, "out of memory")

    def surface(trial):
        return behaviour(failure=oom) if trial.trial else usual_surface(trial)

    run = run_of("search.sampler=grid", surface=surface).start()
    assert run.go()
    assert run.strategy.search_ended == "5 trials in a row failed: accelerator_oom"
    assert verdict(run).outcome is Outcome.NO_BETTER


def test_the_hours_leave_room_for_the_validation(run_of):
    run = run_of("search.sampler=grid", "search.budget.hours=0.1").start()
    assert run.go()
    assert "0.1 hours" in run.strategy.search_ended
    assert len(run.validated) == 9
    assert run.seconds <= 0.1 * 3600 + 32  # the trial that was running then


def test_a_run_killed_in_the_validation_does_not_search_on(run_of, usual_surface):
    class Killed(Exception):
        pass

    def surface(trial):
        if trial.phase is Phase.VALIDATION and trial.attempt == 2 and not kills:
            kills.append(trial)
            raise Killed
        return usual_surface(trial)

    kills = []
    run = run_of("search.sampler=grid", "search.budget.hours=0.1", surface=surface).start()
    with pytest.raises(Killed):
        run.go()
    kept = [line.key for line in run.searched]
    run.seconds = 0.0  # the run's clock was lost with the driver: there would be hours to search
    assert run.start().go()
    assert [line.key for line in run.searched] == kept
    assert len({(line.block, line.trial) for line in run.validated}) == len(run.validated) == 9


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    kills=st.lists(st.integers(1, 45), min_size=1, max_size=3),
    parallel=st.integers(1, 3),
    lose_study=st.booleans(),
    seed=st.integers(0, 3),
)
def test_a_run_that_is_killed_goes_on_and_nothing_is_lost_or_doubled(
    run_of, kills, parallel, lose_study, seed
):
    run = run_of("search.sampler=random", "search.trials=9", f"search.seed={seed}", parallel=parallel).start()
    for events in kills:
        if run.go(events=events):
            break
        if lose_study:
            run.storage = optuna.storages.InMemoryStorage()
        run.start()
    assert run.go()
    if not lose_study:
        check_nothing_is_lost_or_doubled(run)
    keys = [line.key for line in run.store.trials]
    assert len(set(keys)) == len(keys)
    rounds = Counter((*line.key, line.round.number) for line in run.store.rounds)
    assert set(rounds.values()) <= {1}
    ended = [line for line in run.searched if line.state is not State.INTERRUPTED]
    assert len(ended) == len({line.trial for line in ended}) == 9
    blocks = Counter((line.block, line.trial) for line in run.validated)
    candidates = {r.number for r in run.strategy.candidates()}
    arms = {0, *candidates} if candidates else set()
    planned = blocks_of(Plan(top=2, blocks=3, parallel=parallel, seed=seed), len(candidates))
    assert blocks == Counter((b, arm) for b in range(planned) for arm in arms)
    if candidates:
        assert verdict(run).outcome in set(Outcome) - {Outcome.UNVALIDATED}


def test_a_resumed_trial_keeps_its_number_and_parameters_as_the_next_attempt(run_of):
    run = run_of("search.sampler=random", "search.early_stop=none").start()
    assert not run.go(events=5)
    cut, _ = run.handed_out[-1]
    before = [line.to_json() for line in run.store.rounds]
    assert [line.round.number for line in run.store.rounds if line.key == cut.key] == [1, 2]
    run.start()
    again, _ = run.desk.begin(Slot())
    assert (again.trial, again.phase, again.attempt) == (cut.trial, Phase.SEARCH, 2)
    assert again.params == cut.params
    assert [line.to_json() for line in run.store.rounds] == before


def test_a_half_measured_trial_that_only_the_lost_study_knew_gives_its_number_to_nobody(run_of):
    run = run_of("search.sampler=random", "search.early_stop=none", "search.trials=4").start()
    assert not run.go(events=5)
    run.storage = optuna.storages.InMemoryStorage()
    assert run.start().go()
    assert [line.trial for line in run.searched] == [0, 2, 3, 4]
    assert [line.key[0] for line in run.store.rounds].count(1) == 2


def test_a_baseline_that_only_the_lost_study_knew_is_trial_0_again(run_of):
    run = run_of("search.sampler=random", "search.trials=3").start()
    assert not run.go(events=2)
    run.storage = optuna.storages.InMemoryStorage()
    assert run.start().go()
    assert run.searched[0].key == (0, Phase.SEARCH, 2)
    assert run.searched[0].params == run.experiment.space.baseline


def test_a_baseline_forgotten_among_ended_trials_is_trial_0_again(run_of):
    run = run_of("search.sampler=random", "search.trials=9", "search.seed=3", parallel=3).start()
    assert not run.go(events=3)
    assert run.searched and run.searched[0].trial != 0
    run.storage = optuna.storages.InMemoryStorage()
    assert run.start().go()
    assert {line.trial: line.params for line in run.searched}[0] == run.experiment.space.baseline
