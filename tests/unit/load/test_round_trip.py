"""The round trip to the engine's machine."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from tuner.load.origin import Origin
from tuner.load.round_trip import is_elsewhere, round_trip_ms
from tuner.trial.ports import Endpoint


def measured(port: int, times: list[float] | None = None) -> float | None:
    origin = Origin.of(Endpoint(url=f"http://127.0.0.1:{port}", model="m"))
    clock = time.perf_counter if times is None else iter(times).__next__
    return asyncio.run(round_trip_ms(origin, clock=clock))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that is listened on, and from which nobody ever accepts: an engine that is busy."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=16)
    yield listening.getsockname()[1]
    listening.close()


def test_it_is_the_quickest_handshake_and_needs_no_word_from_the_engine(silent_port: int) -> None:
    times = [0.0, 0.005, 1.0, 1.002, 2.0, 2.009, 3.0, 3.003, 4.0, 4.004]
    assert measured(silent_port, times) == pytest.approx(2.0)
    real = measured(silent_port)
    assert real is not None and 0 < real < 1000


def test_without_a_connection_there_is_none() -> None:
    assert measured(9) is None


@pytest.mark.parametrize(
    ("host", "elsewhere"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("10.1.2.3", True), ("engine.svc", True)],
)
def test_loopback_is_not_elsewhere(host: str, elsewhere: bool) -> None:
    assert is_elsewhere(host) is elsewhere
