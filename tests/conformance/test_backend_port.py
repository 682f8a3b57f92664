"""The backends of this machine, and the fake, keep what every deployment backend promises."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import backend_suite
import pytest
from backend_suite import Subject

from tuner.deploy.embedded.model import ModelSettings
from tuner.deploy.http_get import get
from tuner.deploy.local import LocalBackend
from tuner.spec.shipped import template

HERE = Path(__file__).parent

globals().update({name: it for name, it in vars(backend_suite).items() if name.startswith("test_")})

STUB = HERE.parent / "unit" / "deploy" / "stub_engine.py"
STUB_TEMPLATE = "{% for part in binary %}\n{{ part }}\n{% endfor %}\n--port\n{{ port }}\n"


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
    made.clear()
