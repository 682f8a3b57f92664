"""One trial's life on the fakes of both ports."""

from __future__ import annotations

import json

import pytest

from tuner.errors import (
    BackendBroken,
    ConfigurationRefused,
    DeployInterrupted,
    Failure,
    FailureClass,
    UserError,
)
from tuner.trial.life import RELEASE_SECONDS
from tuner.trial.ports import LoadError, State
from tuner.trial.step import Step


def test_a_trial_deploys_warms_up_and_is_complete_after_its_last_round(stage):
    s = stage(rounds=3)
    steps = [s.life.step() for _ in range(3)]
    assert [x.round.number for x in steps] == [1, 2, 3]
    assert [x.ended for x in steps] == [None, None, State.COMPLETE]
    assert [name for name, *_ in s.load.calls] == ["probe", "open", "warm_up", "round", "round", "round"]
    assert [call for call, _ in s.backend.calls] == ["deploy"]
    assert ("warm_up", 2.0) in s.load.calls


def test_every_step_carries_where_it_ran_and_when_the_first_request_was_sent(stage):
    step = stage().life.step()
    assert (step.node, step.engine_version) == ("fake", "fake 1")
    assert step.first_request == 1_700_000_000.0
    assert {"waited", "started", "healthy", "served", "opened", "warmup", "rounds"} <= step.times.keys()


def test_the_prompts_are_salted_with_the_deployments_own_name(stage):
    s = stage()
    s.life.step()
    assert [call[2] for call in s.load.calls if call[0] == "open"] == [s.trial.name]


@pytest.mark.parametrize(
    ("error", "ended", "stops"),
    [
        (ConfigurationRefused, State.FAILED, False),
        (DeployInterrupted, State.INTERRUPTED, False),
        (BackendBroken, State.INTERRUPTED, True),
    ],
)
def test_a_deploy_error_ends_the_trial_as_its_class_says(stage, error, ended, stops):
    failure = Failure(FailureClass.ACCELERATOR_OOM, "out of memory", "tail", 1)
    step = stage(refuse={7: error(failure)}).life.step()
    assert (step.round, step.ended, step.stops_run, step.failure) == (None, ended, stops, failure)


def test_a_users_mistake_found_on_the_node_stops_the_run(stage, monkeypatch):
    s = stage()

    def deploy(*_: object, **__: object) -> None:
        raise UserError("deploy.binary: no such file")

    monkeypatch.setattr(s.backend, "deploy", deploy)
    step = s.life.step()
    assert (step.ended, step.stops_run) == (State.INTERRUPTED, True)
    assert step.failure == Failure(FailureClass.BACKEND_BROKEN, "deploy.binary: no such file")


def test_an_engine_that_answers_no_probe_was_never_ready(stage):
    s = stage()
    s.load.serves = lambda endpoint: False
    step = s.life.step()
    assert (step.ended, step.failure.kind) == (State.FAILED, FailureClass.NEVER_READY)
    assert step.first_request is not None


def test_a_crash_in_the_second_round_fails_the_trial_and_that_round_does_not_count(stage, made_round):
    s = stage()

    def rounds(endpoint, number):
        if number == 2:
            s.backend.die(s.trial.name)
        return made_round(number)

    s.load.rounds = rounds
    assert s.life.step().ended is None
    step = s.life.step()
    assert (step.round, step.ended) == (None, State.FAILED)
    assert step.failure.kind is FailureClass.CRASH_UNDER_LOAD
    assert step.failure.log_tail


def test_a_crash_between_two_rounds_is_found_by_the_next(stage):
    s = stage()
    s.life.step()
    s.backend.die(s.trial.name)
    assert s.life.step().failure.kind is FailureClass.CRASH_UNDER_LOAD


def test_a_node_that_goes_away_under_load_condemns_nothing(stage):
    s = stage()
    s.life.step()
    s.backend.die(s.trial.name, FailureClass.NODE_FAULT)
    step = s.life.step()
    assert (step.ended, step.failure.kind) == (State.INTERRUPTED, FailureClass.NODE_FAULT)


def test_a_round_in_which_every_request_fails_is_a_failure_with_the_commonest_cause(stage, point, one_round):
    s = stage()
    broken = point("chat", ttft=[], tokens=0, errors={"timeout": 2, "http_500": 5})
    s.load.rounds = lambda endpoint, number: one_round(point("batch"), broken, number=number)
    step = s.life.step()
    assert (step.ended, step.failure.kind) == (State.FAILED, FailureClass.REQUESTS_FAILED)
    assert step.failure.message == "load point chat: none of 7 requests succeeded, most often http_500"
    assert "fake engine" in step.failure.log_tail


