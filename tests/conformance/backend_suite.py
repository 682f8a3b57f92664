"""What every deployment backend promises, the fake included. Test modules give the fixture `subject`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tuner.errors import Cancelled, ConfigurationRefused, FailureClass
from tuner.trial.ports import DeploymentBackend, Endpoint, LoadError, Phase, TrialConfig


@dataclass
class Subject:
    """A backend with what the suite has to do to its deployments from outside.

    Attributes:
        end: ends the engine of a deployment by itself.
        impatient: the same backend with a deadline within which nothing serves; None for `backend` itself.
        arguments: of every trial.
        delete_seconds: within which two deletions return.
        patience_seconds: within which what is deleted is released.
    """

    backend: DeploymentBackend
    end: Callable[[str, Endpoint], Any]
    impatient: DeploymentBackend | None = None
    arguments: tuple[str, ...] = ()
    run: str = field(default_factory=lambda: f"{os.getpid()}-c")
    delete_seconds: float = 0.2
    patience_seconds: float = 5.0

    def trial(self, number: int = 1) -> TrialConfig:
        """The deployment of that number."""
        return TrialConfig(
            run=self.run, trial=number, phase=Phase.SEARCH, attempt=1, params={}, arguments=self.arguments
        )

    def name(self, number: int = 1) -> str:
        """Its name."""
        return self.trial(number).name

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, as long as a release may take."""
        deadline = time.monotonic() + self.patience_seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def gone(self, number: int = 1) -> None:
        """Wait until it is released."""
        self.until(lambda: self.backend.released(self.name(number)))

    def clear(self) -> None:
        """Take away what a test left."""
        for number in range(4):
            self.backend.delete(self.name(number))
        for number in range(4):
            self.gone(number)


def deploy(subject, number=1, *, backend=None, probe=lambda endpoint: None, cancel=lambda: False) -> Endpoint:
    return (backend or subject.backend).deploy(
        subject.trial(number), probe=probe, progress=lambda line: None, cancel=cancel
    )


def test_it_returns_only_what_the_probe_has_passed(subject):
    seen = []

    def probe(endpoint):
        seen.append(endpoint.url)
        if len(seen) < 2:
            raise LoadError("not yet")

    endpoint = deploy(subject, probe=probe)
    assert seen == [endpoint.url] * 2
    assert endpoint.model
    assert endpoint.serving
    assert endpoint.node
    assert subject.backend.failure(subject.name()) is None


def test_what_serves_nothing_is_never_ready_and_leaves_nothing(subject):
    def probe(endpoint):
        raise LoadError("HTTP 500 nothing here")

    with pytest.raises(ConfigurationRefused, match="HTTP 500 nothing here") as raised:
        deploy(subject, backend=subject.impatient, probe=probe)
    assert raised.value.failure.kind is FailureClass.NEVER_READY
    assert subject.backend.released(subject.name())


def test_cancelling_ends_it_and_leaves_nothing(subject):
    with pytest.raises(Cancelled):
        deploy(subject, cancel=lambda: True)
    subject.gone()


def test_two_deployments_stand_side_by_side(subject):
    first, second = deploy(subject, 1), deploy(subject, 2)
    assert first.url != second.url
    assert first.serving != second.serving
    subject.backend.delete(subject.name(1))
    subject.gone(1)
    assert subject.backend.failure(subject.name(2)) is None


def test_deploying_the_same_again_is_harmless(subject):
    assert deploy(subject) == deploy(subject)


def test_an_engine_that_ends_is_a_failure_with_its_class(subject):
    endpoint = deploy(subject)
    subject.end(subject.name(), endpoint)
    subject.until(lambda: subject.backend.failure(subject.name()) is not None)
    failure = subject.backend.failure(subject.name())
    assert failure.kind is FailureClass.CRASH_UNDER_LOAD
    assert failure.message
    assert failure.log_tail


def test_deleting_does_not_wait_and_may_be_repeated(subject):
    deploy(subject)
    assert not subject.backend.released(subject.name())
    begun = time.monotonic()
    subject.backend.delete(subject.name())
    subject.backend.delete(subject.name())
    assert time.monotonic() - begun < subject.delete_seconds
    subject.gone()
    subject.backend.delete(subject.name())
    assert subject.backend.released(subject.name())


def test_the_log_outlives_the_deployment(subject):
    deploy(subject)
    subject.backend.delete(subject.name())
    subject.gone()
    assert subject.backend.log_tail(subject.name())


def test_what_never_was_is_released_silent_and_not_serving(subject):
    subject.backend.delete(subject.name(3))
    assert subject.backend.released(subject.name(3))
    assert subject.backend.log_tail(subject.name(3)) == ""
    assert subject.backend.failure(subject.name(3)) is not None


def test_a_name_may_be_deployed_again_after_its_release(subject):
    first = deploy(subject)
    subject.backend.delete(subject.name())
    subject.gone()
    assert deploy(subject).serving != first.serving


def test_a_sweep_finds_nothing_where_nothing_was_left(subject):
    deploy(subject)
    assert subject.backend.sweep(subject.run) == []
    assert subject.backend.failure(subject.name()) is None
