"""Queues and accelerators on a real scheduler: gates, claimed devices, resources of any name, classes."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import objects
import pytest
from backend_parts import Bench, is_of, passes, refused, trial, until
from backend_parts import benches as benches  # noqa: PLC0414
from kubernetes import client

from tuner.errors import BackendBroken, Cancelled, DeployInterrupted, FailureClass

pytestmark = pytest.mark.cluster
HERE = Path(__file__).parent
K = FailureClass
QUEUE = "kueue.x-k8s.io/queue-name"
GATE = "kueue.x-k8s.io/admission"
NPU = "example.com/npu"
DRIVER = "devices.tests.autotuner.io"


@pytest.fixture(scope="module", params=["ome", "kubernetes"])
def bench(request: pytest.FixtureRequest, benches: Any) -> Bench:
    return benches(request.param)


@pytest.fixture(scope="module")
def plain(benches: Any) -> Bench:
    return benches("kubernetes")


# -- a queue ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gated(bench, apply, remove):
    """In the bench's namespace pods of a queue are made with Kueue's gate, as its webhook makes them."""
    version = next(
        (
            v
            for v in ("v1", "v1beta1")
            if objects.knows(bench.api, f"{_GROUP}/{v}", "MutatingAdmissionPolicy")
        ),
        None,
    )
    if version is None:
        pytest.skip(
            "the API server has no MutatingAdmissionPolicy, which stands for the queue's webhook here"
        )
    name = f"queue-{bench.namespace.name}"
    head = {"apiVersion": f"{_GROUP}/{version}", "metadata": {"name": name}}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    labelled = f"has(object.metadata.labels) && '{QUEUE}' in object.metadata.labels"
    value = f"[{{'name': '{GATE}'}}]"
    patch = f'[JSONPatch{{op: "add", path: "/spec/schedulingGates", value: {value}}}]'
    here = {"matchLabels": {"kubernetes.io/metadata.name": bench.namespace.name}}
    policy = {
        "kind": "MutatingAdmissionPolicy",
        "spec": {
            "matchConstraints": {"resourceRules": [pods]},
            "matchConditions": [{"name": "queued", "expression": labelled}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
        },
    }
    binding = {
        "kind": "MutatingAdmissionPolicyBinding",
        "spec": {"policyName": name, "matchResources": {"namespaceSelector": here}},
    }
    made = [head | policy, head | binding]
    apply(made)
    until(lambda: _gates(bench), seconds=30)
    yield
    for one in reversed(made):
        remove(one)


_GROUP = "admissionregistration.k8s.io"


def _gates(bench: Bench) -> bool:
    """Whether a pod with the label would be gated by now."""
    container = {"name": "x", "image": "local/pause:1"}
    pod = {"metadata": {"name": "probe", "labels": {QUEUE: "x"}}, "spec": {"containers": [container]}}
    made = client.CoreV1Api(bench.api).create_namespaced_pod(bench.namespace.name, pod, dry_run="All")
    return bool(made.spec.scheduling_gates)


def admit(bench: Bench, pod: client.V1Pod) -> None:
    """As the queue does when there is quota."""
    patch = [{"op": "remove", "path": "/spec/schedulingGates"}]
    client.CoreV1Api(bench.api).patch_namespaced_pod(pod.metadata.name, bench.namespace.name, patch)


def say_pending(bench: Bench, pod: client.V1Pod, why: str) -> None:
    """As Kueue says on the pod's Workload that there is no quota."""
    about = {"kind": "Workload", "apiVersion": "kueue.x-k8s.io/v1beta1", "namespace": bench.namespace.name}
    name = f"pod-{pod.metadata.name}-12ab3"
    event = {
        "metadata": {"name": name, "namespace": bench.namespace.name},
        "involvedObject": about | {"name": name, "uid": "workload"},
        "reason": "Pending",
        "type": "Warning",
        "message": why,
    }
    client.CoreV1Api(bench.api).create_namespaced_event(bench.namespace.name, event)


