"""Earlier runs in the default sampler: they lead the first picks, and trials of this run overrule them."""

from __future__ import annotations

import earlier_runs
import pytest

from tuner.search.auto.chooser import Chooser
from tuner.search.earlier.memories import Memories
from tuner.search.history import Deployment, History, TrialRecord
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, Score, State

TEXT = """\
parameters:
  a: {low: 1, high: 6, flag: --aa}
  b: {low: 1, high: 6, flag: --bb}
  c: {values: [x, y, z], flag: --cc}
baseline: {a: 3, b: 3, c: x}
objective: {maximize: output_tokens_per_second}
"""
HEAD = """\
name: demo
model: {name: %s}
workload: {scenario: "D(48,64)", concurrency: 16}
deploy: {backend: kubernetes, image: "some/vllm:1", accelerators: 1}
storage: {type: pvc, pvc_name: models}
"""
GOALS = (Goal("output_tokens_per_second", True),)
BEST = {"a": 5, "b": 2, "c": "y"}


def value(params):
    return 100.0 * 0.8 ** (abs(params["a"] - 5) + abs(params["b"] - 2)) * (1.2 if params["c"] == "y" else 1.0)


def reversed_value(params):
    return 1e4 / value(params)


@pytest.fixture
def chooser(experiment, tmp_path):
    """A chooser and its history, warm-started from a run of another model with every second configuration."""

    def made(figure, seed=0):
        there = experiment(text=TEXT, head=HEAD % "other")
        trials = [(p, {"output_tokens_per_second": figure(p)}) for p in list(there.space.grid())[::2]]
        path = earlier_runs.written(tmp_path, f"run-{figure.__name__}-{seed}", there, trials)
        here = experiment(f"search.warm_start=[{path}]", text=TEXT, head=HEAD % "mine")
        history = History(GOALS)
        memories = Memories.of(here, here.space)
        return Chooser(here.space, history, goals=GOALS, slos=(), seed=seed, memories=memories), history

    return made


def search(chooser, history, trials):
    """Measures the baseline and so many choices; when the best was tried, None where it never was."""
    params = {"a": 3, "b": 3, "c": "x"}
    for number in range(trials):
        if number:
            params = chooser.choose()
        score = Score((value(params),), ((value(params),) * 2,), {}, {}, {})
        done = Deployment(number, Phase.SEARCH, 1, scores=[score], state=State.COMPLETE, seconds=9.0)
        history.add(TrialRecord(number, dict(params), [done]))
        if value(params) >= 0.97 * value(BEST):
            return number
    return None


def test_a_run_of_another_model_leads_the_first_picks(chooser):
    assert search(*chooser(value), 3) is not None


def test_a_misleading_one_is_overruled_by_the_trials_of_this_run(chooser):
    assert search(*chooser(reversed_value), 20) is not None  # of 108 configurations


def test_the_same_history_chooses_the_same(chooser):
    one, history = chooser(value)
    search(one, history, 4)
    other, again = chooser(value, seed=1)
    other._seed = 0
    for record in history.records.values():
        again.add(record)
    assert one.choose() == other.choose()
