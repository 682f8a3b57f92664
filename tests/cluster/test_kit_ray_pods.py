"""A whole search from within the cluster: head and worker are pods as they ship, under its account."""

from __future__ import annotations

import json
import os
import time

import definitions
import kit_ray
import pytest
import yaml
from kit_files import crds
from kubernetes import client
from kubernetes.stream import stream

pytestmark = pytest.mark.cluster

UID = 65532


def in_pod(core, namespace, pod, *command, seconds=60, meanwhile=lambda: None):
    """Exit code and output of a command in a pod; `meanwhile` is called about once a second."""
    channel = stream(
        core.connect_get_namespaced_pod_exec,
        pod,
        namespace,
        command=list(command),
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
        _preload_content=False,
    )
    deadline = time.monotonic() + seconds
    said = ""
    while channel.is_open():
        channel.update(timeout=1)
        said += channel.read_stdout(timeout=0) if channel.peek_stdout() else ""
        said += channel.read_stderr(timeout=0) if channel.peek_stderr() else ""
        meanwhile()
        if time.monotonic() > deadline:
            raise AssertionError(f"{' '.join(command)} has not ended within {seconds} s: {said[-3000:]}")
    return channel.returncode, said


@pytest.fixture(scope="module")
def owned(admin_api):
    """Whether the API server knows RayClusters, which then own trials."""
    folder = os.environ.get("KUBERAY_CRDS")
    if folder:
        definitions.install_definitions(admin_api, crds(folder))
    return bool(folder)


@pytest.fixture
def ray(place, owned, admin_api, apply, remove, until, engine_parts, tmp_path_factory):
    """Head and a worker that has joined it, and the folder that is the run directory."""
    namespace = place.namespace.name
    folder = tmp_path_factory.mktemp("runs")
    folder.chmod(0o777)  # what fsGroup does to a volume that is no hostPath
    place.namespace.models.chmod(0o755)
    file = place.experiment(
        deploy={"accelerators": "1"},
        search={"trials": 3},
        validation={"enabled": False},
        slo={"ttft_p50_ms": 60_000},  # how fast it is on this machine is not asked here
    )
    volume, claim = kit_ray.run_directory(namespace, folder)
    core = client.CoreV1Api(admin_api)

    def log(pod):
        return core.read_namespaced_pod_log(pod, namespace)

    try:
        apply([volume, claim, kit_ray.experiment(namespace, file.read_text())])
        if owned:
            apply(kit_ray.ray_cluster(namespace))
        host = admin_api.configuration.host
        apply(kit_ray.head(namespace, engine_parts, api_server=host))
        address = until(
            lambda: core.read_namespaced_pod("head", namespace).status.pod_ip, seconds=60, what="the head"
        )
        until(lambda: joined(core, namespace) == 1, seconds=120, what=lambda: f"Ray is up: {log('head')}")
        apply(kit_ray.worker(namespace, engine_parts, head_address=address))
        until(lambda: joined(core, namespace) == 2, seconds=120, what=lambda: f"it joins: {log('worker')}")
        yield folder
    finally:
        remove(volume)


def joined(core, namespace):
    """How many Ray nodes there are, by Ray itself."""
    script = "import ray; ray.init(log_to_driver=False); print('nodes', sum(n['Alive'] for n in ray.nodes()))"
    try:
        code, said = in_pod(core, namespace, "head", "python", "-c", script)
    except client.ApiException:  # its container has not started
        return 0
    return int(said.rpartition("nodes ")[2].split()[0]) if code == 0 else 0


def owners_of_trials(api, namespace):
    """Kind and name of what owns the InferenceServices that there are."""
    services = client.CustomObjectsApi(api).list_namespaced_custom_object(
        "ome.io", "v1beta1", namespace, "inferenceservices"
    )
    owners = [own for each in services["items"] for own in each["metadata"].get("ownerReferences", [])]
    return {(own["kind"], own["name"]) for own in owners}


def test_a_search_within_the_cluster_comes_to_its_end_under_the_shipped_account(ray, owned, place, admin_api):
    core, namespace = client.CoreV1Api(admin_api), place.namespace.name
    code, said = in_pod(core, namespace, "head", "tuner", "check", "/experiment/experiment.yaml")
    assert code == 0, said
    assert not [line for line in said.splitlines() if line.startswith("warning")]

    owners = set()
    code, said = in_pod(
        core,
        namespace,
        "head",
        *("bash", "/experiment/tune.sh"),
        seconds=400,
        meanwhile=lambda: owners.update(owners_of_trials(admin_api, namespace)),
    )
    assert code == 0, said
    (run,) = ray.glob("*-pvc-small")
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    assert any(line["state"] == "complete" for line in lines)
    assert {path.stat().st_uid for path in run.rglob("*")} == {UID}
    assert yaml.safe_load((run / "best.yaml").read_text())["kind"] == "InferenceService"
    assert owners == {("RayCluster", kit_ray.CLUSTER) if owned else ("Lease", f"tuner-{run.name}")}
    assert place.labelled(run.name) == []
