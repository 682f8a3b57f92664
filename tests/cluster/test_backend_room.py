"""Accelerators on a real cluster: what others hold is counted, who waits for some is told and comes up."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from backend_parts import Bench, is_of, passes, refused, trial, until
from backend_parts import benches as benches  # noqa: PLC0414
from kubernetes import client

from tuner.errors import ConfigurationRefused, FailureClass

pytestmark = pytest.mark.cluster
GPU = "nvidia.com/gpu"
EACH = 8  # on each node


@pytest.fixture(scope="module")
def bench(benches: Any) -> Bench:
    return benches("kubernetes")


@contextmanager
def others(bench: Bench, counts: list[int]) -> Iterator[None]:
    """Pods of somebody else that hold so many accelerators, each on a node."""
    core, space = client.CoreV1Api(bench.api), bench.namespace.name
    names = [f"others-{number}" for number in range(len(counts))]
    for name, count in zip(names, counts, strict=True):
        container = {"name": "x", "image": "local/pause:1", "resources": {"limits": {GPU: str(count)}}}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
        core.create_namespaced_pod(space, {"metadata": {"name": name}, "spec": spec})
    try:
        until(lambda: all(core.read_namespaced_pod(name, space).spec.node_name for name in names))
        yield
    finally:
        for name in names:
            core.delete_namespaced_pod(name, space)


def test_free_accelerators_are_those_that_others_do_not_hold(bench):
    backend = bench.backend()
    before = until(lambda: backend.capacity() == 2 * EACH and backend.capacity())
    with others(bench, [3]):
        assert until(lambda: backend.capacity() == before - 3)
    until(lambda: backend.capacity() == before)


def test_without_the_right_to_look_at_nodes_nothing_is_said(benches):
    backend = benches("kubernetes", reader=False).backend()
    assert backend.capacity() is None


def test_a_trial_that_finds_no_room_waits_is_told_and_comes_up_when_there_is_some(bench):
    backend, lines = bench.backend(accelerators=EACH, schedule_seconds=60), []
    wide = trial(1, accelerators=EACH)
    served = []

    def bring_up():
        served.append(backend.deploy(wide, probe=passes, progress=lines.append, cancel=lambda: False))

    thread = threading.Thread(target=bring_up)
    try:
        with others(bench, [EACH, EACH]):
            thread.start()
            said = until(lambda: backend.waiting(wide.run))
            assert said.startswith(f"{wide.name} waits for {GPU}: 0/2 nodes are available")
            until(lambda: any(f"Insufficient {GPU}" in line for line in lines))
            assert not served
        thread.join(60)
        assert served
        assert served[0].times["scheduled"] > 0
        assert backend.waiting(wide.run) == ""
        with_run = backend.capacity()
        backend.run = wide.run  # its own are not others'
        assert backend.capacity() == with_run + EACH
    finally:
        backend.delete(wide.name)
        thread.join(60)
        until(lambda: backend.released(wide.name))


def test_more_than_any_node_has_is_condemned_at_once(bench):
    error, seconds = refused(bench.backend(accelerators=16), accelerators=16)
    is_of(error, ConfigurationRefused, FailureClass.UNSCHEDULABLE)
    assert f"16 {GPU}, and no node has more than 8" in error.failure.message
    assert seconds < 10


def test_clean_takes_what_a_killed_driver_left_and_refuses_what_is_driven(bench):
    backend = bench.backend()

    def cleaned(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tuner", "clean", *arguments, "--namespace", bench.namespace.name],
            env={"KUBECONFIG": str(bench.namespace.kubeconfig), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    def up(number: int) -> str:
        config = trial(number)
        backend.deploy(config, probe=passes, progress=lambda line: None, cancel=lambda: False)
        return config.name

    name = up(2)
    first = cleaned(trial().run)
    assert (first.returncode, first.stderr) == (0, "")
    assert f"removed Deployment {name}" in first.stdout
    until(lambda: backend.released(name))
    assert "nothing to remove" in cleaned("--all").stdout
    with backend.running(trial().run) as working:
        working.deploy(trial(3), probe=passes, progress=lambda line: None, cancel=lambda: False)
        held = cleaned(trial().run)
        assert held.returncode == 1
        assert "is driven by" in held.stderr
        assert bench.pods(trial(3).name)
        assert cleaned(trial().run, "--force").returncode == 0
        until(lambda: working.released(trial(3).name))
