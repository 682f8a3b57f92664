"""What is sent to the cluster, whole. UPDATE_GOLDEN=1 writes the files anew; read the difference."""

import dataclasses
import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tuner.deploy.kubernetes.manifests import (
    cluster_base_model,
    deployment,
    inference_service,
    to_yaml,
    wanted_of,
)
from tuner.deploy.kubernetes.object_checks import object_faults
from tuner.deploy.kubernetes.runtime import Runtime
from tuner.deploy.kubernetes.wanted import DRIVER, EXPERIMENT_ID, RUN, TASK, Identity, Mount, Way
from tuner.spec import load_experiment
from tuner.trial.ports import Phase, TrialConfig

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
SPACES = HERE.parents[2] / "search_spaces"
SEED_TEMPLATE = HERE / "seed_inference_service.yaml.j2"
SGLANG = Runtime(
    name="sglang-llama-small",
    kind="ClusterServingRuntime",
    command=("python3", "-m", "sglang.launch_server"),
    args=("--host=0.0.0.0", "--port=8080", "--model-path=$(MODEL_PATH)", "--mem-fraction-static=0.9"),
)
OWNER = {
    "apiVersion": "ray.io/v1",
    "kind": "RayCluster",
    "name": "tuner",
    "uid": "11111111-2222-3333-4444-555555555555",
    "controller": False,
    "blockOwnerDeletion": False,
}
POLICY = Mount(Way.POLICY, "/raid/models/meta/llama-3-2-1b-instruct", annotate=True)


def trial_of(experiment, params=None, **changes):
    space = experiment.space
    params = space.baseline if params is None else params
    trial = TrialConfig(
        run="k3m9x2qa-pvc",
        trial=12,
        phase=Phase.SEARCH,
        attempt=1,
        params=space.active(params),
        arguments=space.arguments(params),
        environment=space.environment(params),
        places=space.places(params),
        accelerators=space.accelerators(params),
    )
    return dataclasses.replace(trial, **changes)


def identity_of(experiment, trial, **more):
    labels = {TASK: experiment.name, EXPERIMENT_ID: trial.name, RUN: trial.run, DRIVER: "d-1"}
    return Identity(trial.name, labels, **more)


def ome(name, *sets, params=None, mount=POLICY, runtime=SGLANG, production=False, owner=None):
    experiment = load_experiment(SPACES / name, sets)
    trial = trial_of(experiment, params)
    identity = Identity("llama") if production else identity_of(experiment, trial, owner=owner)
    return [inference_service(wanted_of(experiment), trial, identity=identity, mount=mount, runtime=runtime)]


def plain(name, *sets, params=None):
    experiment = load_experiment(SPACES / name, sets)
    trial = trial_of(experiment, params)
    return deployment(wanted_of(experiment), trial, identity=identity_of(experiment, trial, owner=OWNER))


def model(name, *sets):
    return [cluster_base_model(wanted_of(load_experiment(SPACES / name, sets)), namespace="autotuner")]


