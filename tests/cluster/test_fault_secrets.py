"""Secrets stand in an experiment by reference, and nothing that a run leaves behind has their values."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from kubernetes import client
from plain_site import plain_site

pytestmark = pytest.mark.cluster
PLANTED = "q7Rk-planted-by-the-test-2291"
HERE = Path(__file__).parent


@pytest.fixture
def site(new_namespace, admin_api, engine_parts, apply, tmp_path):
    with (
        new_namespace("secrets", reader=True) as namespace,
        plain_site(namespace, api=admin_api, parts=engine_parts, folder=tmp_path) as made,
    ):
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "engine", "namespace": namespace.name},
            "data": {"key": base64.b64encode(PLANTED.encode()).decode()},
        }
        reads = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "reads", "namespace": namespace.name},
            "rules": [
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["engine"], "verbs": ["get"]}
            ],
        }
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reads", "namespace": namespace.name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"},
            "subjects": [{"kind": "ServiceAccount", "name": namespace.account, "namespace": namespace.name}],
        }
        apply([secret, reads, binding])
        yield made


@pytest.mark.timeout(400)
def test_a_planted_secret_is_in_nothing_that_a_run_leaves_behind(site, admin_api, until):
    """The engine prints its variable and dies of some of the trials, so that logs are kept too."""
    experiment = site.experiment(
        deploy={
            "token": {"secret": "engine", "key": "key"},
            "env_secrets": {"ENGINE_SECRET": {"secret": "engine", "key": "key"}},
            "env": {"ENGINE_SAY": "$(ENGINE_SECRET)"},
        },
        parameters={
            "slots": {"values": [8, 16], "flag": "--parallel"},
            "fail": {"values": ["none", "exit=3"], "flag": "--fail"},
        },
        baseline={"slots": 16, "fail": "none"},
        search={"trials": 4, "budget": {"failures_in_a_row": 9}},
        workload={"rounds": 1, "round_seconds": 1},
    )
    started = site.start(experiment)
    pods = until(site.pods, seconds=90, what="a trial's pod")
    (engine,) = pods[0].spec.containers
    (variable,) = (one for one in engine.env if one.name == "ENGINE_SECRET")
    assert variable.value is None and variable.value_from.secret_key_ref.name == "engine"
    ended = started.wait(240)
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    failed = [line for line in site.lines() if line["state"] == "failed"]
    assert failed and all("the engine was told" in line["failure"]["log_tail"] for line in failed)
    left = [path for path in site.run.rglob("*") if path.is_file()]
    assert {"trials.jsonl", "rounds.jsonl", "report.html", "study.db", "experiment.yaml", "best.yaml"} <= {
        path.name for path in left
    }
    encoded = base64.b64encode(PLANTED.encode())
    for path in left:
        content = path.read_bytes()
        assert PLANTED.encode() not in content and encoded not in content, path
    assert PLANTED not in ended.out + ended.err
    for kind in ("list_namespaced_event", "list_namespaced_config_map"):
        for each in getattr(client.CoreV1Api(admin_api), kind)(site.namespace.name).items:
            assert PLANTED not in str(each)


def test_a_secret_that_is_written_out_is_refused_without_being_repeated(site):
    experiment = site.experiment(deploy={"env": {"HF_TOKEN": PLANTED}})
    ended = site.start(experiment).wait(60)
    assert ended.code == 2
    (line,) = ended.error_lines
    assert "deploy.env.HF_TOKEN: got a value; would be right: deploy.env_secrets: {HF_TOKEN: {secret:" in line
    assert PLANTED not in ended.out + ended.err
    assert not site.lab.runs.exists()