@contextmanager
def coming_up(backend: Any, config: Any):
    """(what progress said, what it came to): a deployment in a thread; nothing of it is left."""
    lines: list[str] = []
    came: list[Any] = []
    over = threading.Event()

    def bring_up():
        with suppress(Cancelled, DeployInterrupted):
            came.append(backend.deploy(config, probe=passes, progress=lines.append, cancel=over.is_set))

    thread = threading.Thread(target=bring_up)
    thread.start()
    try:
        yield lines, came
    finally:
        over.set()
        thread.join(30)
        backend.delete(config.name)
        until(lambda: backend.released(config.name), seconds=60)


def test_a_trial_waits_for_its_queue_outside_the_ready_deadline_says_on_what_and_serves_once_admitted(
    bench, gated
):
    backend = bench.backend(queue="tuning", ready_seconds=5, image_seconds=5, schedule_seconds=120)
    config = trial(1)
    with coming_up(backend, config) as (lines, came):
        (pod,) = until(lambda: bench.pods(config.name))
        assert pod.metadata.labels[QUEUE] == "tuning"
        until(lambda: f"waiting to be admitted to queue tuning (gate {GATE})" in lines)
        assert backend.waiting(config.run).startswith(f"{config.name} waits to be admitted to queue tuning")
        why = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu"
        say_pending(bench, pod, why)
        until(lambda: any(line.endswith(why) for line in lines))
        begun = len(lines)
        until(lambda: _seconds_old(bench, config.name) > 7)  # longer than both deadlines together may last
        assert not came and len(lines) == begun
        admit(bench, pod)
        (endpoint,) = until(lambda: came, seconds=60)
        assert endpoint.times["scheduled"] > 5
        # preempted: Kueue deletes the pod, and the one that takes its place is gated again
        client.CoreV1Api(bench.api).delete_namespaced_pod(pod.metadata.name, bench.namespace.name)
        found = until(lambda: backend.failure(config.name))
        assert found.kind is K.NODE_FAULT
    again = trial(1, attempt=2)
    with coming_up(backend, again) as (_, came):
        (pod,) = until(lambda: bench.pods(again.name))
        admit(bench, pod)
        assert until(lambda: came, seconds=60)


def _seconds_old(bench: Bench, name: str) -> float:
    (pod,) = bench.pods(name)
    return time.time() - float(pod.metadata.creation_timestamp.timestamp())


# -- claimed devices -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def devices(plain, nodes, apply, remove):
    """A device class with four devices on the first node; templates for one, two and four of them."""
    made = [
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": DRIVER},
            "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]},
        },
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": f"{sorted(nodes)[0]}-{DRIVER}"},
            "spec": {
                "driver": DRIVER,
                "nodeName": sorted(nodes)[0],
                "pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1},
                "devices": [{"name": f"device-{number}"} for number in range(4)],
            },
        },
    ]
    for count in (1, 2, 4):
        exactly = {"deviceClassName": DRIVER, "count": count}
        spec = {"devices": {"requests": [{"name": "all", "exactly": exactly}]}}
        head = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "spec": {"spec": spec}}
        made.append(head | {"metadata": {"name": f"devices-{count}", "namespace": plain.namespace.name}})
    if not objects.knows(plain.api, "resource.k8s.io/v1", "DeviceClass"):
        pytest.skip("the API server has no resource.k8s.io/v1: Kubernetes 1.34 or later")
    apply(made)
    yield
    for one in reversed(made):
        remove(one)


def allocated(bench: Bench, name: str) -> int:
    """How many devices the claims of a deployment's pods have."""
    custom = client.CustomObjectsApi(bench.api)
    claims = custom.list_namespaced_custom_object(
        "resource.k8s.io", "v1", bench.namespace.name, "resourceclaims"
    )["items"]
    own = [c for c in claims if c["metadata"]["ownerReferences"][0]["name"].startswith(name)]
    given = (c.get("status", {}).get("allocation", {}).get("devices", {}).get("results", ()) for c in own)
    return sum(len(results) for results in given)


