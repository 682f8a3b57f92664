"""What a run says of its baseline while it runs."""

from __future__ import annotations

import pytest

from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunState
from tuner.search.assembly import Assembly
from tuner.search.sentinels import planned
from tuner.search.told import BaselineTeller

FLAT = "parameters: {slots: {low: 1, high: 64, flag: -p}}\nbaseline: {slots: 1}\n"
GRID = ("search.sampler=grid", "search.early_stop=none", "validation.enabled=false", "search.trials=16")


@pytest.fixture
def telling(run_of, behaviour, tmp_path):
    """Run to the end; what was said, each line with the number of trials that had ended by then."""
    directories = []

    def made(*overrides, surface, text=FLAT, parallel=1):
        run = run_of(*GRID, *overrides, text=text, surface=surface, parallel=parallel)
        goals = Assembly.goals_of(run.experiment)
        state = RunState("demo", "c0ffee", 0.0, goals=goals, slos=dict(run.experiment.slo))
        planned_for = {"planned_blocks": 3, "planned_arms": 3, "planned_rounds": 3}
        state = RunState.from_json({**state.to_json(), **planned_for})
        directory = RunDirectory.create(tmp_path, "d4m2k1x7-demo", experiment_yaml="", state=state)
        directory.acquire(now=0.0)
        directories.append(directory)
        kept = run.store
        for name in ("append_round", "append_trial"):
            setattr(kept, name, _both(getattr(kept, name), getattr(directory, name)))
        run.start()
        said = []
        run.watchers.append(
            BaselineTeller(directory, run.strategy, say=lambda line: said.append((len(run.searched), line)))
        )
        assert run.go()
        return said

    yield made
    for directory in directories:
        directory.release()


def _both(one, other):
    def call(line):
        one(line)
        other(line)

    return call


def test_the_noise_floor_is_told_before_anything_else_is_measured(telling, behaviour):
    said = telling(surface=lambda trial: behaviour(tokens=6400))
    assert {ended for ended, _ in said} == {1}
    assert "3 blocks of 3 rounds of 2.5 s see at best a gain of" in said[0][1]


def test_a_baseline_beyond_its_limit_is_told_first(telling, behaviour):
    text = FLAT + "slo: {ttft_p95_ms: 100}\n"
    said = telling(surface=lambda trial: behaviour(tokens=6400, ttft=150), text=text)
    assert said[0][1].startswith("The baseline misses ttft_p95_ms by 64.8 %")


def test_a_sentinel_tells_the_drift_and_the_floor_anew(telling, behaviour):
    speed = {"now": 6400.0}

    def surface(trial):
        speed["now"] *= 0.99
        return behaviour(tokens=speed["now"])

    said = telling("search.sentinel=6", surface=surface)
    assert [ended for ended, line in said if line.startswith("The baseline moved")] == [7, 13, 16]
    assert [ended for ended, line in said if "see a gain of" in line] == [7, 13, 16]


def test_what_neighbours_cost_is_told(telling, behaviour):
    said = telling(surface=lambda trial: behaviour(tokens=6400), parallel=3)
    assert any(line.endswith("beside 2 neighbours than alone: 3 trials side by side") for _, line in said)


def test_a_plan_counts_the_sentinels():
    assert [planned(n, 20) for n in (40, 41, 31, 30, 12)] == [2, 2, 2, 1, 1]
    assert planned(40, None) == 0
