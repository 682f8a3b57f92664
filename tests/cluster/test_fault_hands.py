"""What others do to a trial: its service deleted, its node drained, its pod evicted, its namespace deleted.

Every one of them is the node's or the moment's fault: the trial is interrupted, measured again where it can
be, and never condemned.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from backend_parts import Bench, is_of, passes, refused, trial, until
from backend_parts import benches as benches  # noqa: PLC0414
from kubernetes import client

from tuner.errors import BackendBroken, DeployInterrupted, FailureClass

pytestmark = pytest.mark.cluster
HERE = Path(__file__).parent
K = FailureClass


@pytest.fixture(scope="module", params=["ome", "kubernetes"])
def bench(request: pytest.FixtureRequest, benches: Any) -> Bench:
    return benches(request.param)


@pytest.fixture(scope="module")
def backend(bench: Bench) -> Any:
    return bench.backend()


@contextmanager
def up(backend: Any, number: int, *, attempt: int = 1, **more: Any):
    """The name of a trial that serves; nothing of it is left."""
    config = trial(number, attempt=attempt, **more)
    backend.deploy(config, probe=passes, progress=lambda line: None, cancel=lambda: False)
    try:
        yield config.name
    finally:
        backend.delete(config.name)
        until(lambda: backend.released(config.name), seconds=60)


def node_of(bench: Bench, name: str) -> str:
    (pod,) = (p for p in bench.pods(name) if p.metadata.deletion_timestamp is None)
    return pod.spec.node_name


def failure(backend: Any, name: str) -> str:
    """The message of the fault, which is the node's and one line."""
    found = until(lambda: backend.failure(name))
    assert found.kind is K.NODE_FAULT, found
    assert "\n" not in found.message
    return found.message


def delete_top(bench: Bench, backend: Any, name: str) -> None:
    """Its InferenceService or Deployment, as somebody with kubectl would."""
    if bench.kind == "ome":
        client.CustomObjectsApi(bench.api).delete_namespaced_custom_object(
            "ome.io", "v1beta1", bench.namespace.name, "inferenceservices", name
        )
    else:
        client.AppsV1Api(bench.api).delete_namespaced_deployment(name, bench.namespace.name)


def test_a_service_that_somebody_deletes_under_load_interrupts_the_trial(bench, backend):
    with up(backend, 1) as name:
        delete_top(bench, backend, name)
        assert "deleted by somebody else" in failure(backend, name) or "is gone" in failure(backend, name)


def test_a_service_that_somebody_deletes_on_its_way_up_interrupts_the_trial(bench, backend):
    config, raised = trial(2, "--fail", "slow=60"), []

    def deploy():
        raised.append(refused(backend, "--fail", "slow=60", number=2)[0])

    thread = threading.Thread(target=deploy)
    thread.start()
    until(lambda: any(p.status.phase == "Running" for p in bench.pods(config.name)))
    delete_top(bench, backend, config.name)
    thread.join(60)
    is_of(raised[0], DeployInterrupted, K.NODE_FAULT)
    assert "deleted by somebody else" in raised[0].failure.message
    assert bench.pods(config.name) == []


def test_a_node_that_is_drained_interrupts_the_trial_and_the_next_attempt_runs_on_another(bench, backend):
    core = client.CoreV1Api(bench.api)
    with up(backend, 3) as name:
        node = node_of(bench, name)
        core.patch_node(node, {"spec": {"unschedulable": True}})
        try:
            until(lambda: _evicted(bench, name))
            assert "taken away" in failure(backend, name) or "is gone" in failure(backend, name)
            backend.delete(name)
            with up(backend, 3, attempt=2) as again:
                assert node_of(bench, again) != node
        finally:
            core.patch_node(node, {"spec": {"unschedulable": False}})


