"""A trial's life where its answers are asked for."""

from __future__ import annotations

import json

import pytest

from tuner.errors import FailureClass
from tuner.trial.ports import Asked, LoadError, State
from tuner.trial.step import Step


def test_answers_are_asked_on_the_deployment_that_is_up_and_before_it_is_loaded(stage):
    s = stage(asked=Asked(4))
    step = s.life.step()
    assert [name for name, *_ in s.load.calls] == ["probe", "answers", "open", "warm_up", "round"]
    assert step.answers is not None and len(step.answers.again) == 3
    assert step.times["answers"] >= 0


def test_answers_are_told_once(stage):
    s = stage(asked=Asked(1))
    assert s.life.step().answers is not None
    assert s.life.step().answers is None


def test_nothing_is_asked_where_nobody_wants_to_know(stage):
    s = stage()
    assert s.life.step().answers is None
    assert "answers" not in [name for name, *_ in s.load.calls]


def test_an_engine_that_cannot_be_compared_is_refused_and_the_reason_is_its_own(stage):
    s = stage(asked=Asked(1))

    def refuse(endpoint, asked):
        raise LoadError("accuracy: POST /v1/completions: the answer carries no log-probabilities")

    s.load.answered = refuse
    step = s.life.step()
    assert (step.ended, step.failure.kind) == (State.FAILED, FailureClass.REQUESTS_FAILED)
    assert "no log-probabilities" in step.failure.message


def test_answers_are_told_also_where_the_load_fails_afterwards(stage):
    s = stage(asked=Asked(1))
    real = s.load.open

    def die(endpoint, *, salt):
        s.backend.die(s.trial.name)
        real(endpoint, salt=salt)
        raise LoadError("refused")

    s.load.open = die
    step = s.life.step()
    assert step.ended is State.FAILED and step.answers is not None


@pytest.mark.parametrize("passes", [0, 2])
def test_a_step_keeps_its_answers_through_json(stage, passes):
    step = stage(asked=Asked(passes)).life.step()
    assert Step.from_json(json.loads(json.dumps(step.to_json()))).answers == step.answers
