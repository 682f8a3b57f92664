"""A trial whose place somebody else took under load is interrupted: its configuration is not to blame."""

from __future__ import annotations

import pytest

from tuner.errors import FailureClass
from tuner.trial.ports import LoadError, State


@pytest.mark.parametrize("kind", [FailureClass.PREEMPTED, FailureClass.NODE_FAULT])
def test_what_others_did_to_it_is_told_after_a_round(stage, kind):
    s = stage(rounds=3)
    s.life.step()
    s.backend.die(s.trial.name, kind)
    step = s.life.step()
    assert (step.ended, step.failure.kind, step.round) == (State.INTERRUPTED, kind, None)


@pytest.mark.parametrize("kind", [FailureClass.PREEMPTED, FailureClass.NODE_FAULT])
def test_and_where_its_requests_broke_off(stage, monkeypatch, kind):
    s = stage(rounds=3)
    s.life.step()
    s.backend.die(s.trial.name, kind)

    def broken(*_, **__):
        raise LoadError("connection reset")

    monkeypatch.setattr(s.load, "run_round", broken)
    step = s.life.step()
    assert (step.ended, step.failure.kind) == (State.INTERRUPTED, kind)
