"""A deployment that has its rounds is loaded at other multiples of its load too."""

from __future__ import annotations

import json

from tuner.errors import FailureClass
from tuner.trial.ports import LoadError, State
from tuner.trial.step import Step


def test_after_its_rounds_a_round_at_each_other_load_on_the_same_deployment(stage):
    s = stage(rounds=2, loads=(0.5, 1.25))
    steps = [s.life.step() for _ in range(4)]
    assert [(x.round.number, x.round.load) for x in steps] == [(1, 1), (2, 1), (3, 0.5), (4, 1.25)]
    assert [x.ended for x in steps] == [None, None, None, State.COMPLETE]
    assert [call for call, _ in s.backend.calls] == ["deploy"]
    opened = [call[2:] for call in s.load.calls if call[0] == "open"]
    assert opened == [(s.trial.name,), (f"{s.trial.name}-x0.5", 0.5), (f"{s.trial.name}-x1.25", 1.25)]
    assert steps[-1].times["other loads"] >= 0
    assert Step.from_json(json.loads(json.dumps(steps[2].to_json()))).round.load == 0.5


def test_what_falls_there_has_been_measured_all_the_same(stage, made_round):
    s = stage(rounds=1, loads=(0.5, 1.25))

    def rounds(endpoint, number):
        if number == 2:
            s.backend.die(s.trial.name)
        return made_round(number)

    s.load.rounds = rounds
    assert s.life.step().ended is None
    step = s.life.step()
    assert (step.round, step.ended) == (None, State.COMPLETE)
    assert step.failure.kind is FailureClass.CRASH_UNDER_LOAD
    assert step.failure.message.startswith("at 0.5 times the load: ")


def test_a_load_that_is_not_served_and_requests_that_all_fail_are_told(stage, point, one_round):
    s = stage(rounds=1, loads=(1.25,))
    s.life.step()

    def refused(endpoint, number):
        raise LoadError("HTTP 503")

    s.load.rounds = refused
    step = s.life.step()
    assert (step.ended, step.failure.message) == (State.COMPLETE, "at 1.25 times the load: HTTP 503")

    s = stage(rounds=1, loads=(1.25,))
    s.life.step()
    broken = point(ttft=[], tokens=0, errors={"timeout": 5})
    s.load.rounds = lambda endpoint, number: one_round(broken, number=number)
    step = s.life.step()
    assert step.ended is State.COMPLETE
    assert "none of 5 requests succeeded" in step.failure.message


def test_a_node_that_goes_away_there_leaves_the_deployment_to_be_made_again(stage):
    s = stage(rounds=1, loads=(1.25,))
    s.life.step()
    s.backend.die(s.trial.name, FailureClass.NODE_FAULT)
    step = s.life.step()
    assert (step.ended, step.failure.kind) == (State.INTERRUPTED, FailureClass.NODE_FAULT)
