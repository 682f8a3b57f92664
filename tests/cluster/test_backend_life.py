"""A deployment that serves, from its first request to its end: rounds, restarts, cancelling, clearing."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from backend_parts import Bench, passes, trial, until
from backend_parts import benches as benches  # noqa: PLC0414
from kubernetes import client

from tuner.deploy.http_get import get
from tuner.deploy.kubernetes import api_errors, watching
from tuner.deploy.kubernetes.client import Cluster
from tuner.errors import BackendBroken, Cancelled, FailureClass, UserError, WorldError
from tuner.trial.ports import LoadError

pytestmark = pytest.mark.cluster
K = FailureClass
VISIBLE_SECONDS = 5.0


@pytest.fixture(scope="module", params=["ome", "kubernetes"])
def bench(request: pytest.FixtureRequest, benches: Any) -> Bench:
    return benches(request.param)


@pytest.fixture(scope="module")
def backend(bench: Bench) -> Any:
    return bench.backend()


def test_cancelling_takes_half_a_second_in_every_phase(backend):
    for arguments in ((), ("--fail", "slow=30")):
        for after in (0.05, 0.5, 3.0):
            config = trial(40, *arguments)
            begun = time.monotonic()
            asked: list[float] = []

            def cancel(begun=begun, after=after, asked=asked):
                if time.monotonic() - begun > after:
                    asked.append(time.monotonic())
                    return True
                return False

            with pytest.raises(Cancelled):
                backend.deploy(config, probe=_never, progress=lambda line: None, cancel=cancel)
            assert time.monotonic() - begun - after < 1.0  # two calls to the API server among them
            until(lambda config=config: backend.released(config.name))


def _never(endpoint):
    raise LoadError("HTTP 503 loading")


@pytest.fixture
def up(backend):
    """A deployment that serves."""
    config = trial(50)
    lines: list[str] = []
    endpoint = backend.deploy(config, probe=passes, progress=lines.append, cancel=lambda: False)
    yield config.name, endpoint, lines
    backend.delete(config.name)
    until(lambda: backend.released(config.name))


def test_the_parts_of_coming_up_the_node_and_the_engine_are_told(bench, up, nodes):
    name, endpoint, lines = up
    (pod,) = bench.pods(name)
    assert list(endpoint.times) == ["scheduled", "started", "ready", "served"]
    assert all(seconds >= 0 for seconds in endpoint.times.values())
    assert endpoint.node in nodes
    assert endpoint.node == pod.spec.node_name
    assert endpoint.serving == f"pod {pod.metadata.uid} restarts 0"
    assert endpoint.engine_version == "stub 1"
    assert endpoint.metrics_url == f"{endpoint.url}/metrics"
    assert lines


def test_ready_is_seen_within_half_a_second(bench, backend):
    """Ready by the kubelet's own word, which has whole seconds; so by a watch beside it."""
    config = trial(51)
    seen: list[float] = []

    def watch():
        while not seen:
            for pod in bench.pods(config.name):
                if any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ()):
                    seen.append(time.monotonic())
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    probed: list[float] = []

    def probe(endpoint):
        probed.append(time.monotonic())

    try:
        backend.deploy(config, probe=probe, progress=lambda line: None, cancel=lambda: False)
        watcher.join()
        assert probed[0] - seen[0] < 0.5
    finally:
        backend.delete(config.name)
        until(lambda: backend.released(config.name))


def test_a_process_that_restarts_in_a_round_is_a_crash_under_load(backend, up):
    name, endpoint, _ = up
    assert backend.failure(name) is None
    get(endpoint.url, "/die?77")
    begun = time.monotonic()
    failure = until(lambda: backend.failure(name))
    assert failure.kind is K.CRASH_UNDER_LOAD
    assert failure.exit_code == 77
    assert "dying as told with 77" in failure.log_tail
    assert time.monotonic() - begun < VISIBLE_SECONDS
    until(lambda: get(endpoint.url, "/health").status == 200)  # it serves again, and the round is still lost
    assert backend.failure(name).kind is K.CRASH_UNDER_LOAD


def test_a_pod_that_is_deleted_by_somebody_is_no_fault_of_the_configuration(bench, backend, up):
    name, _, _ = up
    (pod,) = bench.pods(name)
    client.CoreV1Api(bench.api).delete_namespaced_pod(pod.metadata.name, bench.namespace.name)
    assert until(lambda: backend.failure(name)).kind is K.NODE_FAULT


def test_an_actor_that_died_and_came_back_finds_its_deployment(bench, backend, up):
    name, endpoint, _ = up
    again = bench.backend()
    again.driver = backend.driver
    found = again.deploy(trial(50), probe=passes, progress=lambda line: None, cancel=lambda: False)
    assert (found.url, found.serving) == (endpoint.url, endpoint.serving)
    assert len(bench.pods(name)) == 1


