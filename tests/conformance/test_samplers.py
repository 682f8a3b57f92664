"""What every sampler promises by its `reads`: whether failed and stopped trials change what it suggests."""

from __future__ import annotations

import importlib.util

import pytest

from tuner.errors import Failure, FailureClass, UserError
from tuner.search.history import Deployment, History, TrialRecord
from tuner.search.plan import plan_lines
from tuner.search.proposer import OptunaProposer
from tuner.search.samplers import SAMPLERS, Reads
from tuner.search.study import quiet
from tuner.spec import load_experiment
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, Score, State

quiet()
TORCH = importlib.util.find_spec("torch") is not None
GOALS = (Goal("output_tokens_per_second", True),)
STARTUP, TRIALS = 5, 22
BEYOND = 130  # clearly within the part that is bad from 101 on: the edge itself may be felt for
TEXT = """\
name: demo
model: {synthetic: {}}
workload: {scenario: "D(48,64)", concurrency: 16}
parameters:
  slots: {low: 1, high: 200, flag: --parallel}
  batch: {low: 1, high: 200, flag: -b}
objective: {maximize: output_tokens_per_second}
slo: {ttft_p95_ms: 100}
"""


@pytest.fixture
def experiment(tmp_path):
    def read(*overrides):
        path = tmp_path / "experiment.yaml"
        path.write_text(TEXT)
        return load_experiment(path, overrides)

    return read


def suggestions(experiment, sampler, bad):
    """What is proposed when every trial in the upper half of `slots` ends as `bad` does."""
    history = History(GOALS)
    proposer = OptunaProposer(
        experiment().space,
        sampler=sampler,
        goals=GOALS,
        slos=("ttft_p95_ms",),
        seed=1,
        startup=STARTUP,
        history=history,
    )
    found = []
    for number in range(TRIALS):
        params = proposer.propose(number)
        found.append(params)
        ended = bad(params) if params["slots"] > 100 else complete(params)
        record = TrialRecord(number, params, [Deployment(number, Phase.SEARCH, 1, **ended)])
        history.add(record)
        proposer.learn(record)
    return found


def scored(params, over=-0.5):
    value = float(params["slots"] + params["batch"])
    limits = {"ttft_p95_ms": over}
    return Score((value,), ((value, value),), limits, limits, {})


def complete(params):
    return {"scores": [scored(params)] * 3, "state": State.COMPLETE}


def failed(params):
    return {"state": State.FAILED, "failure": Failure(FailureClass.CRASH, "ended")}


def stopped_as_infeasible(params):
    return {"scores": [scored(params, over=2.0)], "state": State.STOPPED}


def stopped_as_slow(params):
    slow = Score((1.0,), ((1.0, 1.0),), {"ttft_p95_ms": -0.5}, {"ttft_p95_ms": -0.5}, {})
    return {"scores": [slow], "state": State.STOPPED}


@pytest.mark.parametrize("bad", [failed, stopped_as_infeasible, stopped_as_slow])
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_failed_and_stopped_trials_change_what_is_suggested_or_the_plan_says_that_they_do_not(
    experiment, sampler, bad
):
    if sampler == "gp" and not TORCH:
        pytest.skip("Optuna's GPSampler needs torch: the extra [gp]")
    with_them, without = suggestions(experiment, sampler, bad), suggestions(experiment, sampler, complete)
    if SAMPLERS[sampler].reads is Reads.NOTHING:
        assert with_them == without
        (line,) = [
            t
            for title, t in plan_lines(experiment(f"search.sampler={sampler}"), first=[])
            if title == "trials"
        ]
        assert "what failed or was stopped does not change what it suggests" in line
    else:
        assert with_them != without


@pytest.mark.parametrize("bad", [failed, stopped_as_infeasible, stopped_as_slow])
@pytest.mark.parametrize("sampler", ["auto", "tpe"])
def test_the_model_turns_away_from_where_trials_fail_or_are_stopped(experiment, sampler, bad):
    def share(end):
        late = suggestions(experiment, sampler, end)[STARTUP + 3 :]
        return sum(p["slots"] > BEYOND for p in late) / len(late)

    assert share(bad) < share(complete)


@pytest.mark.skipif(TORCH, reason="torch is installed")
def test_without_torch_gp_is_one_line_that_says_what_to_install(experiment):
    with pytest.raises(UserError) as caught:
        suggestions(experiment, "gp", complete)
    assert str(caught.value) == (
        "search.sampler: gp needs torch: pip install 'ray-serving-tuner[gp]', or take tpe"
    )


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_the_plan_names_what_a_sampler_learns_from(experiment, sampler):
    lines = dict(plan_lines(experiment(f"search.sampler={sampler}"), first=[]))
    assert f"sampler {sampler}, learns from {SAMPLERS[sampler].reads.value}" in lines["trials"]
