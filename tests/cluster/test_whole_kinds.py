"""Whole searches from the seed's task JSON, and from a claim and a node's own files at the same time."""

from __future__ import annotations

import json
from pathlib import Path

import namespaces as test_namespaces
import pytest
import search_site
from kubernetes import client

pytestmark = pytest.mark.cluster

HERE = Path(__file__).parent
SHORT = {"rounds": 2, "round_seconds": 1, "warmup_seconds": 0.5}
TASK = [
    f"--set={key}"
    for key in (
        "deploy.endpoint=pod",
        "deploy.stop_seconds=5",
        *(f"workload.{name}={value}" for name, value in SHORT.items()),
        "validation.deployments=2",
        "search.parallel=1",
    )
]


@pytest.fixture
def on_nodes(place, apply, remove, admin_api, nodes):
    """A second model that is in a folder of the nodes, as OME's model agent would leave it."""
    name = f"{place.namespace.name}-local"
    path = str(place.namespace.models / place.namespace.subpath)
    model = search_site.model_object(name, place.namespace, path)
    model["spec"]["storage"]["storageUri"] = f"local://{path}"
    apply(model)
    label = f"models.ome.io/clusterbasemodel.{name}"
    _label(admin_api, nodes, label, "Ready")
    yield name
    _label(admin_api, nodes, label, None)
    remove(model)


def _label(api, nodes, label, value):
    for node in nodes:
        client.CoreV1Api(api).patch_node(node, {"metadata": {"labels": {label: value}}})


def test_a_claim_and_the_nodes_own_files_are_searched_at_the_same_time_and_compared(place, on_nodes):
    common = {
        "workload": SHORT,
        "search": {"trials": 3, "parallel": 1},
        "parameters": {"slots": {"values": [1, 16, 24], "flag": "--parallel"}},
        "baseline": {"slots": 16},
    }
    claim = place.start(place.experiment("from-claim", **common))
    local = place.start(
        place.experiment(
            "from-nodes", model={"name": on_nodes}, storage={"type": "hostPath"} | _NO_CLAIM, **common
        )
    )
    mounted = set()
    while local.process.poll() is None or claim.process.poll() is None:
        for pod in place.pods("autotuner.io/run"):
            for volume in pod.spec.volumes:
                if volume.name in (place.model, on_nodes):
                    mounted.add((volume.name, volume.persistent_volume_claim is not None))
        claim.process.poll()
    for started in (claim, local):
        ended = started.wait(1)
        assert ended.code in (0, 3), f"{ended.out}\n{ended.err}"
    assert mounted == {(place.model, True), (on_nodes, False)}
    assert place.labelled() == []
    compared = place.run(
        "compare",
        search_site.only_run(place, "from-claim").name,
        search_site.only_run(place, "from-nodes").name,
        module="tuner",
        seconds=60,
    )
    assert compared.code == 0, compared.err
    assert "storage" in compared.out and "%" in compared.out and "baseline" in compared.out


_NO_CLAIM = {"pvc_name": None, "pvc_subpath": None, "mount_path": None}


@pytest.fixture
def seeds_place(mount_admission, ome, admin_api, apply, remove, engine_parts, models, tmp_path):
    """What the seed's task names: namespace, claim, model and runtime."""
    task = json.loads((HERE.parents[1] / "search_spaces" / "llama_task.json").read_text())
    namespaces = test_namespaces
    with namespaces.namespace_with_model(
        admin_api,
        task["model"]["namespace"],
        models=models,
        subpath=task["storage"]["pvc_subpath"],
        rights=[HERE.parents[1] / "cluster" / name for name in ("rbac.yaml", "rbac-optional.yaml")],
        folder=tmp_path,
        mount="policy",
    ) as namespace:
        model = search_site.model_object(task["model"]["id_or_path"], namespace, None)
        runtime = search_site.runtime_object(task["base_runtime"], engine_parts)
        with search_site.site(
            namespace, api=admin_api, apply=apply, remove=remove, parts=engine_parts, folder=tmp_path
        ) as made:
            apply([model, runtime])
            try:
                yield made
            finally:
                remove(model)
                remove(runtime)


def test_the_seeds_task_runs_unchanged_to_a_verdict(seeds_place, until):
    started = seeds_place.start(HERE.parents[1] / "search_spaces" / "llama_task.json", *TASK)
    pods = until(
        lambda: [p for p in seeds_place.pods("autotuner.io/task=pvc-test") if p.spec.node_name],
        seconds=60,
        what="the first trial's pod",
    )
    annotations = pods[0].metadata.annotations
    assert annotations["ome.io/storage-type"] == "pvc"
    assert annotations["ome.io/pvc-name"] == "model-storage-pvc"
    assert annotations["ome.io/pvc-subpath"] == "meta/llama-3-2-1b-instruct"
    assert "ome.io/mount-path" not in annotations
    engine = next(c for c in pods[0].spec.containers if c.name == "ome-container")
    mount = next(m for m in engine.volume_mounts if m.name == "llama-3-2-1b-instruct")
    assert (mount.mount_path, mount.read_only) == ("/raid/models/llama-3-2-1b-instruct", True)
    ended = started.wait(300)
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    run = search_site.only_run(seeds_place)
    assert json.loads((run / "best.json").read_text())["verdict"]
    tuned = [line for line in search_site.trials(run) if line["params"]]
    assert tuned and all(
        line["arguments"] == ["--tp-size", "1", "--mem-fraction-static", "0.9"] for line in tuned
    )
    assert seeds_place.labelled() == []
