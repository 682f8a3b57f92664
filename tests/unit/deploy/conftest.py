"""A local backend over a stub engine, and what tests ask of processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tuner.deploy.local import LocalBackend
from tuner.trial.ports import Phase, TrialConfig

STUB = Path(__file__).with_name("stub_engine.py")
TEMPLATE = """\
{% for part in binary %}
{{ part }}
{% endfor %}
--port
{{ port }}
{% for argument in arguments %}
{{ argument }}
{% endfor %}
"""


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for a condition, and fail with `what` when it does not come true in time."""

    def wait(condition: Callable[[], object], what: str, *, seconds: float = 5.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
            time.sleep(0.005)

    return wait


@pytest.fixture
def living() -> Callable[[set[int]], set[int]]:
    """Which of these pids are processes and not zombies."""

    def found(pids: set[int]) -> set[int]:
        alive = set()
        for pid in pids:
            try:
                if psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                    alive.add(pid)
            except psutil.NoSuchProcess:
                continue
        return alive

    return found


@pytest.fixture
def trial() -> Callable[..., TrialConfig]:
    """A trial with these flags; its number tells it from others."""

    def made(*arguments: str, number: int = 1, run: str = f"u{os.getpid()}-unit") -> TrialConfig:
        return TrialConfig(
            run=run, trial=number, phase=Phase.SEARCH, attempt=1, params={}, arguments=arguments
        )

    return made


@pytest.fixture
def backend(tmp_path: Path, until: Callable[..., None]) -> Iterator[LocalBackend]:
    """Over the stub engine; nothing of it is left afterwards."""
    (tmp_path / "model").touch()
    made = LocalBackend(
        template=TEMPLATE,
        model=str(tmp_path / "model"),
        binary=[sys.executable, "-I", "-S", str(STUB)],
        ready_seconds=5.0,
        stop_seconds=1.0,
        pinning="none",
    )
    yield made
    for name in list(made._deployments):
        made.delete(name)
        until(lambda name=name: made.released(name), f"{name} released")
