"""The search ends by itself once too little is left to gain, and expected failures weigh less."""

from __future__ import annotations

import pytest

from tuner.errors import SpecError
from tuner.search.budget import Limits, Reserve, settled, spent
from tuner.search.outlook import FEWEST_TRIALS, IN_A_ROW, Outlook, little_to_gain
from tuner.search.plan import plan_lines
from tuner.trial.ports import State


def outlook(gain, known=0, deploys=1.0):
    return Outlook(known, deploys, gain)


def row(*gains):
    return [outlook(gain, known) for known, gain in enumerate(gains)]


LOW = [0.004] * IN_A_ROW


def test_several_suggestions_in_a_row_have_to_expect_little():
    assert little_to_gain(row(0.3, *LOW), minimum=0.01)
    assert not little_to_gain(row(0.3, *LOW[1:]), minimum=0.01)
    assert not little_to_gain(row(*LOW[1:], 0.02, *LOW[1:]), minimum=0.01)


def test_suggestions_made_side_by_side_know_the_same_and_count_as_one():
    assert not little_to_gain([outlook(0.004, known=7)] * 9, minimum=0.01)


def test_while_nothing_is_feasible_everything_is_to_be_gained():
    assert not little_to_gain(row(*LOW, None), minimum=0.01)


def test_a_trial_that_the_model_did_not_suggest_is_passed_over():
    assert little_to_gain([*row(*LOW[1:]), None, outlook(0.004, known=9)], minimum=0.01)


def with_outlooks(past, score, outlooks):
    history = past(*[[score()]] * len(outlooks))
    for record, found in zip(history.records.values(), outlooks, strict=True):
        record.outlook = found
    return history


def test_the_search_ends_and_says_why_but_never_before_some_trials(past, score):
    limits = Limits(trials=99, minimum_gain=0.01)
    enough, few = row(*[0.004] * FEWEST_TRIALS), row(*[0.004] * (FEWEST_TRIALS - 1))
    last = outlook(0.004, known=99)
    assert settled(limits, with_outlooks(past, score, enough), last) == (
        f"stopped after {FEWEST_TRIALS} trials: what is left to gain is expected below 1 %"
    )
    assert settled(limits, with_outlooks(past, score, few), last) is None
    assert settled(limits, with_outlooks(past, score, enough), outlook(0.5, known=99)) is None
    assert settled(Limits(trials=99), with_outlooks(past, score, enough), last) is None


class Sure:
    """Proposes the grid in its order, and expects the same of each."""

    def __init__(self, space, gain, deploys=1.0):
        self.outlook, self._left = None, space.grid()
        self._gain, self._deploys = gain, deploys

    def propose(self, number):
        self.outlook = Outlook(number, self._deploys, self._gain)
        return next(self._left, None)

    def learn(self, record):
        pass


@pytest.mark.parametrize(("gain", "trials"), [(0.1, FEWEST_TRIALS), (0.3, 20)])
def test_a_run_ends_by_itself_once_too_little_is_left_to_gain(run_of, gain, trials):
    run = run_of("search.minimum_gain=0.2", "search.trials=20", "validation.enabled=false")
    assert run.start(proposer=Sure(run.experiment.space, gain)).go()
    assert len(run.searched) == trials
    said = "is expected below 20 %" if gain < 0.2 else "all 20 trials"
    assert said in run.strategy.search_ended


def test_the_default_sampler_says_what_it_expects(run_of):
    run = run_of("search.trials=6", "validation.enabled=false").start()
    assert run.go()
    told = [r.outlook for r in run.strategy.history.records.values() if r.outlook is not None]
    assert told and all(0 <= o.deploys <= 1 and o.gain_left > 0 for o in told)


def test_the_plan_says_when_it_ends(experiment):
    said = dict(plan_lines(experiment("search.minimum_gain=0.01"), first=[]))["gain left"]
    assert said.endswith("suggestions in a row expect one more trial to gain less than 1 %")
    assert "gain left" not in dict(plan_lines(experiment(), first=[]))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_other_samplers_are_refused_in_one_line(experiment, sampler):
    with pytest.raises(SpecError) as caught:
        experiment("search.minimum_gain=0.01", f"search.sampler={sampler}")
    assert f"without it, or sampler: auto: {sampler} does not say" in str(caught.value)


def test_several_objectives_are_refused(experiment):
    two = "[{maximize: output_tokens_per_second}, {minimize: ttft_p95_ms}]"
    with pytest.raises(SpecError, match=r"0\.01 with 2 objectives"):
        experiment("search.minimum_gain=0.01", f"objective={two}")


def test_expected_failures_in_a_row_count_half(past, score):
    limits = Limits(trials=99, failures_in_a_row=3)

    def why(*chances):
        states = dict.fromkeys(range(1, len(chances) + 1), State.FAILED)
        history = past([score()], *[[]] * len(chances), states=states)
        for record, deploys in zip(list(history.records.values())[1:], chances, strict=True):
            record.outlook = outlook(0.5, deploys=deploys)
        return spent(limits, history, elapsed_seconds=0.0, reserve=Reserve())

    assert why(0.9, 0.9, 0.9) == "3 trials in a row failed: crash"
    assert why(0.1, 0.1, 0.1) is None
    assert why(0.1, 0.9, 0.1, 0.9) == "4 trials in a row failed: crash"
    assert why(*[0.1] * 6) == "6 trials in a row failed: crash"  # a model that saw only failures expects them


def test_what_was_expected_outlives_a_kill(run_of):
    run = run_of("search.trials=20")
    assert not run.start(proposer=Sure(run.experiment.space, 0.3, deploys=0.25)).go(events=40)
    run.start(proposer=Sure(run.experiment.space, 0.3))
    told = {n: r.outlook for n, r in run.strategy.history.records.items() if r.ended}
    assert told.pop(0) is None and {o.deploys for o in told.values()} == {0.25}
