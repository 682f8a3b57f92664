from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tuner.errors import LeaseHeld
from tuner.results.lease import Lease, holder

_HOLD = """
import sys
from pathlib import Path
from tuner.results.lease import Lease
Lease_ = Lease(Path(sys.argv[1]))
Lease_.acquire(now=1790000000.0)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_driver(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_driver_is_told_who_holds_the_run(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with another_driver(path) as other:
        pauses: list[float] = []
        with pytest.raises(LeaseHeld, match=rf"held by process {other.pid} on .+ since 2026-") as caught:
            Lease(path).acquire(now=0.0, sleep=pauses.append)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 1
        assert sum(pauses) < 1
        found = holder(path)
        assert found is not None
        assert found.pid == other.pid


def test_kill_9_of_the_holder_frees_the_run(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with another_driver(path) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait(timeout=10)
        assert holder(path) is None
        mine = Lease(path)
        mine.acquire(now=5.0)
        found = holder(path)
        assert found is not None
        assert found.pid == os.getpid()
        mine.release()


def test_a_child_of_the_holder_does_not_keep_the_run(tmp_path: Path) -> None:
    mine = Lease(tmp_path / "lease")
    mine.acquire(now=0.0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mine.release()
        assert holder(tmp_path / "lease") is None
        child.kill()


def test_a_lease_given_back_can_be_taken_again(tmp_path: Path) -> None:
    first, second = Lease(tmp_path / "lease"), Lease(tmp_path / "lease")
    first.acquire(now=0.0)
    first.acquire(now=1.0)
    with pytest.raises(LeaseHeld):
        second.acquire(now=2.0, sleep=lambda _: None)
    first.release()
    first.release()
    second.acquire(now=3.0)
    assert second.held
    second.release()


def test_nobody_holds_a_run_without_a_lease(tmp_path: Path) -> None:
    assert holder(tmp_path / "lease") is None
