"""What is proposed: valid, new, and the same for the same seed."""

from __future__ import annotations

import math

import pytest

from tuner.search.assembly import proposer_of
from tuner.search.history import Deployment, History, TrialRecord
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, State

GOALS = (Goal("output_tokens_per_second", True),)
CONDITIONAL = """\
parameters:
  slots: {low: 1, high: 4, flag: --parallel}
  spec: {values: ["no", "yes"], flag: --spec}
  steps: {low: 1, high: 2, flag: --steps, when: "spec == 'yes'"}
  batch: {values: [32, 64], flag: -b}
constraints: ["slots * batch <= 128"]
baseline: {slots: 1, spec: "no", batch: 32}
objective: {maximize: output_tokens_per_second}
"""
OBJECTIVE = "objective: {maximize: output_tokens_per_second}\n"
SAMPLERS = ["auto", "random", "qmc", "nsga2", "grid"]


def propose(experiment, score, *, most=1000, history=None, proposer=None):
    """Propose, measure and learn until there is nothing left."""
    history = history or History(GOALS)
    proposer = proposer or proposer_of(experiment, history)
    found = []
    while len(found) < most:
        number = history.next_number()
        params = proposer.propose(number)
        if params is None:
            break
        value = 100.0 + 10 * float(params.get("slots", 0))
        record = TrialRecord(number, params)
        record.deployments.append(
            Deployment(number, Phase.SEARCH, 1, scores=[score(value)], state=State.COMPLETE)
        )
        history.add(record)
        proposer.learn(record)
        found.append(params)
    return found


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_small_space_is_exhausted_exactly_without_duplicates_or_invalid_ones(experiment, score, sampler):
    e = experiment(f"search.sampler={sampler}", text=CONDITIONAL)
    found = propose(e, score)
    keys = [e.space.key(p) for p in found]
    assert len(set(keys)) == len(keys) == e.space.size()
    assert all(e.space.valid(p) and p["slots"] * p["batch"] <= 128 for p in found)
    assert all(("steps" in p) == (p["spec"] == "yes") for p in found)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_proposes_the_same(experiment, score, sampler):
    def made(seed):
        return propose(
            experiment(f"search.sampler={sampler}", f"search.seed={seed}", text=CONDITIONAL), score, most=8
        )

    assert made(3) == made(3)
    assert made(3) != made(4)


def test_the_baseline_is_not_proposed_while_it_still_runs(experiment, score):
    e = experiment("search.sampler=grid")
    history = History(GOALS)
    running = TrialRecord(0, e.space.baseline, [Deployment(0, Phase.SEARCH, 1)])
    history.add(running)
    found = propose(e, score, history=history)
    assert e.space.baseline not in found
    assert len(found) == e.space.size() - 1


@pytest.mark.parametrize("sampler", ["auto", "nsga2"])
def test_a_baseline_that_leaves_parameters_to_the_engine_is_taken_in(experiment, score, sampler):
    text = CONDITIONAL.replace('baseline: {slots: 1, spec: "no", batch: 32}', "baseline: {slots: 2}")
    e = experiment(f"search.sampler={sampler}", text=text)
    history = History(GOALS)
    history.add(
        TrialRecord(0, {"slots": 2}, [Deployment(0, Phase.SEARCH, 1, scores=[score()], state=State.COMPLETE)])
    )
    proposer = proposer_of(e, history)
    proposer.learn(history.records[0])
    found = propose(e, score, history=history, proposer=proposer, most=8)
    assert len(found) == 8 and all(e.space.valid(p) for p in found)


def test_what_an_earlier_start_tried_is_not_proposed_again(experiment, score):
    e = experiment(text=CONDITIONAL)
    history = History(GOALS)
    first = propose(e, score, most=10, history=history)
    resumed = proposer_of(e, history)
    for record in history.records.values():
        resumed.learn(record)
    rest = propose(e, score, history=history, proposer=resumed)
    assert not {e.space.key(p) for p in first} & {e.space.key(p) for p in rest}
    assert len(first) + len(rest) == e.space.size()


def test_the_first_points_of_auto_lie_farther_apart_than_drawn_ones(experiment, score):
    def nearest(sampler):
        e = experiment(f"search.sampler={sampler}", text=CONDITIONAL)
        found = propose(e, score, most=3)
        pairs = [(a, b) for i, a in enumerate(found) for b in found[:i]]
        return min(e.space.distance(a, b) for a, b in pairs)

    assert nearest("auto") > nearest("random")


def test_the_model_finds_the_better_half(experiment, score):
    text = "parameters: {slots: {low: 1, high: 1000, flag: -p}}\n" + OBJECTIVE
    found = propose(experiment("search.sampler=tpe", text=text), score, most=40)
    late = [p["slots"] for p in found[-15:]]
    assert sum(late) / len(late) > 700


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_value_that_is_not_a_number_does_not_upset_the_sampler(experiment, score, sampler):
    e = experiment(f"search.sampler={sampler}", text=CONDITIONAL)
    history = History(GOALS)
    proposer = proposer_of(e, history)
    for number in range(15):
        params = proposer.propose(number)
        value = float("nan") if number % 2 else 100.0
        done = Deployment(
            number,
            Phase.SEARCH,
            1,
            scores=[score(value, measured=not math.isnan(value))],
            state=State.COMPLETE,
        )
        history.add(TrialRecord(number, params, [done]))
        proposer.learn(history.records[number])
    told = [t for t in proposer._brain.trials if t.state.name in ("COMPLETE", "PRUNED")]
    assert len(told) >= 15
    assert proposer.propose(15) is not None