def test_a_trial_claims_as_many_devices_as_it_takes_and_the_next_waits_for_them(plain, devices):
    """No driver stands behind these devices: the scheduler gives them, the kubelet cannot prepare them."""
    wide = plain.backend(accelerators=4, accelerator_claim="devices-{count}", schedule_seconds=120)
    first, second = trial(10, accelerators=4), trial(11, accelerators=2)
    assert wide.capacity() is None  # which devices fit a claim, the scheduler alone can tell
    with coming_up(wide, first):
        until(lambda: allocated(plain, first.name) == 4)
        (pod,) = plain.pods(first.name)
        assert pod.spec.node_name == sorted(n.metadata.name for n in _nodes(plain))[0]
        assert pod.spec.containers[0].resources.limits is None
        with coming_up(wide, second) as (lines, _):
            until(lambda: any("cannot allocate all claims" in line for line in lines))
            waits = wide.waiting(second.run)
            assert waits.startswith(f"{second.name} waits for accelerators to claim")
            wide.delete(first.name)
            until(lambda: allocated(plain, second.name) == 2, seconds=60)
    until(lambda: allocated(plain, "") == 0)


def _nodes(bench: Bench) -> list[client.V1Node]:
    return client.CoreV1Api(bench.api).list_node().items


def test_a_number_for_which_there_is_no_template_stops_the_run(plain, devices):
    backend = plain.backend(accelerators=3, accelerator_claim="devices-{count}")
    error, seconds = refused(backend, number=12, accelerators=3)
    is_of(error, BackendBroken, K.UNSCHEDULABLE)
    assert "devices-3" in error.failure.message
    assert "would be right: deploy.accelerator_claim" in error.failure.message
    assert seconds < 20


# -- resources of any name, classes of nodes -------------------------------------------------------


@pytest.fixture
def classes(plain, nodes):
    """Two classes of nodes, each with four accelerators of another kind; the second is tainted."""
    core = client.CoreV1Api(plain.api)
    taint = {"key": "class", "value": "b", "effect": "NoSchedule"}
    for node, kind in zip(sorted(nodes), "ab", strict=True):
        count = {NPU: "4"}
        core.patch_node_status(node, {"status": {"capacity": count, "allocatable": count}})
        core.patch_node(
            node,
            {"metadata": {"labels": {"class": kind}}, "spec": {"taints": [taint] if kind == "b" else None}},
        )
    yield dict(zip("ab", sorted(nodes), strict=True))
    for node in nodes:
        core.patch_node(node, {"metadata": {"labels": {"class": None}}, "spec": {"taints": None}})
        count = {NPU: None}
        core.patch_node_status(node, {"status": {"capacity": count, "allocatable": count}})


def test_the_class_of_nodes_is_chosen_by_a_parameter_and_its_accelerators_have_a_name_of_their_own(
    plain, classes
):
    wanted = {
        "a": {"node_selector": {"class": "a"}},
        "b": {"node_selector": {"class": "b"}, "tolerations": [{"key": "class", "value": "b"}]},
    }
    parameter = {"kind": {"values": ["a", "b"], "place": "deploy.node_class"}}
    backend = plain.backend(accelerators=3, gpu_resource=NPU, node_classes=wanted, parameters=parameter)
    for number, (kind, node) in enumerate(classes.items(), start=20):
        config = trial(number, accelerators=3, places={"deploy.node_class": kind})
        with coming_up(backend, config) as (_, came):
            (endpoint,) = until(lambda came=came: came, seconds=60)
            assert endpoint.node == node
            (pod,) = plain.pods(config.name)
            assert pod.spec.containers[0].resources.limits == {NPU: "3"}
    error, _ = refused(
        backend, number=25, accelerators=5, places={"deploy.node_class": "a"}
    )  # more than any of its class has
    assert error.failure.kind is K.UNSCHEDULABLE and f"5 {NPU}" in error.failure.message
