"""The backends of a real cluster keep what every deployment backend promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import backend_parts
import backend_suite
import pytest
from backend_suite import Subject

from tuner.deploy.http_get import get

benches = backend_parts.benches
pytestmark = pytest.mark.cluster
globals().update({name: it for name, it in vars(backend_suite).items() if name.startswith("test_")})


@pytest.fixture(scope="module", params=["ome", "kubernetes"])
def bench(request: pytest.FixtureRequest, benches: Any) -> Any:
    return benches(request.param)


@pytest.fixture(scope="module")
def backends(bench: Any) -> Any:
    return bench.backend(), bench.backend(ready_seconds=4)


@pytest.fixture
def subject(backends: Any) -> Iterator[Subject]:
    backend, impatient = backends
    made = Subject(
        backend,
        lambda name, endpoint: get(endpoint.url, "/die?77"),
        impatient=impatient,
        run=f"c{id(backend) % 100_000}",
        delete_seconds=1.0,
        patience_seconds=60.0,
    )
    yield made
    made.clear()
