"""Every way not to come up that this cluster can show ends in its class, soon after it is visible."""

from __future__ import annotations

import copy
import subprocess
import threading
import time
from typing import Any

import pytest
from backend_parts import Bench, is_of, refused, trial, until
from backend_parts import benches as benches  # noqa: PLC0414
from kubernetes import client

from tuner.errors import BackendBroken, ConfigurationRefused, DeployInterrupted, FailureClass

pytestmark = pytest.mark.cluster
STOP, CONDEMN, RETRY = BackendBroken, ConfigurationRefused, DeployInterrupted
K = FailureClass
VISIBLE_SECONDS = 5.0
START_SECONDS = 8.0  # creation, scheduling, a container's start on a busy machine


@pytest.fixture(scope="module", params=["ome", "kubernetes"])
def bench(request: pytest.FixtureRequest, benches: Any) -> Bench:
    return benches(request.param)


@pytest.fixture(scope="module")
def backend(bench: Bench) -> Any:
    return bench.backend()


ENGINE = {
    "crash": (("--fail", "exit=3"), CONDEMN, K.CRASH, "ended with code 3"),
    "accelerator memory": (("--fail", "accelerator-oom"), CONDEMN, K.ACCELERATOR_OOM, "accelerator memory"),
}


@pytest.mark.parametrize("row", ENGINE)
def test_an_engine_that_ends_before_it_serves(backend, row):
    arguments, how, kind, text = ENGINE[row]
    error, seconds = refused(backend, *arguments)
    is_of(error, how, kind)
    assert text in error.failure.message
    assert "stub starts" in error.failure.log_tail
    assert seconds < START_SECONDS + VISIBLE_SECONDS


def test_an_engine_over_its_memory_limit(bench):
    small = bench.backend(pod={"resources": {"limits": {"memory": "96Mi"}}})
    error, _ = refused(small, "--fail", "memory")
    is_of(error, CONDEMN, K.OOM_KILLED)
    assert error.failure.exit_code == -9


def test_an_engine_that_never_gets_ready_has_its_own_deadline(bench):
    error, seconds = refused(bench.backend(ready_seconds=3), "--fail", "never-ready")
    is_of(error, CONDEMN, K.NEVER_READY)
    assert "not ready within 3 s" in error.failure.message
    assert "stub starts" in error.failure.log_tail
    assert seconds < 3 + START_SECONDS + VISIBLE_SECONDS


def test_an_image_that_is_not_there_is_tried_again_elsewhere(bench, apply, remove):
    if bench.kind == "ome":
        runtime = _runtime(bench, "no-image", image="registry.invalid/none/engine:404")
        apply(runtime)
        found = bench.backend(runtime=runtime["metadata"]["name"])
    else:
        found = bench.backend(image="registry.invalid/none/engine:404")
    try:
        first, _ = refused(found, number=30)
        is_of(first, RETRY, K.IMAGE)
        assert "registry.invalid/none/engine:404" in first.failure.message
        second = threading.Thread(target=lambda: refused(found, number=30, attempt=2))
        second.start()
        (pod,) = until(lambda: [p for p in bench.pods(trial(30, attempt=2).name) if p.spec.node_name])
        preferred = pod.spec.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution
        avoided = preferred[0].preference.match_fields[0].values
        assert pod.spec.node_name not in avoided
        second.join()
    finally:
        if bench.kind == "ome":
            remove(runtime)


def test_a_command_that_is_not_in_the_image(bench, apply, remove):
    if bench.kind == "ome":
        runtime = _runtime(bench, "no-command", command=["/no-such-program"])
        apply(runtime)
        found = bench.backend(runtime=runtime["metadata"]["name"])
    else:
        found = bench.backend(command=["/no-such-program"])
    try:
        error, _ = refused(found)
        is_of(error, CONDEMN, K.IMAGE)
    finally:
        if bench.kind == "ome":
            remove(runtime)


@pytest.fixture
def read_only_claim(bench, apply, remove, tmp_path):
    """The name of a claim on a file system that nothing can be written to."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)], check=True)
    name = f"{bench.namespace.name}-read-only"
    shape = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": shape | {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(tmp_path)}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": bench.namespace.name},
        "spec": shape | {"volumeName": name, "resources": {"requests": {"storage": "1Gi"}}},
    }
    try:
        apply([volume, claim])
        core = client.CoreV1Api(bench.api)
        read = core.read_namespaced_persistent_volume_claim
        until(lambda: read(name, bench.namespace.name).status.phase == "Bound")
        yield name
    finally:
        remove(claim)
        remove(volume)
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_sub_path_that_is_not_there(bench, read_only_claim):
    """Where it can write, the kubelet makes the directory, although the mount is read-only."""
    error, _ = refused(bench.backend(storage={"pvc_name": read_only_claim}))
    is_of(error, RETRY, K.MOUNT)
    assert "subPath" in error.failure.message


def test_a_claim_that_is_not_there_stops_the_run(bench):
    found = bench.backend()
    lacking = bench.unprepared(storage={"pvc_name": "no-such-claim"})
    lacking.mount, lacking.kind = found.mount, found.kind
    error, seconds = refused(lacking)
    is_of(error, STOP, K.MOUNT)
    assert "claim no-such-claim is not there" in error.failure.message
    assert seconds < 2 + 3 + VISIBLE_SECONDS  # it is given 3 s to come


def test_labels_that_no_node_has_stop_the_run(bench):
    error, seconds = refused(bench.backend(pod={"node_selector": {"zone": "nowhere"}}))
    is_of(error, STOP, K.UNSCHEDULABLE)
    assert seconds < 2 + 5 + VISIBLE_SECONDS


def test_what_no_node_could_ever_hold_is_condemned(bench):
    error, _ = refused(bench.backend(pod={"resources": {"requests": {"cpu": "640"}}}))
    is_of(error, CONDEMN, K.UNSCHEDULABLE)
    assert "640 cpu" in error.failure.message


def test_a_quota_that_is_used_up_is_waited_for_as_long_as_is_said(bench, apply, remove):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": bench.namespace.name},
        "spec": {"hard": {"pods": "0"}},
    }
    found = bench.backend(schedule_seconds=4)
    apply(quota)
    try:
        time.sleep(0.5)  # the API server reads quotas from a cache of its own
        error, seconds = refused(found)
    finally:
        remove(quota)
    is_of(error, RETRY, K.UNSCHEDULABLE)
    assert "exceeded quota" in error.failure.message
    assert seconds > 4


def _runtime(bench: Bench, name: str, **changes: Any) -> dict[str, Any]:
    """The bench's runtime under another name with its runner changed."""
    made = copy.deepcopy(bench.made[0])
    made["metadata"]["name"] = f"{bench.namespace.name}-{name}"
    made["spec"]["engineConfig"]["runner"] |= changes
    return made
