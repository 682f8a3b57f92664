"""`tuner render` prints what would be created, and needs no cluster."""

import argparse
from pathlib import Path

import pytest
import yaml

from tuner.cli import render
from tuner.deploy.kubernetes.offline import offline_findings
from tuner.errors import UserError
from tuner.spec import load_experiment

SPACES = Path(__file__).parents[3] / "search_spaces"


@pytest.fixture
def tuner(capsys):
    def run(*words):
        parser = argparse.ArgumentParser()
        render.add_arguments(parser)
        assert render.run(parser.parse_args(words)) == 0
        captured = capsys.readouterr()
        return list(yaml.safe_load_all(captured.out)), captured.err

    return run


def test_the_baseline_and_the_model_for_an_operator(tuner):
    found, said = tuner("llama_sglang_pvc")
    assert [one["kind"] for one in found] == ["InferenceService", "ClusterBaseModel"]
    assert found[0]["metadata"]["annotations"]["ome.io/pvc-name"] == "model-storage-pvc"
    assert "--chunked-prefill-size" in found[0]["spec"]["engine"]["runner"]["args"]
    assert "mount: auto is shown as a policy or webhook has it" in said


def test_one_of_both_alone(tuner):
    assert [one["kind"] for one in tuner("llama_sglang_pvc", "--trial-only")[0]] == ["InferenceService"]
    assert [one["kind"] for one in tuner("llama_sglang_pvc", "--model-only")[0]] == ["ClusterBaseModel"]


def test_another_configuration_and_an_override(tuner):
    (found,), _ = tuner(
        str(SPACES / "llama_sglang_pvc.yaml"),
        "--trial-only",
        "--set",
        "deploy.namespace=other",
        "--trial-params",
        "tp_size=4",
        "dp_size=2",
    )
    assert found["metadata"]["namespace"] == "other"
    runner = found["spec"]["engine"]["runner"]
    assert runner["resources"]["limits"]["nvidia.com/gpu"] == 8
    assert runner["args"][:4] == ["--tp-size", "4", "--dp-size", "2"]


def test_plain_kubernetes_has_a_deployment_and_a_service(tuner):
    found, _ = tuner("llama_vllm_kubernetes")
    assert [one["kind"] for one in found] == ["Deployment", "Service"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("quickstart",), "deploy.backend: got 'local'; would be right: ome or kubernetes"),
        (("llama_sglang_pvc", "--trial-params", "tp_size=3"), "--trial-params: tp_size: got 3"),
        (("llama_sglang_pvc", "--trial-params", "tp=1"), "--trial-params: unknown parameter 'tp'"),
        (("llama_sglang_pvc", "--trial-params", "tp_size"), "--trial-params: got 'tp_size'"),
        (("llama_vllm_kubernetes", "--model-only"), "--model-only: got backend kubernetes"),
    ],
)
def test_what_cannot_be_rendered_is_one_line(tuner, words, said):
    with pytest.raises(UserError) as caught:
        tuner(*words)
    assert str(caught.value).startswith(said)


def test_a_template_that_fails_for_some_configurations_is_found_without_a_cluster(tmp_path):
    own = tmp_path / "own.yaml.j2"
    own.write_text(
        "kind: InferenceService\n"
        "spec: {engine: {runner: {args: [{% if params.tp_size > 1 %}'{{ places.x }}'{% endif %}]}}}\n"
    )
    experiment = load_experiment(SPACES / "llama_sglang_pvc.yaml", [f"deploy.template={own}"])
    (line,) = offline_findings(experiment)
    assert line.startswith(f"template {own} line 2: ")


def test_values_that_a_template_makes_wrong_are_found_without_a_cluster(tmp_path):
    own = tmp_path / "own.yaml.j2"
    own.write_text("kind: InferenceService\nmetadata: {labels: {a: '{{ task_name }}!', b: 1}}\n")
    experiment = load_experiment(SPACES / "llama_sglang_pvc.yaml", [f"deploy.template={own}"])
    found = offline_findings(experiment)
    assert "InferenceService: metadata.labels.a: got 'llama-sglang-pvc!'; would be right: at most" in found[0]
    assert found[1] == "InferenceService: metadata.labels.b: got 1; would be right: text"


def test_a_template_that_is_not_there_is_a_finding():
    experiment = load_experiment(SPACES / "llama_sglang_pvc.yaml", ["deploy.template=no.j2"])
    (line,) = offline_findings(experiment)
    assert line.startswith("template no.j2: no such file; these ship: ")
