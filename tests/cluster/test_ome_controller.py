"""What makes services of InferenceServices in these tests does what OME 0.1.5 was recorded to do.

The records are those of OME_OBSERVED. With OME_MANAGER it is OME itself that is compared with them.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kubernetes import client

pytestmark = pytest.mark.cluster

HERE = Path(__file__).parent
Json = dict[str, Any]


def _by_path(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"cluster_{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


records, places = _by_path("ome_records"), _by_path("ome_place")
condition, is_ready = places.condition, places.is_ready
needs_records = pytest.mark.skipif(
    not (records.cases() and os.environ.get("OME_CRDS")),
    reason="no recorded cases of OME (OME_OBSERVED), or not its definitions (OME_CRDS) to replay them",
)


# --- the recorded cases, all created at once ---


@pytest.fixture(scope="module")
def replayed(
    ome: Any,
    admin_api: client.ApiClient,
    new_namespace: Callable[..., Any],
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    until: Callable[..., Any],
) -> Iterator[tuple[Any, dict[str, int]]]:
    """Where every case was created, one after the other, and the HTTP status of those that were refused.

    The last one created is a good one, and it was built: with the rest OME had its turn before.
    """
    setup = records.models_and_runtimes()
    apply(setup)
    try:
        with new_namespace("ome-records") as namespace:
            place, refused = places.Place(admin_api, namespace.name), {}
            for case in records.cases():
                try:
                    place.create(records.record(case)["input"])
                except client.ApiException as error:
                    refused[case] = error.status
            last = records.record("11-cmd-args")["input"]
            place.create({**last, "metadata": {"name": "the-last-one"}})
            until(lambda: place.is_starting("the-last-one"), seconds=120, what="the last one is built")
            yield place, refused
    finally:
        for manifest in setup:
            remove(manifest)


@needs_records
@pytest.mark.parametrize("case", records.cases())
def test_the_children_are_those_that_ome_was_recorded_to_make(
    case: str, replayed: tuple[Any, dict[str, int]], until: Callable[..., Any]
) -> None:
    place, refused = replayed
    recorded = records.record(case)
    assert refused.get(case) == records.refused_by_api(recorded)
    if case in refused:
        return
    name, expected = recorded["input"]["metadata"]["name"], records.recorded_children(recorded)

    def made() -> Json:
        return records.live_children(place.children(name), place.namespace)

    until(
        lambda: expected.keys() <= made().keys(), seconds=30, what=lambda: f"{expected.keys()}, not {made()}"
    )
    assert made() == expected


@needs_records
@pytest.mark.parametrize("case", records.cases_with_a_start())
def test_the_status_and_the_events_are_those_that_ome_was_recorded_to_give(
    case: str, replayed: tuple[Any, dict[str, int]], until: Callable[..., Any]
) -> None:
    place, refused = replayed
    if case in refused:
        return
    recorded = records.record(case)
    name, expected = recorded["input"]["metadata"]["name"], records.recorded_start(recorded)
    if expected is not None:
        until(
            lambda: place.is_starting(name),
            seconds=30,
            what=lambda: f"status {place.get(name).get('status')}",
        )
        assert records.start_of(place.get(name)["status"], place.namespace) == expected
    else:
        assert place.get(name).get("status", {}) == {}
    found = place.get(name)
    assert found["metadata"]["finalizers"] == ["inferenceservice.finalizers"]
    assert found["spec"] == recorded["inferenceService"]["specAfter"]
    events = records.recorded_events(recorded)

    def said() -> set[tuple[str, str]]:
        return records.live_events(place.events(name), place.namespace)

    until(lambda: said() == events, seconds=10, what=lambda: f"{events}, not {said()}")


# --- what needs no records ---


@pytest.fixture(scope="module")
def built(
    admin_api: client.ApiClient,
    ome: Any,
    new_namespace: Callable[..., Any],
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    nodes: list[str],
) -> Iterator[tuple[Any, Callable[..., Json]]]:
    """A place with a model and a runtime, and `service(name, engine)`: an InferenceService of both."""
    with new_namespace("ome-built") as namespace:
        model, runtime = f"{namespace.name}-model", f"{namespace.name}-runtime"
        objects = [_model(model), _runtime(runtime)]
        key = f"models.ome.io/clusterbasemodel.{model}"
        core = client.CoreV1Api(admin_api)
        apply(objects)
        for node in nodes:
            core.patch_node(node, {"metadata": {"labels": {key: "Ready"}}})
        try:
            yield (
                places.Place(admin_api, namespace.name),
                lambda name, engine: _service(name, engine, model, runtime),
            )
        finally:
            for node in nodes:
                core.patch_node(node, {"metadata": {"labels": {key: None}}})
            for manifest in objects:
                remove(manifest)


def _model(name: str) -> Json:
    spec = {
        "vendor": "test",
        "modelFormat": {"name": "safetensors", "version": "1.0.0"},
        "modelFramework": {"name": "transformers", "version": "4.36.0"},
        "modelType": "llama",
        "modelArchitecture": "LlamaForCausalLM",
        "modelParameterSize": "1B",
        "storage": {"storageUri": "pvc://models/tiny"},
    }
    meta = {"name": name, "annotations": {"ome.io/skip-config-parsing": "true"}}
    return {"apiVersion": "ome.io/v1beta1", "kind": "ClusterBaseModel", "metadata": meta, "spec": spec}


def _runtime(name: str) -> Json:
    """Its container does nothing and is ready at once: only one named ome-container is given a probe."""
    supported = {
        "modelFormat": {"name": "safetensors", "version": "1.0.0"},
        "modelFramework": {"name": "transformers", "version": "4.36.0"},
        "modelArchitecture": "LlamaForCausalLM",
        "autoSelect": False,
    }
    runner = {"name": "idle", "image": "local/pause:1", "ports": [{"name": "http1", "containerPort": 8080}]}
    spec = {"supportedModelFormats": [supported], "engineConfig": {"runner": runner}}
    meta = {"name": name}
    return {"apiVersion": "ome.io/v1beta1", "kind": "ClusterServingRuntime", "metadata": meta, "spec": spec}


def _service(name: str, engine: Json, model: str, runtime: str) -> Json:
    spec = {"model": {"name": model}, "runtime": {"name": runtime}, "engine": engine}
    return {
        "apiVersion": "ome.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": spec,
    }


def test_a_service_becomes_ready_says_so_and_takes_its_children_with_it(
    built: tuple[Any, Callable[..., Json]], until: Callable[..., Any]
) -> None:
    place, service = built
    place.create(service("comes-and-goes", {"minReplicas": 1, "maxReplicas": 1}))
    until(lambda: is_ready(place.get("comes-and-goes")), seconds=60, what="it is ready")
    status = place.get("comes-and-goes")["status"]
    assert status["url"] == f"http://comes-and-goes.{place.namespace}.svc.cluster.local:8080"
    assert condition({"status": status}, "EngineReady")["reason"] == "MinimumReplicasAvailable"
    reasons = lambda: {each["reason"] for each in place.events("comes-and-goes")}  # noqa: E731
    until(lambda: "InferenceServiceReady" in reasons(), seconds=10, what="the event says so")
    place.delete("comes-and-goes")
    until(lambda: not place.children("comes-and-goes"), seconds=30, what="its children are gone")
    with pytest.raises(client.ApiException, match="404"):
        place.get("comes-and-goes")


def test_changed_args_reach_the_pods_while_the_service_stays_ready(
    built: tuple[Any, Callable[..., Json]], until: Callable[..., Any]
) -> None:
    place, service = built
    runner = {"name": "idle", "args": ["--first"]}
    place.create(service("changes", {"runner": runner}))
    until(lambda: is_ready(place.get("changes")), seconds=60, what="it is ready")
    place.patch("changes", {"spec": {"engine": {"runner": {"args": ["--second"]}}}})

    def args() -> list[str]:
        return place.deployment("changes")["spec"]["template"]["spec"]["containers"][0]["args"]

    until(lambda: args() == ["--second"], seconds=10, what="the Deployment has the new args")
    assert is_ready(place.get("changes"))
    until(lambda: place.get("changes")["status"]["observedGeneration"] == 2, seconds=30, what="it was seen")


def test_an_engine_that_ended_is_told_of_when_something_else_is_changed(
    built: tuple[Any, Callable[..., Json]], engine_parts: Any, until: Callable[..., Any]
) -> None:
    place, service = built
    runner = {**engine_parts.container("--fail", "exit=7"), "name": "ome-container"}
    place.create(service("ends", {"runner": runner, "volumes": engine_parts.volumes}))

    def touched_and_told() -> bool:
        place.patch("ends", {"metadata": {"annotations": {"touched": str(len(place.events("ends")))}}})
        told = (place.get("ends").get("status") or {}).get("modelStatus") or {}
        return told.get("lastFailureInfo", {}).get("exitCode") == 7

    until(touched_and_told, seconds=60, what="the failure is written down")
    status = place.get("ends")["status"]
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert condition({"status": status}, "Ready")["reason"] == "Initializing"


def test_the_controller_ends_with_the_process_that_started_it(
    tmp_path: Path, until: Callable[..., Any]
) -> None:
    """Also when that is killed; shown with a server that nobody runs, for one controller a cluster."""
    config = tmp_path / "nowhere.kubeconfig"
    config.write_text(
        textwrap.dedent("""
        {apiVersion: v1, kind: Config, current-context: it,
         clusters: [{name: it, cluster: {server: "http://127.0.0.1:1"}}],
         users: [{name: it, user: {}}], contexts: [{name: it, context: {cluster: it, user: it}}]}
        """)
    )
    code = f"""
        import importlib.util, pathlib
        spec = importlib.util.spec_from_file_location("it", {str(HERE / "ome_controller.py")!r})
        module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
        with module.running_ome(pathlib.Path({str(config)!r}), pathlib.Path({str(tmp_path / "log")!r})):
            pass
        """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OME_", "TUNER_"))}
    starter = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=environment)
    try:
        until(lambda: _running_with(config), seconds=30, what="the controller runs")
        starter.send_signal(signal.SIGKILL)
        starter.wait()
        until(lambda: not _running_with(config), seconds=10, what="the controller has ended")
    finally:
        starter.kill()
        for left in _running_with(config):
            os.kill(int(left), signal.SIGKILL)


def _running_with(config: Path) -> list[str]:
    """The ids of the processes that name this kubeconfig in their command line, and are none of ours."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if str(config).encode() in words:
            found.append(command.parent.name)
    return found
