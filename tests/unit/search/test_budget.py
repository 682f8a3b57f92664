"""When the search has spent enough."""

from __future__ import annotations

import dataclasses

from tuner.search.budget import Limits, Reserve, reserve_for, spent
from tuner.trial.ports import State


def why(limits, history, *, elapsed=0.0, reserve=None):
    return spent(limits, history, elapsed_seconds=elapsed, reserve=reserve or Reserve())


def test_the_baseline_is_one_of_the_trials(past, score):
    limits = Limits(trials=2)
    assert why(limits, past([score()])) is None
    assert why(limits, past([score()], [score()])) == "all 2 trials of the budget were started"


def test_validations_share_of_the_hours_is_kept_back(past, score):
    limits = Limits(trials=9, hours=1)
    assert why(limits, past([score()]), elapsed=3000, reserve=Reserve(seconds=500)) is None
    reason = why(limits, past([score()]), elapsed=3000, reserve=Reserve(seconds=700))
    assert reason == "the budget of 1 hours is spent, validation's share kept back"


def test_accelerator_hours_count_over_all_deployments_with_validations_share(past, score):
    history = past([score()], [score()])
    for deployment in history.deployments():
        deployment.accelerator_seconds = 1000.0
    limits = Limits(trials=9, accelerator_hours=1)
    assert why(limits, history, reserve=Reserve(accelerator_seconds=1500)) is None
    assert "accelerator-hours" in why(limits, history, reserve=Reserve(accelerator_seconds=1600))


def test_failures_in_a_row_of_one_cause_end_the_search(past, score):
    limits = Limits(trials=99, failures_in_a_row=2)
    failed = {1: State.FAILED, 2: State.FAILED}
    assert why(limits, past([score()], [], [], states=failed)) == "2 trials in a row failed: crash"
    assert why(limits, past([score()], [], [], [score()], states=failed)) is None


def test_failures_of_different_causes_do_not(past, score):
    from tuner.errors import Failure, FailureClass

    history = past([score()], [], [], states={1: State.FAILED, 2: State.FAILED})
    history.records[2].search.failure = Failure(FailureClass.ACCELERATOR_OOM, "too large")
    assert why(Limits(trials=99, failures_in_a_row=2), history) is None


def test_the_search_ends_when_no_better_one_comes(past, score):
    limits = Limits(trials=99, no_better_for=2)
    values = [score(100.0)], [score(150.0)], [score(120.0)]
    assert why(limits, past(*values)) is None
    assert why(limits, past(*values, [score(130.0)])) == "no better configuration for 2 trials"
    assert why(limits, past(*values, [score(900.0, over=0.5)])) == "no better configuration for 2 trials"


def test_nothing_is_kept_back_before_the_baseline_has_ended(past, score):
    history = past([score()])
    history.records[0].search.state = None
    assert reserve_for(history, deployments=9, parallel=1, scale=1.0) == Reserve()


def test_validation_is_expected_to_cost_as_the_baseline_did(past, score):
    history = past([score()])
    baseline = history.records[0].search
    baseline.seconds, baseline.accelerator_seconds = 40.0, 80.0
    assert reserve_for(history, deployments=9, parallel=3, scale=1.0) == Reserve(120.0, 720.0)


def test_longer_rounds_of_the_validation_are_reckoned_with(past, score):
    history = past([score()])
    baseline = history.records[0].search
    baseline.seconds, baseline.accelerator_seconds, baseline.times = 40.0, 80.0, {"rounds": 30.0}
    # twice the rounds: 30 s more for each deployment
    assert reserve_for(history, deployments=2, parallel=1, scale=2.0) == Reserve(140.0, 280.0)


def test_no_limit_is_no_limit(past, score):
    limits = Limits(trials=99)
    open_ended = dataclasses.replace(limits, failures_in_a_row=None)
    assert why(open_ended, past([score()], [], states={1: State.FAILED}), elapsed=1e9) is None
