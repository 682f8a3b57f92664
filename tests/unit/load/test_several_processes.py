"""A load that several processes share: one load, one window, one result; none outlives its session."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import psutil
import pytest

import tuner.load.workers
from tuner.errors import Cancelled
from tuner.load import HttpLoad
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint
from tuner.trial.rounds import PointResult

pytestmark = pytest.mark.engine  # real processes and whole windows: too slow for the unit tier


def never() -> bool:
    return False


@pytest.fixture
def server(scripted: ModuleType) -> Iterator[Any]:
    """First token after 30 ms, 15 more 10 ms apart: 180 ms a request."""
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(first_seconds=0.03, gap_seconds=0.01)
    ) as serving:
        yield serving


@pytest.fixture
def opened(server: Any) -> Iterator[Callable[..., HttpLoad]]:
    loads: list[HttpLoad] = []

    def opened(processes: int, **given: Any) -> HttpLoad:
        workload = Workload.model_validate({"scenario": "D(48,16)", "round_seconds": 0.5, **given})
        loads.append(HttpLoad(workload, processes=processes))
        loads[-1].open(Endpoint(url=server.url, model="m"), salt="s")
        return loads[-1]

    yield opened
    for load in loads:
        load.close()


def workers_of(pid: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children()
    return [p for p in found if "tuner.load.workers_main" in p.cmdline()]


def until(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def one_round(load: HttpLoad, number: int = 1) -> PointResult:
    return load.run_round(number, cancel=never).points[0]


def test_streams_shared_by_processes_are_the_streams_of_one(
    server: Any, opened: Callable[..., HttpLoad]
) -> None:
    sent: dict[int, set[str]] = {}
    for processes in (1, 3):
        load = opened(processes, concurrency=7)
        server.seen.requests.clear()
        found = one_round(load)
        assert len(workers_of(os.getpid())) == (0 if processes == 1 else processes)
        load.close()
        # Every stream's first two requests: the later ones depend on how far each came.
        sent[processes] = set(server.seen.prompts[:14])
        assert found.trust.asked == 7 and not found.errors
        assert found.cut in (6, 7)  # what was in flight at the end; a stream may be between two requests
    assert len(sent[1] & sent[3]) >= 12
    assert found.trust.achieved == pytest.approx(7, rel=0.05)
    assert any("load from 3 processes" in reason for reason in found.trust.reasons)
    assert server.seen.most_in_flight <= 8  # and one to see that the engine is at rest


def test_arrivals_shared_by_processes_are_the_arrivals_of_one(
    server: Any, opened: Callable[..., HttpLoad]
) -> None:
    sent: dict[int, list[str]] = {}
    found: dict[int, PointResult] = {}
    for processes in (1, 3):
        load = opened(processes, request_rate=60)
        server.seen.requests.clear()
        found[processes] = one_round(load)
        sent[processes] = server.seen.prompts
        load.close()
    assert len(sent[3]) == len(set(sent[3]))  # none is sent twice
    scheduled = found[1].trust.achieved * 0.5
    assert found[3].trust.achieved == pytest.approx(found[1].trust.achieved, abs=2 / 0.5)
    assert len(set(sent[1]) & set(sent[3])) >= scheduled  # the window's, and what the ramps have in common


def test_conversations_shared_by_processes_are_the_conversations_of_one(
    server: Any, opened: Callable[..., HttpLoad]
) -> None:
    begun: dict[int, list[str]] = {}
    for processes in (1, 3):
        load = opened(processes, request_rate=40, chat=True, conversations={"turns": 2, "think_seconds": 0.3})
        server.seen.requests.clear()
        found = one_round(load)
        asked = [r for r in server.seen.requests if r["max_tokens"] == 16]
        begun[processes] = [str(r["messages"]) for r in asked if len(r["messages"]) == 1]
        assert not found.errors and any(len(r["messages"]) == 3 for r in asked)
        load.close()
    assert len(begun[3]) == len(set(begun[3]))  # none begins twice
    assert len(set(begun[1]) & set(begun[3])) >= 15  # the window's 20, and what the ramps have in common


def test_streams_that_join_are_shared_too(server: Any, opened: Callable[..., HttpLoad]) -> None:
    found = one_round(opened(3, concurrency=2, ramp_to=10, round_seconds=1.0))
    assert found.trust.achieved == pytest.approx(6, rel=0.06) and not found.errors
    assert server.seen.most_in_flight in (10, 11)  # and one to see that the engine is at rest


def test_a_killed_process_makes_the_round_invalid_and_the_next_one_has_a_new_process(
    opened: Callable[..., HttpLoad],
) -> None:
    load = opened(2, concurrency=4)
    one_round(load)
    before = workers_of(os.getpid())
    killer = threading.Timer(0.2, before[0].kill)
    killer.start()
    found = one_round(load, 2)
    killer.join()
    assert found.trust.invalid and not found.trust.usable
    assert any("ended: SIGKILL (share 1 of 2)" in reason for reason in found.trust.reasons)
    after = one_round(load, 3)
    assert not after.trust.invalid and after.trust.achieved == pytest.approx(4, rel=0.05)
    assert {p.pid for p in workers_of(os.getpid())} - {p.pid for p in before}


def test_a_process_that_hangs_is_given_up(
    opened: Callable[..., HttpLoad], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = opened(2, concurrency=4)
    one_round(load)
    monkeypatch.setattr(tuner.load.workers, "_SILENCE_SECONDS", 0.2)
    stuck = workers_of(os.getpid())[1]
    stuck.suspend()
    began = time.monotonic()
    found = one_round(load, 2)
    assert found.trust.invalid and time.monotonic() - began < 5
    assert any("silent" in reason for reason in found.trust.reasons)
    assert not stuck.is_running()


def test_a_cancel_ends_the_processes_within_a_second_and_the_session_goes_on(
    server: Any, opened: Callable[..., HttpLoad]
) -> None:
    load = opened(2, concurrency=4, round_seconds=30)
    began: list[float] = []

    def cancel() -> bool:
        if server.seen.most_in_flight >= 4 and not began:
            began.append(time.monotonic())
        return bool(began)

    with pytest.raises(Cancelled):
        load.run_round(1, cancel=cancel)
    assert time.monotonic() - began[0] < 1
    assert workers_of(os.getpid()) == []
    until(lambda: server.seen.in_flight == 0)
    load.warm_up(seconds=0.1, cancel=never)
    assert len(workers_of(os.getpid())) == 2


def test_processes_end_with_the_session(opened: Callable[..., HttpLoad]) -> None:
    load = opened(2, concurrency=4)
    load.warm_up(seconds=0.05, cancel=never)
    assert len(workers_of(os.getpid())) == 2
    load.close()
    assert workers_of(os.getpid()) == []


def test_processes_end_with_their_parent_when_it_is_killed(server: Any) -> None:
    script = f"""
        from tuner.load import HttpLoad
        from tuner.spec.workload import Workload
        from tuner.trial.ports import Endpoint
        load = HttpLoad(Workload.model_validate({{"scenario": "D(48,16)", "concurrency": 4}}), processes=2)
        load.open(Endpoint(url={server.url!r}, model="m"), salt="s")
        load.warm_up(seconds=0.05, cancel=lambda: False)
        print("loaded", flush=True)
        load.run_round(1, cancel=lambda: False)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"loaded\n"
        workers = workers_of(parent.pid)
        assert len(workers) == 2
        parent.send_signal(signal.SIGKILL)
    until(lambda: not any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in workers), seconds=5)


def test_a_load_process_imports_no_ray() -> None:
    script = "import sys, tuner.load.workers_main; sys.exit('ray' in sys.modules or 'optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_nothing_secret_is_on_a_command_line_or_in_the_environment_of_a_process(server: Any) -> None:
    load = HttpLoad(Workload.model_validate({"scenario": "D(48,16)", "concurrency": 2}), processes=1 + 1)
    load.open(Endpoint(url=server.url, model="m", token="very-secret"), salt="s")
    try:
        load.warm_up(seconds=0.05, cancel=never)
        (worker, _) = workers_of(os.getpid())
        assert "very-secret" not in " ".join(worker.cmdline()) + str(worker.environ())
        assert set(server.seen.authorizations) == {"Bearer very-secret"}
    finally:
        load.close()