WIDE = {"tp_size": 4, "dp_size": 2, "mem_fraction_static": 0.9, "max_running_requests": 256}
EVERYTHING = (
    "deploy.pod={tolerations: [{key: gpu, value: a, effect: NoExecute, tolerationSeconds: 60}],"
    " node_selector: {zone: a}, priority_class: low, labels: {kueue.x-k8s.io/queue-name: tuning},"
    " annotations: {example.com/note: 'a: b'}, image_pull_secrets: [registry], shared_memory: 1Gi,"
    " security_context: {fsGroup: 1000, fsGroupChangePolicy: OnRootMismatch},"
    " container_security_context: {allowPrivilegeEscalation: false}, service_account: engine,"
    " runtime_class: nvidia, resources: {requests: {cpu: 500m}, limits: {memory: 8Gi}}}"
)
CLASSES = (
    "deploy.queue=tuning",
    "deploy.accelerator_claim=gpus-{count}",
    "deploy.node_classes={h100: {node_selector: {gpu: h100}, tolerations: [{key: gpu, operator: Exists}]},"
    " a100: {node_selector: {gpu: a100}}}",
    "parameters.gpu={values: [h100, a100], place: deploy.node_class}",
)
CASES: dict[str, Any] = {
    "ome_queue_claims_and_class": lambda: ome(
        "llama_sglang_pvc.yaml", *CLASSES, params={**WIDE, "gpu": "h100"}
    ),
    "ome_production_of_a_class": lambda: ome(
        "llama_sglang_pvc.yaml",
        *(*CLASSES, "deploy.pod={priority_class: low}"),
        params={**WIDE, "gpu": "a100"},
        production=True,
    ),
    "kubernetes_queue_claims_and_class": lambda: plain(
        "llama_vllm_kubernetes.yaml", *CLASSES, params={"tensor_parallel_size": 1, "gpu": "a100"}
    ),
    "ome_pvc": lambda: ome("llama_sglang_pvc.yaml"),
    "ome_pvc_wide_owned": lambda: ome("llama_sglang_pvc.yaml", params=WIDE, owner=OWNER),
    "ome_pvc_inline": lambda: ome(
        "llama_sglang_pvc.yaml", mount=Mount(Way.INLINE, "/raid/models/meta/llama-3-2-1b-instruct", False)
    ),
    "ome_pvc_native": lambda: ome("llama_sglang_pvc.yaml", mount=Mount(Way.NATIVE, "/opt/ml/model", False)),
    "ome_pvc_subpath_parameter": lambda: ome(
        "llama_vllm_pvc.yaml", params={"weights": "meta/llama-3-1-8b-instruct-fp8", "tensor_parallel_size": 1}
    ),
    "ome_hostpath": lambda: ome("llama_sglang_hostpath.yaml", mount=None),
    "ome_everything_in_the_pod": lambda: ome("llama_sglang_pvc.yaml", EVERYTHING),
    "ome_production": lambda: ome("llama_sglang_pvc.yaml", params=WIDE, production=True),
    "ome_seed_task": lambda: ome("llama_task.json", params={"tp_size": 1, "mem_fraction_static": 0.9}),
    "ome_seed_template": lambda: ome(
        "llama_task.json",
        f"deploy.template={SEED_TEMPLATE}",
        params={"tp_size": 1, "mem_fraction_static": 0.9},
    ),
    "kubernetes_pvc": lambda: plain("llama_vllm_kubernetes.yaml"),
    "kubernetes_hostpath": lambda: plain(
        "llama_vllm_kubernetes.yaml", "storage={type: hostPath, host_path: /data/llama}", EVERYTHING
    ),
    "model_pvc": lambda: model("llama_sglang_pvc.yaml"),
    "model_of_a_namespace": lambda: model("llama_sglang_pvc.yaml", "model.kind=BaseModel"),
    "model_hostpath": lambda: model("llama_sglang_hostpath.yaml"),
    "model_of_the_seed_task": lambda: model("llama_task.json"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_manifests_are_what_they_were(case):
    objects = CASES[case]()
    path, text = GOLDEN / f"{case}.yaml", to_yaml(objects)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()
    assert list(yaml.safe_load_all(text)) == objects


@pytest.mark.parametrize("case", CASES)
def test_kubernetes_would_take_their_names_labels_and_amounts(case):
    assert [line for one in CASES[case]() for line in object_faults(one)] == []


def test_every_golden_file_belongs_to_a_case():
    assert {p.stem for p in GOLDEN.iterdir()} == set(CASES)


def schemas():
    folder = Path(os.environ.get("OME_CRDS", ""))
    found = {}
    for path in folder.glob("*.yaml.gz"):
        definition = yaml.safe_load(gzip.decompress(path.read_bytes()))
        version = definition["spec"]["versions"][0]
        found[definition["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found


def unknown_to(schema, value, at):
    """What strict validation refuses: keys that the schema does not have, and values of another type."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    if schema.get("x-kubernetes-int-or-string"):
        return [] if isinstance(value, int | str) else [f"{at}: {value!r}"]
    wanted = kinds.get(schema.get("type"), object)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        return [f"{at}: {value!r} is no {schema['type']}"]
    if isinstance(value, list):
        return [f for i, item in enumerate(value) for f in unknown_to(schema["items"], item, f"{at}[{i}]")]
    if not isinstance(value, dict) or (at == "metadata"):
        return []
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    found = [f"{at}.{k}: missing" for k in schema.get("required", []) if k not in value]
    for key, item in value.items():
        below = known.get(key, others if isinstance(others, dict) else None)
        if below is None:
            found.append(f"{at}.{key}: unknown")
        else:
            found += unknown_to(below, item, f"{at}.{key}".removeprefix("."))
    return found


@pytest.mark.skipif("OME_CRDS" not in os.environ, reason="OME_CRDS names no folder of OME's definitions")
@pytest.mark.parametrize("case", [c for c in CASES if not c.startswith("kubernetes")])
def test_the_definitions_of_ome_know_every_field(case):
    for one in CASES[case]():
        assert unknown_to(schemas()[one["kind"]], one, "") == []
