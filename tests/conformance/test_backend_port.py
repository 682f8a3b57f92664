"""What every deployment backend promises, the fake included."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tuner.deploy.embedded.model import ModelSettings
from tuner.deploy.http_get import get
from tuner.deploy.local import LocalBackend
from tuner.errors import Cancelled, ConfigurationRefused, FailureClass
from tuner.spec.shipped import template
from tuner.trial.ports import DeploymentBackend, Endpoint, LoadError, Phase, TrialConfig

HERE = Path(__file__).parent
STUB = HERE.parent / "unit" / "deploy" / "stub_engine.py"
STUB_TEMPLATE = "{% for part in binary %}\n{{ part }}\n{% endfor %}\n--port\n{{ port }}\n"


@dataclass
class Subject:
    """A backend with what the suite has to do to its deployments from outside."""

    backend: DeploymentBackend
    end: Callable[[str, Endpoint], Any]  # ends the engine of a deployment by itself


def _fake() -> Subject:
    spec = importlib.util.spec_from_file_location("fakes_backend", HERE / "fakes_backend.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    backend = module.FakeBackend(release_after=2)
    return Subject(backend, lambda name, endpoint: backend.die(name))


def _local_stub(folder: Path) -> Subject:
    backend = LocalBackend(
        template=STUB_TEMPLATE,
        model=str(folder),
        binary=[sys.executable, "-I", "-S", str(STUB)],
        ready_seconds=1.0,
        stop_seconds=1.0,
    )
    return Subject(backend, lambda name, endpoint: get(endpoint.url, "/die"))


def _local_engine() -> Subject:
    backend = LocalBackend(
        template=template("llama_server.argv.j2"), model=ModelSettings(), binary="embedded", ready_seconds=2.0
    )
    return Subject(backend, lambda name, endpoint: os.kill(int(endpoint.serving.split()[1]), 11))


@pytest.fixture(params=["fake", "local", pytest.param("engine", marks=pytest.mark.engine)])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    if request.param == "engine":
        pytest.importorskip("xllamacpp")
    made = {"fake": _fake, "local": lambda: _local_stub(tmp_path), "engine": _local_engine}[request.param]()
    yield made
    for number in range(4):
        made.backend.delete(trial(number).name)
        until(lambda number=number: made.backend.released(trial(number).name))


def trial(number: int = 1) -> TrialConfig:
    run = f"{os.getpid()}-c"
    return TrialConfig(run=run, trial=number, phase=Phase.SEARCH, attempt=1, params={})


def deploy(
    subject: Subject, number: int = 1, *, probe=lambda endpoint: None, cancel=lambda: False
) -> Endpoint:
    return subject.backend.deploy(trial(number), probe=probe, progress=lambda line: None, cancel=cancel)


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


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
    assert subject.backend.failure(trial().name) is None


def test_what_serves_nothing_is_never_ready_and_leaves_nothing(subject):
    def probe(endpoint):
        raise LoadError("HTTP 500 nothing here")

    with pytest.raises(ConfigurationRefused, match="HTTP 500 nothing here") as raised:
        deploy(subject, probe=probe)
    assert raised.value.failure.kind is FailureClass.NEVER_READY
    assert subject.backend.released(trial().name)


def test_cancelling_ends_it_and_leaves_nothing(subject):
    with pytest.raises(Cancelled):
        deploy(subject, cancel=lambda: True)
    until(lambda: subject.backend.released(trial().name))


def test_two_deployments_stand_side_by_side(subject):
    first, second = deploy(subject, 1), deploy(subject, 2)
    assert first.url != second.url
    assert first.serving != second.serving
    subject.backend.delete(trial(1).name)
    until(lambda: subject.backend.released(trial(1).name))
    assert subject.backend.failure(trial(2).name) is None


def test_deploying_the_same_again_is_harmless(subject):
    assert deploy(subject) == deploy(subject)


def test_an_engine_that_ends_is_a_failure_with_its_class(subject):
    endpoint = deploy(subject)
    subject.end(trial().name, endpoint)
    until(lambda: subject.backend.failure(trial().name) is not None)
    failure = subject.backend.failure(trial().name)
    assert failure.kind is FailureClass.CRASH_UNDER_LOAD
    assert failure.message
    assert failure.log_tail


def test_deleting_does_not_wait_and_may_be_repeated(subject):
    deploy(subject)
    assert not subject.backend.released(trial().name)
    begun = time.monotonic()
    subject.backend.delete(trial().name)
    subject.backend.delete(trial().name)
    assert time.monotonic() - begun < 0.2
    until(lambda: subject.backend.released(trial().name))
    subject.backend.delete(trial().name)
    assert subject.backend.released(trial().name)


def test_the_log_outlives_the_deployment(subject):
    deploy(subject)
    subject.backend.delete(trial().name)
    until(lambda: subject.backend.released(trial().name))
    assert subject.backend.log_tail(trial().name)


def test_what_never_was_is_released_silent_and_not_serving(subject):
    subject.backend.delete(trial(3).name)
    assert subject.backend.released(trial(3).name)
    assert subject.backend.log_tail(trial(3).name) == ""
    assert subject.backend.failure(trial(3).name) is not None


def test_a_name_may_be_deployed_again_after_its_release(subject):
    first = deploy(subject)
    subject.backend.delete(trial().name)
    until(lambda: subject.backend.released(trial().name))
    assert deploy(subject).serving != first.serving


def test_a_sweep_finds_nothing_where_nothing_was_left(subject):
    deploy(subject)
    assert subject.backend.sweep(trial().run) == []
    assert subject.backend.failure(trial().name) is None