def _evicted(bench: Bench, name: str) -> bool:
    """What `kubectl drain` asks for; refused while a disruption budget has not been counted yet."""
    (pod,) = bench.pods(name)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.metadata.name, "namespace": bench.namespace.name},
    }
    try:
        client.CoreV1Api(bench.api).create_namespaced_pod_eviction(
            pod.metadata.name, bench.namespace.name, eviction
        )
    except client.ApiException as refusal:
        assert refusal.status == 429, refusal
        return False
    return True


def test_a_pod_that_a_taint_evicts_interrupts_the_trial(bench, backend):
    core = client.CoreV1Api(bench.api)
    with up(backend, 4) as name:
        node = node_of(bench, name)
        taint = {"key": "tests.autotuner.io/out", "effect": "NoExecute"}
        core.patch_node(node, {"spec": {"taints": [taint]}})
        try:
            message = failure(backend, name)
        finally:
            core.patch_node(node, {"spec": {"taints": None}})
        assert "DeletionByTaintManager" in message or "is gone" in message


@pytest.fixture
def first_rank(bench, apply, remove):
    """The name of a priority class above the trials'."""
    made = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": f"{bench.namespace.name}-first"},
        "value": 100_000,
    }
    apply(made)
    yield made["metadata"]["name"]
    remove(made)


def test_a_preempted_trial_is_interrupted_and_measured_again(bench, first_rank):
    wide = bench.backend(accelerators=8)
    core, space = client.CoreV1Api(bench.api), bench.namespace.name
    with up(wide, 5, accelerators=8) as name:
        node = node_of(bench, name)
        pod = {
            "metadata": {"name": "first"},
            "spec": {
                "priorityClassName": first_rank,
                "nodeSelector": {"kubernetes.io/hostname": node},
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {"name": "x", "image": "local/pause:1", "resources": {"limits": {"nvidia.com/gpu": "8"}}}
                ],
            },
        }
        core.create_namespaced_pod(space, pod)
        try:
            found = until(lambda: wide.failure(name))
            assert found.kind is K.PREEMPTED
            assert "PreemptionByScheduler" in found.message and "\n" not in found.message
            wide.delete(name)
            until(lambda: wide.released(name), seconds=60)
            with up(wide, 5, attempt=2, accelerators=8) as again:
                assert node_of(bench, again) != node
        finally:
            core.delete_namespaced_pod("first", space)


def test_a_namespace_that_is_being_deleted_interrupts_what_serves_and_stops_the_run(benches, admin_api):
    doomed = benches("kubernetes")
    backend, space = doomed.backend(), doomed.namespace.name
    config = trial(6)
    backend.deploy(config, probe=passes, progress=lambda line: None, cancel=lambda: False)
    with _rights_that_stay(admin_api, space):
        client.CoreV1Api(admin_api).delete_namespace(space)
        assert "deleted by somebody else" in failure(backend, config.name) or doomed.pods(config.name) == []
        backend.delete(config.name)
        until(lambda: backend.released(config.name), seconds=60)
        error, _ = refused(backend, number=6, attempt=2)
        is_of(error, BackendBroken, K.BACKEND_BROKEN)
        assert "because it is being terminated" in error.failure.message
        assert "a namespace that stays" in error.failure.message
    core = client.CoreV1Api(admin_api)
    until(lambda: not core.list_namespace(field_selector=f"metadata.name={space}").items, seconds=90)


@contextmanager
def _rights_that_stay(api: client.ApiClient, space: str):
    """The account's rights outlive their namespace, or its deletion could not be told from a lost right."""
    rights = client.RbacAuthorizationV1Api(api)
    kept = [
        *((rights.patch_namespaced_role, r) for r in rights.list_namespaced_role(space).items),
        *(
            (rights.patch_namespaced_role_binding, r)
            for r in rights.list_namespaced_role_binding(space).items
        ),
    ]
    for patch, found in kept:
        patch(found.metadata.name, space, {"metadata": {"finalizers": ["tests.autotuner.io/stay"]}})
    try:
        yield
    finally:
        for patch, found in kept:
            patch(found.metadata.name, space, {"metadata": {"finalizers": None}})
