"""The embedded engine behind the local backend, and a client of one request."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tuner.deploy.embedded.model import ModelSettings, make_model
from tuner.deploy.local import LocalBackend
from tuner.spec.shipped import template
from tuner.trial.ports import Endpoint, LoadError, Phase, TrialConfig


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """The default synthetic model, in the user's cache."""
    pytest.importorskip("xllamacpp")
    return make_model(ModelSettings())


@pytest.fixture
def complete() -> Callable[..., dict]:
    """Have one completion served; LoadError with the server's words otherwise."""

    def ask(url: str, *, tokens: int = 4, prompt: str = "bako titu", timeout: float = 5.0) -> dict:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        body = {"prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "temperature": 0}
        try:
            connection.request(
                "POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise LoadError(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise LoadError(f"HTTP {answer.status} {text}")
        return json.loads(text)

    return ask


@pytest.fixture
def trial() -> Callable[..., TrialConfig]:
    """A trial with these flags."""

    def made(*arguments: str, number: int = 1) -> TrialConfig:
        return TrialConfig(
            run=f"{os.getpid()}-e",
            trial=number,
            phase=Phase.SEARCH,
            attempt=1,
            params={},
            arguments=arguments,
        )

    return made


@pytest.fixture
def engine_backend(tiny_model: Path) -> Iterator[LocalBackend]:
    """Over the embedded engine; nothing of it is left afterwards."""
    made = LocalBackend(
        template=template("llama_server.argv.j2"),
        model=str(tiny_model),
        binary="embedded",
        ready_seconds=20.0,
        stop_seconds=2.0,
    )
    yield made
    for name in list(made._deployments):
        made.delete(name)
        deadline = time.monotonic() + 5
        while not made.released(name):
            assert time.monotonic() < deadline, f"{name} is still there"
            time.sleep(0.01)


@pytest.fixture
def serve(engine_backend: LocalBackend, complete: Callable[..., dict]) -> Callable[[TrialConfig], Endpoint]:
    """Deploy, ready when a completion was served."""

    def up(trial: TrialConfig, **changes: object) -> Endpoint:
        return engine_backend.deploy(
            trial,
            probe=lambda endpoint: complete(endpoint.url, tokens=1) and None,
            progress=lambda line: None,
            cancel=lambda: False,
        )

    return up
