"""How many trials run side by side where that is left to the run."""

from __future__ import annotations

import pytest

from tuner.search.assembly import settings_of
from tuner.trial.ports import Phase, State

FLAT = "parameters: {slots: {low: 1, high: 64, flag: -p}}\nbaseline: {slots: 1}\n"
AUTO = ("search.sampler=grid", "search.early_stop=none", "validation.enabled=false", "search.trials=32")


@pytest.fixture
def crowded(run_of, behaviour):
    """A machine on which every neighbour costs this share of the speed."""

    def made(*overrides, each, parallel):
        runs = []

        def surface(trial):
            beside = len(runs[0].desk.running) - 1
            return behaviour(tokens=6400 * (1 - each * beside))

        runs.append(run_of(*AUTO, *overrides, text=FLAT, surface=surface, parallel=parallel))
        return runs[0].start()

    return made


def sentinels(run):
    return [line for line in run.store.trials if line.phase is Phase.SENTINEL]


def most_at_once(run):
    """Trials of the search that were handed out before each had ended: by the lines' times."""
    lines = [line for line in run.store.trials if line.phase is Phase.SEARCH]
    return max(sum(o.started <= line.started < o.ended for o in lines) for line in lines[8:])


def test_places_that_leave_each_other_alone_are_all_used(crowded):
    run = crowded(each=0.0, parallel=4)
    assert run.go()
    assert run.strategy.width.now == 4 and run.strategy.width.settled
    assert len(sentinels(run)) == 1 and most_at_once(run) == 4
    assert "4 trials side by side" in run.strategy.width.told


def test_trial_0_has_the_machine_to_itself(crowded):
    run = crowded(each=0.1, parallel=4)
    assert run.go()
    first, *others = sorted(run.store.trials, key=lambda line: line.started)
    assert first.trial == 0 and all(line.started >= first.ended for line in others)


def test_where_neighbours_cost_much_half_as_many_run_until_they_do_not(crowded):
    run = crowded(each=0.03, parallel=4)  # three cost 9 %, one 3 %
    assert run.go()
    width = run.strategy.width
    assert (width.now, width.settled, len(width.lost)) == (2, True, 2)
    assert width.lost[0][0] == 4 and width.lost[0][1] > 0.05 > width.lost[1][1]
    assert most_at_once(run) == 2
    assert len(run.searched) == 32


def test_in_the_end_a_trial_may_be_alone(crowded):
    run = crowded(each=0.2, parallel=3)
    assert run.go()
    assert run.strategy.width.now == 1 and most_at_once(run) == 1
    assert "1 trial side by side from here on" in run.strategy.width.told


def test_a_killed_run_goes_on_with_as_many_as_it_had_come_to(crowded):
    run = crowded(each=0.03, parallel=4)
    assert not run.go(events=60)
    assert run.strategy.width.now == 2
    run.start()
    assert run.strategy.width.now == 2 and run.go()
    assert len([line for line in sentinels(run) if line.state is State.COMPLETE]) == 2


def test_those_measurements_are_not_taken_for_the_ones_of_drift(crowded):
    run = crowded("search.sentinel=10", each=0.0, parallel=2)
    assert run.go()
    assert len(sentinels(run)) == 1 + 3  # after 10, 20, and 31 trials


def test_a_number_that_was_asked_for_stands(experiment):
    asked = ("search.trials=40", "search.parallel=4")
    assert not settings_of(experiment(*asked, text=FLAT), 4).by_neighbours
    assert settings_of(experiment("search.trials=40", text=FLAT), 4).by_neighbours
    assert not settings_of(experiment("search.trials=40", text=FLAT), 1).by_neighbours
    assert not settings_of(experiment("search.trials=8", text=FLAT), 4).by_neighbours  # too short for it
    assert not settings_of(experiment("search.trials=40", "search.sentinel=none", text=FLAT), 4).by_neighbours
