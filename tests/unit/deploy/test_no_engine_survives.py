"""Whatever is killed, nothing of an engine is left."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tuner.deploy.supervised import NAME_MARK, OWNER_MARK, RUN_MARK, marked

OWNER = """
import pickle, sys, time
backend, trial = pickle.load(sys.stdin.buffer)
endpoint = backend.deploy(trial, probe=lambda e: None, progress=lambda l: None, cancel=lambda: False)
while "child up" not in backend.log_tail(trial.name):
    time.sleep(0.005)
print(endpoint.serving, flush=True)
time.sleep(60)
"""


def bearing(run):
    return {process.pid for process, mark in marked() if mark.run == run}


@pytest.fixture
def owner(backend, trial):
    """A process that owns a deployment of an engine with a stubborn grandchild; and its run."""
    import pickle

    backend.stop_seconds = 0.3
    run = f"{os.getpid()}-owned"
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(pickle.dumps((backend, trial("--grandchild", "--ignore-term", run=run))))
    process.stdin.close()
    assert process.stdout.readline().startswith(b"pid")
    process.run = run
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_killing_the_owner_leaves_nothing(owner, until):
    assert len(bearing(owner.run)) == 3
    owner.send_signal(signal.SIGKILL)
    until(lambda: not bearing(owner.run), "nothing bears its mark", seconds=2)


def test_killing_owner_and_supervisor_together_leaves_nothing_that_a_sweep_does_not_find(
    owner, until, backend, living
):
    supervisors = [
        p.pid for p, mark in marked() if mark.run == owner.run and "supervisor.py" in " ".join(p.cmdline())
    ]
    assert len(supervisors) == 1
    owner.send_signal(signal.SIGKILL)
    os.kill(supervisors[0], signal.SIGKILL)
    owner.wait()
    assert backend.sweep(owner.run) == [f"{owner.run[:8].rstrip('-')}-t0001-a1"]
    assert not bearing(owner.run)


def test_the_kernel_alone_ends_the_engine_of_a_killed_supervisor(backend, trial, until, living):
    endpoint = backend.deploy(trial(), probe=lambda e: None, progress=lambda line: None, cancel=lambda: False)
    engine = int(endpoint.serving.split()[1])
    psutil.Process(engine).parent().kill()
    until(lambda: not living({engine}), "the engine is gone, and nobody asked", seconds=2)


def test_a_sweep_leaves_what_a_living_owner_has(owner, backend):
    before = bearing(owner.run)
    assert backend.sweep(owner.run) == []
    assert bearing(owner.run) == before


def test_a_sweep_leaves_other_runs_alone(backend):
    dead = subprocess.Popen(["true"])
    dead.wait()
    marks = {RUN_MARK: "another-run", NAME_MARK: "another-t0001-a1", OWNER_MARK: f"{dead.pid}:1"}
    other = subprocess.Popen(["sleep", "30"], env={**os.environ, **marks})
    try:
        assert backend.sweep(f"other-{os.getpid()}") == []
        assert other.poll() is None
        assert backend.sweep("another-run") == ["another-t0001-a1"]
        assert other.wait(timeout=2) == -signal.SIGKILL
    finally:
        other.kill()


def test_dropping_the_backend_ends_its_engines(backend, trial, until):
    from dataclasses import replace

    dropped = replace(backend)
    run = f"{os.getpid()}-dropped"
    dropped.deploy(trial(run=run), probe=lambda e: None, progress=lambda line: None, cancel=lambda: False)
    assert bearing(run)
    del dropped
    until(lambda: not bearing(run), "nothing bears its mark", seconds=2)
