"""What a search as a whole asks of a cluster, and the pod that its widest trial comes to."""

from __future__ import annotations

import yaml

from tuner.deploy.kubernetes.demand import demand_of
from tuner.deploy.kubernetes.trial_pod import trial_pod
from tuner.spec import load_experiment

EXPERIMENT = {
    "name": "t",
    "model": {"name": "tiny"},
    "storage": {"type": "pvc", "pvc_name": "c", "pvc_subpath": "m"},
    "deploy": {"backend": "ome", "runtime": "rt", "accelerators": "tp * dp"},
    "parameters": {
        "tp": {"values": [1, 2, 4], "flag": "--tp"},
        "dp": {"values": [1, 2, 4], "flag": "--dp"},
    },
    "constraints": ["tp * dp <= 8"],
    "baseline": {"tp": 2, "dp": 1},
    "workload": {"scenario": "D(8,8)", "concurrency": 1},
    "objective": {"maximize": "output_tokens_per_second"},
    "search": {"trials": 3, "parallel": 4},
}


def demanded(tmp_path, **changes):
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT | changes))
    return demand_of(load_experiment(path))


def test_the_widest_configuration_is_one_that_the_constraints_allow(tmp_path):
    asked = demanded(tmp_path)
    assert asked.fewest == 1
    assert asked.widest.accelerators == 8
    assert asked.widest.params["tp"] * asked.widest.params["dp"] == 8
    assert asked.parallel == 3  # no more than there are trials
    assert asked.subpaths == ("m",)


def test_of_a_space_without_end_a_sample_tells(tmp_path):
    memory = {"low": 0.5, "high": 0.9, "flag": "--memory"}
    asked = demanded(
        tmp_path,
        parameters=EXPERIMENT["parameters"] | {"memory": memory},
        baseline={"tp": 2, "dp": 1, "memory": 0.8},
        search={"trials": 3},
    )
    assert (asked.fewest, asked.widest.accelerators, asked.parallel) == (1, 8, None)


def test_each_place_that_a_parameter_takes_is_looked_at(tmp_path):
    place = {"values": ["m-f16", "m-q8"], "place": "storage.pvc_subpath"}
    asked = demanded(
        tmp_path,
        parameters=EXPERIMENT["parameters"] | {"weights": place},
        baseline={"tp": 2, "dp": 1, "weights": "m-f16"},
    )
    assert asked.subpaths == ("m-f16", "m-q8")


def service(**engine):
    return {
        "kind": "InferenceService",
        "metadata": {
            "name": "x",
            "labels": {"team": "a"},
            "annotations": {"ome.io/pvc-name": "c", "note": "n"},
        },
        "spec": {"engine": {"minReplicas": 1, "maxReplicas": 1, **engine}},
    }


def test_an_engine_is_laid_over_its_runtime_as_ome_does_it():
    runtime = {
        "engineConfig": {
            "nodeSelector": {"pool": "a"},
            "tolerations": [{"key": "t"}],
            "minReplicas": 3,
            "runner": {
                "name": "ome-container",
                "image": "engine:1",
                "resources": {"limits": {"memory": "64Gi", "cpu": "8"}},
                "env": [{"name": "A", "value": "1"}],
            },
        }
    }
    runner = {
        "name": "ome-container",
        "resources": {"limits": {"memory": "32Gi", "nvidia.com/gpu": 2}},
        "env": [{"name": "B", "value": "2"}],
    }
    made = trial_pod([service(runner=runner, nodeSelector={"zone": "z"})], runtime)
    assert made["metadata"] == {"labels": {"team": "a"}, "annotations": {"note": "n"}}
    spec = made["spec"]
    assert spec["nodeSelector"] == {"pool": "a", "zone": "z"}
    assert spec["tolerations"] == [{"key": "t"}]
    assert not {"minReplicas", "maxReplicas", "runner"} & spec.keys()
    (container,) = spec["containers"]
    assert container["image"] == "engine:1"
    assert container["resources"]["limits"] == {"memory": "32Gi", "cpu": "8", "nvidia.com/gpu": 2}
    assert [one["name"] for one in container["env"]] == ["A", "B"]


def test_a_runtime_of_the_older_form_gives_its_container_and_places():
    runtime = {
        "containers": [{"name": "x"}, {"name": "ome-container", "image": "old"}],
        "nodeSelector": {"a": "b"},
    }
    spec = trial_pod([service(runner={"name": "ome-container"})], runtime)["spec"]
    assert spec["containers"][0]["image"] == "old"
    assert spec["nodeSelector"] == {"a": "b"}


def test_where_no_image_is_known_nothing_is_told():
    assert trial_pod([service(runner={"name": "ome-container"})], {}) is None


def test_a_deployment_has_its_pod_itself():
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "engine", "image": "i"}]},
    }
    deployment = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": template}}
    made = trial_pod([deployment], {})
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["spec"] == template["spec"]
