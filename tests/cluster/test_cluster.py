"""The cluster that other tests build on: nodes, the engine in a pod from the claim, failures on demand."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client, config

pytestmark = pytest.mark.cluster

NODES = [0, 1]


@pytest.fixture
def start(admin_api: client.ApiClient, module_namespace: Any, apply: Callable, remove: Callable) -> Any:
    """Start a pod with this spec; returns how it is now, each time it is called. Removed after the test."""
    made = []
    core = client.CoreV1Api(admin_api)

    def started(name: str, spec: dict[str, Any]) -> Callable[[], client.V1Pod]:
        metadata = {"name": name, "namespace": module_namespace.name}
        made.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})
        apply(made[-1] | {"spec": spec})
        return lambda: core.read_namespaced_pod(name, module_namespace.name)

    yield started
    for pod in made:
        remove(pod)


@pytest.fixture
def engine_spec(engine_parts: Any, module_namespace: Any) -> Callable[..., dict[str, Any]]:
    """A pod's spec: the engine on the claim's model."""
    return lambda *arguments, **more: engine_parts.pod(
        *arguments, claim=module_namespace.claim, subpath=module_namespace.subpath, **more
    )


def is_ready(pod: client.V1Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or [])


def ended(pod: client.V1Pod) -> client.V1ContainerStateTerminated | None:
    """How the container last ended."""
    for status in pod.status.container_statuses or []:
        return status.state.terminated or status.last_state.terminated
    return None


def completion(address: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://{address}:8080/v1/completions",
        json.dumps({"prompt": "bako titu", "max_tokens": 3, "ignore_eos": True}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_two_nodes_are_ready(admin_api: client.ApiClient) -> None:
    nodes = client.CoreV1Api(admin_api).list_node().items
    assert [node.metadata.name for node in nodes if is_ready(node)] == ["node1", "node2"]


def test_each_node_advertises_eight_accelerators(admin_api: client.ApiClient) -> None:
    nodes = client.CoreV1Api(admin_api).list_node().items
    assert [node.status.allocatable.get("nvidia.com/gpu") for node in nodes] == ["8", "8"]


def test_a_pod_takes_accelerators_only_while_there_are_some(
    start: Callable, engine_spec: Callable, until: Callable
) -> None:
    fits = start("fits", engine_spec("--fail", "never-ready", accelerators=8))
    until(lambda: fits().status.phase == "Running", seconds=120, what="a pod of 8 runs")
    too_many = start("too-many", engine_spec("--fail", "never-ready", accelerators=9))
    message = until(
        lambda: (too_many().status.conditions or [None])[0], seconds=30, what="the scheduler has looked at it"
    ).message
    assert "Insufficient nvidia.com/gpu" in message


@pytest.mark.parametrize("number", NODES)
def test_a_pod_on_each_node_serves_the_model_of_the_claim(
    number: int, nodes: list[str], start: Callable, engine_spec: Callable, until: Callable
) -> None:
    spec = engine_spec("--parallel", "2") | {"nodeSelector": {"kubernetes.io/hostname": nodes[number]}}
    pod = start(f"serves-{number}", spec)
    until(lambda: is_ready(pod()), seconds=60, what=lambda: f"the pod is ready: {pod().status}")
    assert pod().spec.node_name == nodes[number]
    assert completion(pod().status.pod_ip)["usage"]["completion_tokens"] == 3


def test_the_model_is_mounted_from_its_folder_in_the_claim_and_cannot_be_written(
    admin_api: client.ApiClient,
    module_namespace: Any,
    start: Callable,
    engine_spec: Callable,
    until: Callable,
) -> None:
    spec = engine_spec() | {"restartPolicy": "Never"}
    spec["containers"][0]["command"] = ["/bin/sh", "-c", 'ls "$MODEL_PATH"; touch "$MODEL_PATH/written"']
    pod = start("mounted", spec)
    until(lambda: ended(pod()), seconds=30, what="the container has ended")
    log = client.CoreV1Api(admin_api).read_namespaced_pod_log("mounted", module_namespace.name)
    assert log.splitlines()[0] == "model.gguf"
    assert "Read-only file system" in log


@pytest.mark.parametrize(
    ("failure", "ending"),
    [
        ("exit=3", (3, "Error")),
        ("exit=4@2", (4, "Error")),
        ("memory", (137, "OOMKilled")),
        ("accelerator-oom", (1, "Error")),
    ],
)
def test_an_engine_ends_in_the_way_that_was_asked_for(
    failure: str, ending: tuple[int, str], start: Callable, engine_spec: Callable, until: Callable
) -> None:
    spec = engine_spec("--fail", failure, memory="400Mi") | {"restartPolicy": "Never"}
    pod = start("ends-" + failure.replace("=", "-").replace("@", "-"), spec)
    end = until(lambda: ended(pod()), seconds=60, what=lambda: f"the container has ended: {pod().status}")
    assert (end.exit_code, end.reason) == ending


def test_an_engine_that_runs_out_of_accelerator_memory_says_it_as_pytorch_does(
    admin_api: client.ApiClient,
    module_namespace: Any,
    start: Callable,
    engine_spec: Callable,
    until: Callable,
) -> None:
    pod = start("says", engine_spec("--fail", "accelerator-oom") | {"restartPolicy": "Never"})
    until(lambda: ended(pod()), seconds=30, what="the container has ended")
    log = client.CoreV1Api(admin_api).read_namespaced_pod_log("says", module_namespace.name)
    assert "CUDA out of memory" in log


@pytest.mark.parametrize("failure", ["none", "ignore-sigterm"])
def test_an_engine_heeds_sigterm_unless_asked_not_to(
    failure: str, start: Callable, remove: Callable, engine_spec: Callable, until: Callable
) -> None:
    name = f"stops-{failure}"
    pod = start(name, engine_spec("--fail", failure))
    until(lambda: is_ready(pod()), seconds=60, what=lambda: f"the pod is ready: {pod().status}")
    remove(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": pod().metadata.namespace}}
    )
    begun = time.monotonic()
    until(lambda: _is_gone(pod), seconds=30, what="the pod is gone")
    took_all_its_grace = time.monotonic() - begun > 5  # that of pods of engine_parts
    assert took_all_its_grace is (failure == "ignore-sigterm")


def _is_gone(pod: Callable[[], client.V1Pod]) -> bool:
    try:
        pod()
    except client.ApiException as error:
        return error.status == 404
    return False


def test_flags_of_another_engine_are_dropped_where_asked(
    start: Callable, engine_spec: Callable, until: Callable
) -> None:
    flags = ("--tp-size", "2", "--parallel", "2", "--mem-fraction-static", "0.8", "--enable-mixed-chunk")
    pod = start("foreign", engine_spec(*flags, env={"ENGINE_IGNORE_UNKNOWN": "1"}))
    until(lambda: is_ready(pod()), seconds=60, what=lambda: f"the pod is ready: {pod().status}")


def test_the_tuners_account_works_in_its_namespace_and_nowhere_else(module_namespace: Any) -> None:
    api = client.CoreV1Api(config.new_client_from_config(str(module_namespace.kubeconfig)))
    api.list_namespaced_pod(module_namespace.name)
    with pytest.raises(client.ApiException, match="403"):
        api.list_namespaced_pod("kube-system")
    with pytest.raises(client.ApiException, match="403"):
        api.delete_namespace(module_namespace.name)


def test_with_the_readers_rights_the_account_sees_the_nodes_too(
    new_namespace: Callable, module_namespace: Any
) -> None:
    with new_namespace(reader=True) as namespace:
        config_file = str(namespace.kubeconfig)
        assert client.CoreV1Api(config.new_client_from_config(config_file)).list_node().items
    without = client.CoreV1Api(config.new_client_from_config(str(module_namespace.kubeconfig)))
    with pytest.raises(client.ApiException, match="403"):
        without.list_node()


def test_omes_kinds_are_known(
    ome_definitions: None, admin_api: client.ApiClient, module_namespace: Any
) -> None:
    custom = client.CustomObjectsApi(admin_api)
    kinds = ("inferenceservices", "servingruntimes", "basemodels")
    for kind in kinds:
        custom.list_namespaced_custom_object("ome.io", "v1beta1", module_namespace.name, kind)
    for kind in ("clusterbasemodels", "clusterservingruntimes"):
        custom.list_cluster_custom_object("ome.io", "v1beta1", kind)