def test_some_failed_requests_are_data(stage, made_round):
    s = stage()
    s.load.rounds = lambda endpoint, number: made_round(number, errors={"timeout": 3})
    assert s.life.step().round.points[0].errors == {"timeout": 3}


def test_a_load_error_is_told_as_the_engines_own_failure_where_it_has_one(stage, monkeypatch):
    s = stage()

    def warm_up(**_: object) -> None:
        s.backend.die(s.trial.name, FailureClass.OOM_KILLED)
        raise LoadError("connection reset")

    monkeypatch.setattr(s.load, "warm_up", warm_up)
    step = s.life.step()
    assert (step.ended, step.failure.kind) == (State.FAILED, FailureClass.OOM_KILLED)


def test_a_load_error_of_a_living_engine_is_told_in_the_servers_words(stage, monkeypatch):
    s = stage()

    def run_round(number: int, **_: object) -> None:
        raise LoadError("400 Bad Request: context too long")

    monkeypatch.setattr(s.load, "run_round", run_round)
    failure = s.life.step().failure
    assert (failure.kind, failure.message) == (
        FailureClass.REQUESTS_FAILED,
        "400 Bad Request: context too long",
    )


@pytest.mark.parametrize("done", [0, 1])
def test_cancelling_interrupts_before_and_between_rounds(stage, done):
    s = stage()
    for _ in range(done):
        s.life.step()
    s.cancelled = True
    step = s.life.step()
    assert (step.round, step.ended, step.stops_run) == (None, State.INTERRUPTED, False)


def test_the_slots_last_deployment_is_waited_for_before_this_one_is_deployed(stage):
    s = stage(previous="demo-run-t0006-a1", release_after=3)
    s.backend._up["demo-run-t0006-a1"] = object()
    s.backend.delete("demo-run-t0006-a1")
    step = s.life.step()
    assert step.round is not None
    assert step.times["waited"] == 3.0
    assert [call for call, _ in s.backend.calls] == ["delete", "delete", "deploy"]


def test_what_an_actor_that_died_left_in_the_slot_is_taken_away_first(stage):
    s = stage(previous="demo-run-t0006-a1")
    s.backend._up["demo-run-t0006-a1"] = object()
    assert s.life.step().round is not None
    assert s.backend.calls[0] == ("delete", "demo-run-t0006-a1")


def test_a_slot_that_is_never_released_stops_the_run(stage):
    s = stage(previous="demo-run-t0006-a1", release_after=10**9)
    s.backend._up["demo-run-t0006-a1"] = object()
    step = s.life.step()
    assert (step.ended, step.stops_run) == (State.INTERRUPTED, True)
    assert "demo-run-t0006-a1 still holds the slot" in step.failure.message
    assert s.seconds > RELEASE_SECONDS


def test_waiting_for_a_slot_can_be_cancelled(stage):
    s = stage(previous="demo-run-t0006-a1", release_after=10**9)
    s.backend._up["demo-run-t0006-a1"] = object()
    s.cancelled = True
    assert s.life.step().ended is State.INTERRUPTED
    assert not any(call == "deploy" for call, _ in s.backend.calls)


def test_release_takes_the_deployment_and_the_connections_away(stage):
    s = stage()
    s.life.step()
    s.life.release()
    assert s.backend.calls[-1] == ("delete", s.trial.name)
    assert s.load.calls[-1] == ("close",)


def test_a_trial_that_another_process_took_over_is_not_taken_away_from_it(stage):
    s = stage()
    s.backend._up[s.life.trial.name] = object()  # Tune set it up here, and ran it in an actor that was free
    s.life.release()
    assert (s.backend.calls, s.load.calls) == ([], [])


def test_a_deployment_that_never_came_up_is_released_too(stage):
    s = stage(refuse={7: ConfigurationRefused(Failure(FailureClass.CRASH, "ended"))})
    s.life.step()
    s.life.release()
    assert s.backend.calls[-1] == ("delete", s.trial.name)


def test_the_time_of_a_deployment_that_failed_is_known(stage, monkeypatch):
    s = stage()

    def deploy(*_: object, **__: object) -> None:
        s.seconds += 4.0
        raise ConfigurationRefused(Failure(FailureClass.CRASH, "ended"))

    monkeypatch.setattr(s.backend, "deploy", deploy)
    assert s.life.step().times["deploying"] == 4.0


def test_steps_survive_json(stage):
    s = stage(rounds=1)
    good = s.life.step()
    bad = stage(refuse={7: ConfigurationRefused(Failure(FailureClass.CRASH, "x", "tail", -9))}).life.step()
    for step in (good, bad):
        back = Step.from_json(json.loads(json.dumps(step.to_json())))
        assert back.to_json() == step.to_json()
        assert (back.ended, back.failure) == (step.ended, step.failure)
    assert Step.from_json(json.loads(json.dumps(good.to_json()))).round.number == 1
