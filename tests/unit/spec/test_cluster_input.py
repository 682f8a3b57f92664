"""What an experiment for a cluster must say, and what it may not say without effect: one line each."""

from pathlib import Path

import pytest
import yaml

from tuner.errors import SpecError

OME = """\
name: demo
model:
  name: llama
storage:
  type: pvc
  pvc_name: models
  pvc_subpath: meta/llama
  mount_path: /raid/models/llama
deploy:
  backend: ome
  runtime: sglang
  namespace: ns
  pod:
    shared_memory: 1Gi
    labels: {team: a}
    tolerations:
      - {key: gpu, operator: Exists}
    resources: {limits: {cpu: 4}}
parameters:
  a: {values: [1, 2]}
workload: {scenario: "D(48,64)", concurrency: 16}
"""
KUBERNETES = """\
name: demo
model:
  name: llama
storage:
  type: pvc
  pvc_name: models
deploy:
  backend: kubernetes
  image: example/engine:1
parameters:
  a: {values: [1, 2]}
workload: {scenario: "D(48,64)", concurrency: 16}
"""
FILES = {"ome": OME, "kubernetes": KUBERNETES}
CASES = yaml.safe_load(Path(__file__).with_name("bad_cluster_input_cases.yaml").read_text())


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_the_sound_files_are_sound_and_come_back_from_their_resolved_form(text, read):
    experiment = read(text)
    assert read(experiment.resolved_yaml()) == experiment


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_what_where_and_what_would_be_right(case, read, tmp_path):
    found = CASES[case]
    sound = FILES[found.get("file", "ome")]
    assert sound.count(found["before"]) == 1
    with pytest.raises(SpecError) as caught:
        read(sound.replace(found["before"], found["after"]))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'experiment.yaml'}:{found['line']}: {found['says']}")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        (OME, ["storage={type: hostPath}"]),
        (OME, ["storage=null"]),
        (OME, ["deploy.pod={annotations: {sidecar.istio.io/inject: 'false'}, image_pull_secrets: [a.b]}"]),
        (OME, ["deploy.token={secret: engine}", "deploy.tls={secret: engine, key: tls.crt}"]),
        (OME, ["storage.mount=native", "deploy.endpoint=pod", "deploy.owner=none"]),
        (KUBERNETES, ["storage={type: hostPath, host_path: /data}"]),
        (KUBERNETES, ["storage=null", "model.path=meta-llama/Llama-3.2-1B"]),
        (KUBERNETES, ["storage.mount=inline"]),
    ],
)
def test_what_else_is_right(text, sets, tmp_path, read):
    assert read(text, *sets)


def test_a_token_and_a_ca_have_their_usual_keys(read):
    deploy = read(OME, "deploy.token={secret: s}", "deploy.tls={secret: s}").deploy
    assert (deploy.token.key, deploy.tls.key) == ("token", "ca.crt")


def test_amounts_may_be_numbers(read):
    limits = read(OME, "deploy.pod.resources.limits={cpu: 0.5, memory: 8Gi}").deploy.pod.resources.limits
    assert limits == {"cpu": "0.5", "memory": "8Gi"}
