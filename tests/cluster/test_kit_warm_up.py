"""The warm-up Job that ships really reads the model, once on every node, as nobody in particular."""

from __future__ import annotations

import pytest
from engine_pod_parts import IMAGE
from kit_files import KIT, documents
from kubernetes import client

pytestmark = pytest.mark.cluster


@pytest.fixture
def job(namespace, nodes, engine_parts, models, apply, remove):
    """The Job as it ships but for its namespace, its number of nodes and where its programs come from."""
    models.chmod(0o755)  # a claim's folder that others than root may look into
    (priority,) = documents(KIT / "base" / "priority-class.yaml")
    (made,) = documents(KIT / "model" / "warm-up.yaml")
    made["metadata"]["namespace"] = namespace.name
    made["spec"]["completions"] = made["spec"]["parallelism"] = len(nodes)
    pod = made["spec"]["template"]["spec"]
    pod["volumes"] += engine_parts.volumes
    (container,) = pod["containers"]
    container["image"] = IMAGE
    container["volumeMounts"] += engine_parts.mounts
    apply(priority)
    yield made
    remove(priority)


def change(job, name, value):
    (variable,) = (
        each for each in job["spec"]["template"]["spec"]["containers"][0]["env"] if each["name"] == name
    )
    variable["value"] = value


def pods_of(admin_api, namespace):
    core = client.CoreV1Api(admin_api)
    return core.list_namespaced_pod(namespace.name, label_selector="app.kubernetes.io/name=warm-up").items


def test_every_node_has_read_the_model_before_the_job_is_ready(
    job, namespace, nodes, admin_api, apply, until, models
):
    change(job, "SUBPATH", namespace.subpath)
    apply(job)
    batch, core = client.BatchV1Api(admin_api), client.CoreV1Api(admin_api)
    until(
        lambda: batch.read_namespaced_job("warm-up", namespace.name).status.ready == len(nodes),
        seconds=120,
        what=lambda: f"all have read: {[pod.status for pod in pods_of(admin_api, namespace)]}",
    )
    found = pods_of(admin_api, namespace)
    assert sorted(pod.spec.node_name for pod in found) == sorted(nodes)
    there = sum(path.stat().st_size for path in (models / namespace.subpath).rglob("*") if path.is_file())
    for pod in found:
        said = core.read_namespaced_pod_log(pod.metadata.name, namespace.name)
        assert said.startswith(f"read {there} bytes of {namespace.subpath} in ")
        assert said.rstrip().endswith(f"on {pod.spec.node_name}")


def test_a_folder_without_files_fails_with_a_line_that_says_so(job, namespace, admin_api, apply, until):
    change(job, "SUBPATH", "no/such-model")
    apply(job)
    core = client.CoreV1Api(admin_api)

    def said() -> str:
        for pod in pods_of(admin_api, namespace):
            if pod.status.phase == "Failed":
                return core.read_namespaced_pod_log(pod.metadata.name, namespace.name)
        return ""

    assert "no files in no/such-model" in until(said, seconds=120, what="it has failed once")
