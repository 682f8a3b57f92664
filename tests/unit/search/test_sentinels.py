"""The baseline measured again in the course of a search: when, how it resumes, what it corrects."""

from __future__ import annotations

import math

import pytest

from tuner.search.assembly import Assembly, settings_of
from tuner.search.auto.outcomes import outcomes_of
from tuner.trial.ports import Phase, State

FLAT = "parameters: {slots: {low: 1, high: 64, flag: -p}}\nbaseline: {slots: 1}\n"
GRID = ("search.sampler=grid", "search.early_stop=none", "validation.enabled=false")


def phases(run):
    return [(line.phase, line.trial) for line in run.store.trials]


def sentinels(run):
    return [line for line in run.store.trials if line.phase is Phase.SENTINEL]


def places(run):
    """After how many trials of the search each sentinel was handed out."""
    found, trials = [], 0
    for assignment, _ in run.handed_out:
        trials += assignment.phase is Phase.SEARCH
        if assignment.phase is Phase.SENTINEL:
            found.append(trials - 1)
    return found


@pytest.fixture
def drifting(run_of, behaviour):
    """A flat surface on a machine that loses speed with every deployment."""

    def made(*overrides, loss=0.004, gains=None, **more):
        speed = {"factor": 1.0}

        def surface(trial):
            speed["factor"] *= 1 - loss
            gain = (gains or {}).get(trial.trial, 0.0)
            return behaviour(tokens=6400 * speed["factor"] * (1 + gain))

        return run_of(*GRID, *overrides, text=FLAT, surface=surface, **more)

    return made


def test_the_baseline_comes_again_after_so_many_trials_and_at_the_end(drifting):
    run = drifting("search.trials=24", "search.sentinel=10").start()
    assert run.go()
    assert places(run) == [10, 20]
    assert all(line.trial == 0 and line.state is State.COMPLETE for line in sentinels(run))
    assert len(run.searched) == 24


def test_a_last_stretch_of_half_the_distance_is_closed_by_one_more(drifting):
    run = drifting("search.trials=27", "search.sentinel=10").start()
    assert run.go()
    assert places(run) == [10, 20, 26]


def test_the_sentinels_come_before_the_validation_and_never_after_it(run_of):
    run = run_of("search.sampler=grid", "search.trials=10", "search.sentinel=3").start()
    assert run.go()
    order = [phase for phase, _ in phases(run)]
    assert order.count(Phase.SENTINEL) == 3
    first = order.index(Phase.VALIDATION)
    assert Phase.SENTINEL not in order[first:] and Phase.SEARCH not in order[first:]


def test_by_default_there_is_one_in_twenty_trials_and_none_in_a_short_search(experiment):
    assert settings_of(experiment("search.trials=24"), 1).sentinel is None
    assert settings_of(experiment("search.trials=100"), 1).sentinel is None  # the space has 24
    assert settings_of(experiment("search.trials=60", text=FLAT), 1).sentinel == 20
    assert settings_of(experiment("search.trials=60", "search.sentinel=none", text=FLAT), 1).sentinel is None
    assert settings_of(experiment("search.trials=5", "search.sentinel=2"), 1).sentinel == 2


def test_trials_side_by_side_go_on_beside_it(drifting):
    run = drifting("search.trials=20", "search.parallel=3", "search.sentinel=5", parallel=3).start()
    assert run.go()
    assert len(sentinels(run)) == 4 and len(run.searched) == 20


def test_it_is_no_trial_of_the_study(drifting):
    run = drifting("search.trials=12", "search.sentinel=5").start()
    assert run.go()
    assert len(run.study._study.trials) == 12


@pytest.mark.parametrize("events", [9, 33, 35, 60])
def test_a_killed_run_goes_on_with_its_sentinels_where_they_belong(drifting, events):
    run = drifting("search.trials=24", "search.sentinel=7").start()
    assert not run.go(events=events)
    assert run.start().go()
    done = [line for line in sentinels(run) if line.state is State.COMPLETE]
    assert len(done) == 3
    keys = [line.key for line in run.store.trials]
    assert len(set(keys)) == len(keys)
    ended = [line for line in run.searched if line.state is not State.INTERRUPTED]
    assert sorted(line.trial for line in ended) == list(range(24))


def test_an_interrupted_one_is_made_again_and_given_up_in_the_end(run_of, behaviour):
    left = {"faults": 1}

    def surface(trial):
        lost = trial.phase is Phase.SENTINEL and left["faults"] > 0
        left["faults"] -= lost
        return behaviour(tokens=6400, interrupted=lost)

    run = run_of(*GRID, "search.trials=12", "search.sentinel=10", text=FLAT, surface=surface).start()
    assert run.go()
    assert [line.state for line in sentinels(run)] == [State.INTERRUPTED, State.COMPLETE]
    left["faults"] = 99
    run = run_of(*GRID, "search.trials=12", "search.sentinel=10", text=FLAT, surface=surface).start()
    assert run.go()
    assert len(sentinels(run)) == 3 and len(run.searched) == 12


def test_on_a_machine_that_slows_down_a_better_trial_is_still_put_forward(drifting):
    found = {}
    for sentinel in ("none", "4"):
        asked = ("search.trials=16", f"search.sentinel={sentinel}", "validation.enabled=true")
        run = drifting(*asked, gains={12: 0.05}, loss=0.02).start()
        assert run.go()
        found[sentinel] = [r.number for r in run.strategy.candidates()]
    assert found["none"] == []  # the machine had lost more than the gain by then
    assert found["4"][0] == 12


def test_the_default_sampler_learns_the_levelled_values(drifting):
    run = drifting("search.trials=16", "search.sentinel=4", loss=0.02).start()
    assert run.go()
    history = run.strategy.history
    taught = outcomes_of(history, Assembly.goals_of(run.experiment), ()).objectives[:, 0]
    raw = [math.log(r.search.score.values[0]) for r in history.records.values()]
    assert max(taught) - min(taught) < 0.06
    assert max(raw) - min(raw) > 0.2


def test_on_a_steady_machine_the_values_stay_as_measured(drifting):
    run = drifting("search.trials=12", "search.sentinel=4", loss=0.0).start()
    assert run.go()
    history = run.strategy.history
    for record in history.records.values():
        assert history.levelled(record.search) == record.search.score


def test_a_resumed_run_levels_by_the_same_figures(drifting):
    run = drifting("search.trials=12", "search.sentinel=4", loss=0.01).start()
    assert run.go()
    before = {
        n: run.strategy.history.levelled(r.search).values for n, r in run.strategy.history.records.items()
    }
    raw = {n: r.search.score.values for n, r in run.strategy.history.records.items()}
    run.start()
    after = {
        n: run.strategy.history.levelled(r.search).values for n, r in run.strategy.history.records.items()
    }
    assert before == after and before != raw
