"""What the default strategy chooses: valid, new, better than before, the same for the same history."""

from __future__ import annotations

import math

import pytest

from tuner.errors import Failure, FailureClass
from tuner.search.auto.chooser import Chooser
from tuner.search.auto.options import AutoOptions
from tuner.search.history import Deployment, History, TrialRecord
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, Score, State

pytestmark = pytest.mark.engine  # whole searches: too slow for the unit tier

GOALS = (Goal("output_tokens_per_second", True),)
SLOS = ("ttft_p95_ms",)
GRID = """\
parameters:
  slots: {values: [1, 2, 4, 8, 16, 32], flag: --slots}
  batch: {values: [32, 64, 128, 256, 512], flag: -b}
  mode: {values: [fast, safe, odd], flag: --mode}
  fraction: {low: 0.7, high: 0.9, step: 0.05, flag: --fraction}
constraints: ["slots * batch <= 8192"]
objective: {maximize: output_tokens_per_second}
slo: {ttft_p95_ms: 100}
"""
ENDLESS = """\
parameters:
  slots: {low: 1, high: 512, flag: --parallel}
  fraction: {low: 0.1, high: 0.9, flag: --fraction}
  spec: {values: ["no", "yes"], flag: --spec}
  steps: {low: 1, high: 5, flag: --steps, when: "spec == 'yes'"}
constraints: ["slots * fraction <= 256"]
objective: {maximize: output_tokens_per_second}
"""


def measured(params):
    """More slots and batch are faster; 16 slots miss the limit; a high fraction with 512 does not deploy."""
    if params["fraction"] > 0.83 and params["batch"] == 512:
        return None
    speed = 100 * params["slots"] ** 0.6 * params["batch"] ** 0.2 * (1.2 if params["mode"] == "fast" else 1)
    over = params["slots"] / 12 - 1
    return Score((speed,), ((speed, speed),), {"ttft_p95_ms": over}, {"ttft_p95_ms": over}, {})


def optimum(space):
    scores = [(p, measured(p)) for p in space.grid()]
    return max(s.values[0] for _, s in scores if s is not None and s.feasible)


def ended(number, params, score, *, state=State.COMPLETE):
    if score is None:
        failure = Failure(FailureClass.ACCELERATOR_OOM, "out of memory")
        done = Deployment(number, Phase.SEARCH, 1, state=State.FAILED, failure=failure, seconds=50.0)
    else:
        done = Deployment(number, Phase.SEARCH, 1, scores=[score] * 3, state=state, seconds=90.0)
    return TrialRecord(number, params, [done])


@pytest.fixture
def search(experiment):
    """Choose and measure; the history, with a baseline as trial 0."""

    def run(trials, *, seed=0, text=GRID, score=measured, start=None, options=None):
        space = experiment(text=text).space
        history = History(GOALS)
        chooser = Chooser(space, history, goals=GOALS, slos=SLOS, seed=seed, options=options)
        while len(history.records) < trials:
            number = history.next_number()
            params = chooser.choose() if number else start or next(iter(space.grid()))
            if params is None:
                break
            history.add(ended(number, params, score(params)))
        return history, space

    return run


def tried(history):
    return [r.params for r in history.records.values()]


@pytest.mark.parametrize("seed", range(2))
def test_the_feasible_optimum_is_found_in_a_small_part_of_the_grid(search, seed):
    history, space = search(25, seed=seed)
    best = history.best()
    assert space.size() > 350
    assert best.search.score.values[0] >= 0.97 * optimum(space)


def test_what_failed_keeps_its_neighbours_from_being_tried(search):
    def failures(options):
        history, _ = search(10, seed=1, options=options)
        return sum(measured(p) is None for p in tried(history))

    assert failures(AutoOptions()) < failures(AutoOptions(failure_model=False))


def test_a_limit_that_is_missed_turns_the_search_away(search):
    history, _ = search(30, seed=2)
    late = [p["slots"] for p in tried(history)[10:]]
    assert sum(s > 12 for s in late) < len(late) / 3


def test_the_same_history_and_seed_choose_the_same_also_after_a_resume(search):
    history, space = search(12, seed=3)
    again, _ = search(12, seed=3)
    assert tried(history) == tried(again)
    resumed = Chooser(space, history, goals=GOALS, slos=SLOS, seed=3)
    going_on = Chooser(space, again, goals=GOALS, slos=SLOS, seed=3)
    assert resumed.choose() == going_on.choose()


def test_trials_that_run_side_by_side_are_neither_equal_nor_neighbours_in_what_does_not_matter(
    search, experiment
):
    history, space = search(15, seed=4)
    chooser = Chooser(space, history, goals=GOALS, slos=SLOS, seed=4)
    batch = []
    for number in range(15, 19):
        params = chooser.choose()
        batch.append(params)
        history.add(TrialRecord(number, params, [Deployment(number, Phase.SEARCH, 1)]))
    assert len({space.key(p) for p in batch}) == 4
    assert len({(p["slots"], p["batch"], p["mode"]) for p in batch}) >= 2


def test_a_space_is_exhausted_and_then_there_is_nothing(search):
    text = GRID.replace("[32, 64, 128, 256, 512]", "[32]").replace("[1, 2, 4, 8, 16, 32]", "[1, 4]")
    history, space = search(1000, text=text)
    keys = {space.key(p) for p in tried(history)}
    assert len(keys) == len(history.records) == space.size() == 30


def test_a_space_without_end_is_searched_among_valid_configurations(search):
    def score(params):
        value = 100 + params["slots"] * (1 - abs(params["fraction"] - 0.4))
        return Score((value,), ((value, value),), {}, {}, {})

    history, space = search(30, text=ENDLESS, score=score, start={"slots": 8, "fraction": 0.2, "spec": "no"})
    assert all(space.valid(p) for p in tried(history))
    assert all(("steps" in p) == (p["spec"] == "yes") for p in tried(history))
    best = history.best().params
    assert 0.3 < best["fraction"] < 0.55 and best["slots"] > 350


def test_nothing_measured_and_nothing_feasible_still_give_something_to_try(search):
    history, space = search(12, score=lambda params: None)
    assert len({space.key(p) for p in tried(history)}) == 12

    def infeasible(params):
        over = params["slots"] / 8
        return Score((1.0,), ((1.0, 1.0),), {"ttft_p95_ms": over}, {"ttft_p95_ms": over}, {})

    history, _ = search(25, score=infeasible)
    late = [p["slots"] for p in tried(history)[10:]]
    assert sum(late) / len(late) < 8


def test_values_that_cannot_be_told_do_not_upset_it(search):
    def untold(params):
        value = math.nan if params["mode"] == "odd" else 0.0 if params["mode"] == "safe" else 50.0
        over = {"ttft_p95_ms": math.nan}
        return Score((value,), ((value, value),), over, over, {}, measured=not math.isnan(value))

    history, _ = search(20, score=untold)
    assert len(history.records) == 20


def test_stopped_trials_teach_too(search, experiment):
    def chosen(state):
        history = History(GOALS)
        space = experiment(text=GRID).space
        grid = list(space.grid())
        for number, params in enumerate(grid[:: len(grid) // 12]):
            history.add(ended(number, params, measured(params), state=state if number else State.COMPLETE))
        return Chooser(space, history, goals=GOALS, slos=SLOS, seed=0).choose()

    assert chosen(State.STOPPED)["slots"] >= 4