def test_a_namesake_of_somebody_else_is_left_alone(bench, backend, apply, remove):
    config = trial(52)
    kind = "Service" if bench.kind == "kubernetes" else "InferenceService"
    theirs = {"metadata": {"name": config.name, "namespace": bench.namespace.name}, "kind": kind}
    if kind == "Service":
        theirs |= {"apiVersion": "v1", "spec": {"ports": [{"port": 80}]}}
    else:
        theirs |= {"apiVersion": "ome.io/v1beta1", "spec": {"model": {"name": "none"}, "engine": {}}}
    apply(theirs)
    try:
        with pytest.raises(BackendBroken, match="somebody else's"):
            backend.deploy(config, probe=passes, progress=lambda line: None, cancel=lambda: False)
    finally:
        remove(theirs)


def test_what_is_released_has_no_pods_left_although_its_owner_went_long_before(bench, backend):
    config = trial(53, "--fail", "ignore-sigterm")
    backend.deploy(config, probe=passes, progress=lambda line: None, cancel=lambda: False)
    backend.delete(config.name)
    time.sleep(0.7)
    assert not backend.released(config.name)
    until(lambda: backend.released(config.name))
    assert bench.pods(config.name) == []


def test_an_api_server_that_is_not_there_breaks_the_backend(bench, backend, monkeypatch):
    path = bench.folder / "nowhere.kubeconfig"
    text = Path(bench.namespace.kubeconfig).read_text()
    path.write_text(re.sub(r"server: .*", "server: https://127.0.0.1:9", text))
    access = replace(backend.cluster.access, kubeconfig=str(path))
    away = replace(backend, cluster=Cluster(backend.cluster.namespace, access=access))
    with pytest.raises(WorldError, match="does not answer"):
        away.sweep("x")
    with pytest.raises((WorldError, UserError), match="does not answer"):
        away.prepared(trial())
    for reader in (api_errors, watching):
        monkeypatch.setattr(reader, "AWAY_SECONDS", 2.0)
    begun = time.monotonic()
    with pytest.raises(BackendBroken, match="does not answer"):
        away.deploy(trial(54), probe=passes, progress=lambda line: None, cancel=lambda: False)
    assert time.monotonic() - begun < 2 + VISIBLE_SECONDS
    assert away.capacity() is None


def test_a_run_holds_a_lease_and_leaves_nothing(bench, backend):
    told: list[str] = []
    dead = bench.backend()
    dead.driver = "dead-1-1"
    dead.deploy(trial(60), probe=passes, progress=lambda line: None, cancel=lambda: False)
    run = trial().run
    with backend.running(run, say=told.append) as working:
        assert told == [f"removed {trial(60).name}, left behind by a driver that died"]
        until(lambda: working.released(trial(60).name))
        working.deploy(trial(61), probe=passes, progress=lambda line: None, cancel=lambda: False)
        (pod,) = bench.pods(trial(61).name)
        assert pod.metadata.labels["autotuner.io/run"] == run
        top = working.cluster.get(working.kind.made[0], trial(61).name)
        assert top["metadata"]["ownerReferences"][0]["kind"] == "Lease"
    assert bench.pods(trial(61).name) == []
    leases = client.CoordinationV1Api(bench.api).list_namespaced_lease(bench.namespace.name)
    assert [one.metadata.name for one in leases.items] == []


def test_deleting_the_lease_collects_everything_of_the_run(bench, backend):
    run = trial().run
    with backend.running(run) as working:
        working.deploy(trial(62), probe=passes, progress=lambda line: None, cancel=lambda: False)
        lease = f"autotuner-{run}"
        client.CoordinationV1Api(bench.api).delete_namespaced_lease(lease, bench.namespace.name)
        until(lambda: working.released(trial(62).name), seconds=40)


def test_the_manifest_to_apply_serves_with_nothing_of_the_trial_in_it(bench, backend, apply, remove):
    served = backend.serving(trial(63, "--parallel", "2"), name="production").manifest
    assert "autotuner.io" not in served
    manifests = list(yaml.safe_load_all(served))
    apply(served)
    try:
        core = client.CoreV1Api(bench.api)

        def ready():
            pods = core.list_namespaced_pod(bench.namespace.name).items
            return [
                p for p in pods if p.metadata.name.startswith("production") and p.status.phase == "Running"
            ]

        (pod,) = until(ready)
        assert "--parallel" in pod.spec.containers[0].args
    finally:
        for manifest in manifests:
            remove(manifest)
