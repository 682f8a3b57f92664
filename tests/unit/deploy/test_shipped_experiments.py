"""Every experiment that ships is sound as far as no cluster is needed, and the seed's task is the seed's."""

import json
from pathlib import Path

import pytest

from tuner.deploy.kubernetes.offline import offline_findings
from tuner.spec import load_experiment, refuse_unbuilt

SPACES = Path(__file__).parents[3] / "search_spaces"
SHIPPED = sorted(SPACES.iterdir())
ON_CLUSTERS = {
    "llama_sglang_pvc.yaml": ("ome", "pvc"),
    "llama_vllm_pvc.yaml": ("ome", "pvc"),
    "llama_trtllm_pvc.yaml": ("ome", "pvc"),
    "llama_sglang_hostpath.yaml": ("ome", "hostPath"),
    "llama_vllm_kubernetes.yaml": ("kubernetes", "pvc"),
    "llama_task.json": ("ome", "pvc"),
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_it_passes_the_checks_that_need_no_cluster(path):
    experiment = load_experiment(path)
    refuse_unbuilt(experiment)
    assert offline_findings(experiment) == []


@pytest.mark.parametrize("name", ON_CLUSTERS)
def test_it_is_for_what_its_name_says(name):
    experiment = load_experiment(SPACES / name)
    assert (experiment.deploy.backend, experiment.storage.type) == ON_CLUSTERS[name]
    assert experiment.deploy.namespace == "autotuner"


@pytest.mark.parametrize("name", [n for n in ON_CLUSTERS if n.endswith(".yaml")])
def test_its_space_is_worth_a_search_and_its_baseline_uses_the_accelerators_that_it_says(name):
    experiment = load_experiment(SPACES / name)
    assert experiment.space.size() >= 50
    assert experiment.slo
    assert experiment.space.accelerators(experiment.space.baseline) >= 1


def test_the_seeds_task_is_unchanged():
    assert json.loads((SPACES / "llama_task.json").read_text()) == {
        "task_name": "pvc-test",
        "model": {"id_or_path": "llama-3-2-1b-instruct", "namespace": "autotuner"},
        "storage": {
            "type": "pvc",
            "pvc_name": "model-storage-pvc",
            "pvc_subpath": "meta/llama-3-2-1b-instruct",
        },
        "base_runtime": "sglang",
        "parameters": {"tp-size": [1], "mem-fraction-static": [0.9]},
        "benchmark": {
            "task": "text-to-text",
            "traffic_scenarios": ["D(100,100)"],
            "num_concurrency": [1],
        },
    }
