"""What is found of a cluster before anything is deployed, and what a person reads of it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tuner.deploy.kubernetes.api_errors import refusal
from tuner.deploy.kubernetes.checks.finding import Level
from tuner.deploy.kubernetes.preflight import findings, prepared_mount
from tuner.deploy.kubernetes.wanted import Way
from tuner.errors import UserError, WorldError


@pytest.fixture
def found(cluster, wanted, trial):
    """The lines of a level: `found("error", mount="inline")`."""

    def lines(level: str, arguments: tuple[str, ...] = (), **sections) -> list[str]:
        made = findings(cluster, wanted(**sections), dataclasses.replace(trial, arguments=arguments))
        assert all("\n" not in finding.line for finding in made)
        assert all(finding.remedy for finding in made if finding.level is Level.ERROR)
        return [finding.line for finding in made if finding.level == level]

    return lines


def test_a_cluster_that_has_everything_gives_neither_error_nor_warning(cluster, wanted, trial, found):
    assert found("error") == found("warning") == []
    said = []
    assert prepared_mount(cluster, wanted(), trial=trial, say=said.append).way is Way.POLICY
    assert all(line.startswith(("mount of c", "files in c")) for line in said)


def test_a_server_that_does_not_answer_is_one_error(cluster, wanted, trial, found):
    cluster.gone = True
    (line,) = found("error")
    assert "does not answer: connection refused" in line
    with pytest.raises(WorldError, match="does not answer"):
        prepared_mount(cluster, wanted(), trial=trial, say=pytest.fail)


def test_a_client_without_credentials_gets_one_error_rather_than_all_rights_missing(
    cluster, found, monkeypatch
):
    def refuse(*_, **__):
        said = 'User "system:anonymous" cannot create resource "selfsubjectaccessreviews"'
        raise refusal("POST", "/x", 403, json.dumps({"message": said}).encode())

    monkeypatch.setattr(cluster, "may", refuse)
    (line,) = found("error")
    assert "asked without credentials" in line
    assert line.count("would be right") == 1
    assert found("warning") == []


def test_what_the_server_refuses_is_told_with_one_remedy(cluster, found, monkeypatch):
    def refuse(*_, **__):
        raise refusal("POST", "/x", 403, b'{"message": "forbidden by a policy"}')

    monkeypatch.setattr(cluster, "may", refuse)
    (line,) = found("error")
    assert line.count("would be right") == 1


def test_a_namespace_that_is_not_there_ends_the_look(cluster, found):
    cluster.objects.clear()
    (line,) = found("error")
    assert "kubectl create namespace trials" in line


def test_a_namespace_that_may_not_be_read_is_a_warning_and_the_look_goes_on(cluster, found):
    cluster.forbidden = {("get", "namespaces")}
    assert any("the right to get namespaces is not given" in line for line in found("warning"))
    assert found("error") == []


def test_a_cluster_without_ome_says_so_once(cluster, found):
    cluster.kinds = False
    (line,) = found("error")
    assert "the API server knows no inferenceservices, " in line


@pytest.mark.parametrize(
    ("plural", "name", "line"),
    [
        ("clusterservingruntimes", "rt", "runtime rt: there is no ClusterServingRuntime"),
        ("clusterbasemodels", "tiny", "model tiny: there is no ClusterBaseModel"),
        ("persistentvolumeclaims", "c", "claim c: it is not in namespace trials"),
    ],
)
def test_what_is_named_and_not_there_is_the_persons_error(cluster, wanted, trial, found, plural, name, line):
    del cluster.objects[plural, name]
    assert any(each.startswith(line) for each in found("error"))
    with pytest.raises(UserError):
        prepared_mount(cluster, wanted(), trial=trial, say=lambda said: None)


def test_what_is_disabled_is_an_error(cluster, found):
    for key in (("clusterservingruntimes", "rt"), ("clusterbasemodels", "tiny")):
        cluster.objects[key]["spec"]["disabled"] = True
    assert len(found("error")) == 2


def test_the_namespaces_own_runtime_wins(cluster, found):
    spec = {"engineConfig": {"runner": {"command": ["bash", "-lc", "exec engine $(cat flags)"]}}}
    cluster.put("servingruntimes", "rt", spec={**spec, "disabled": True})
    assert any("the ServingRuntime is disabled" in line for line in found("error"))


def test_a_script_that_takes_no_flags_is_an_error_with_flags_and_else_a_warning(cluster, found):
    script = {"runner": {"command": ["bash", "-lc", "while true; do engine; done"]}}
    cluster.put("clusterservingruntimes", "rt", spec={"engineConfig": script})
    assert any("flags would not reach the engine" in line for line in found("error", ("--tp-size", "2")))
    assert found("error") == []
    assert any("flags would not reach the engine" in line for line in found("warning"))


def test_a_model_of_the_other_kind_is_said(cluster, found):
    cluster.put("basemodels", "tiny", spec={"storage": {"path": "/raid/models/tiny"}})
    assert any("model.kind: BaseModel" in line for line in found("warning"))


def test_a_check_whose_right_is_absent_is_a_warning_that_names_the_right(cluster, found):
    cluster.forbidden = {
        ("get", "clusterservingruntimes"),
        ("get", "clusterbasemodels"),
        ("get", "persistentvolumeclaims"),
        ("create", "pods"),
    }
    assert found("error") == []
    warned = "\n".join(found("warning"))
    for right in ("get clusterservingruntimes", "get clusterbasemodels", "get persistentvolumeclaims"):
        assert f"the right to {right} is not given" in warned
    assert "right to create pods in namespace trials: not given, so no dry run shows" in warned


def test_a_right_that_trials_need_is_an_error(cluster, found):
    cluster.forbidden = {("delete", "inferenceservices")}
    (line,) = found("error")
    assert line.startswith("right to delete inferenceservices.ome.io in namespace trials: not given")
    assert "cluster/rbac.yaml" in line


def test_an_account_without_any_right_gets_one_error_rather_than_ten(cluster, found):
    class Everything:
        def __contains__(self, item):
            return True

    cluster.forbidden = Everything()
    errors = found("error")
    assert len(errors) == 1
    assert "lacks all of those that trials need" in errors[0]


def waiting(cluster, mode):
    cluster.put("persistentvolumeclaims", "c", status={"phase": "Pending"})
    cluster.objects["persistentvolumeclaims", "c"]["spec"] = {
        "storageClassName": "disk",
        "accessModes": ["ReadWriteMany"],
    }
    cluster.put("storageclasses", "disk", volumeBindingMode=mode)


def test_a_claim_that_waits_for_its_first_pod_is_well_and_one_that_never_binds_is_not(cluster, found):
    waiting(cluster, "WaitForFirstConsumer")
    assert any("waits for its first pod" in line for line in found("ok"))
    waiting(cluster, "Immediate")
    assert any("storage class disk gave it no volume" in line for line in found("error"))
    cluster.forbidden = {("get", "storageclasses")}
    assert found("error") == []
    assert any("it is Pending" in line for line in found("warning"))


def test_a_claim_without_a_class_that_is_pending_is_an_error(cluster, found):
    cluster.put("persistentvolumeclaims", "c", status={"phase": "Pending"})
    assert any("no volume fits it" in line for line in found("error"))


def test_a_lost_claim_is_an_error(cluster, found):
    cluster.put("persistentvolumeclaims", "c", status={"phase": "Lost"})
    assert any("it is Lost" in line for line in found("error"))


def of_mode(cluster, mode):
    cluster.put("persistentvolumeclaims", "c", status={"phase": "Bound", "accessModes": [mode]})


def test_read_write_once_is_well_on_one_node_and_said_on_several(cluster, found):
    of_mode(cluster, "ReadWriteOnce")
    cluster.nodes = [cluster.node("n1", pool="a")]
    assert found("warning") == []
    assert any("trials have one node only" in line for line in found("ok"))
    cluster.nodes.append(cluster.node("n2"))
    assert any("ReadWriteOnce" in line and "the 2 nodes" in line for line in found("warning"))
    chosen = {"pod": {"node_selector": {"pool": "a"}}}
    assert any("trials have one node only" in line for line in found("ok", deploy=chosen))


def test_a_claim_of_one_pod_is_refused(cluster, found):
    of_mode(cluster, "ReadWriteOncePod")
    assert any("ReadOnlyMany or ReadWriteMany" in line for line in found("error"))


def test_a_claim_of_another_namespace_is_refused(cluster, found):
    assert any(
        "deploy.namespace: elsewhere" in line for line in found("error", model={"namespace": "elsewhere"})
    )


def test_secrets_that_are_referred_to_have_to_be_there_with_their_entry(cluster, found):
    deploy = {"token": {"secret": "s"}, "tls": {"secret": "t"}}
    cluster.put("secrets", "s", data={"password": "eA=="})
    errors = "\n".join(found("error", deploy=deploy))
    assert "Secret s: it has password and no token" in errors
    assert "Secret t: it is not in namespace trials" in errors
    cluster.put("secrets", "s", data={"token": "eA=="})
    cluster.put("secrets", "t", data={"ca.crt": "eA=="})
    assert found("error", deploy=deploy) == []
    assert "eA==" not in "\n".join(found("ok", deploy=deploy))


def test_accounts_and_classes_that_are_named_have_to_be_there(cluster, found):
    deploy = {"pod": {"service_account": "a", "priority_class": "p", "image_pull_secrets": ["i"]}}
    assert {line.split(":")[0] for line in found("error", deploy=deploy)} == {
        "ServiceAccount a",
        "PriorityClass p",
    }
    assert any(line.startswith("Secret i: it is not in") for line in found("warning", deploy=deploy))


def test_several_errors_are_one_line_that_counts_them(cluster, wanted, trial):
    del cluster.objects["clusterservingruntimes", "rt"]
    del cluster.objects["persistentvolumeclaims", "c"]
    with pytest.raises(UserError, match=r"runtime rt: .*and 1 more: `tuner check SPEC`"):
        prepared_mount(cluster, wanted(), trial=trial, say=lambda line: None)


def test_what_nothing_mounts_is_an_error_of_the_cluster(cluster, wanted, trial, found):
    cluster.admit = cluster.guarding
    (line,) = found("error")
    assert "nothing at admission mounts the claim" in line
    with pytest.raises(WorldError):
        prepared_mount(cluster, wanted(), trial=trial, say=lambda said: None)


@pytest.mark.parametrize(
    ("version", "files"),
    [
        ("v1.34.4", "-f cluster/admission/guard.yaml -f cluster/admission/policy-v1beta1.yaml"),
        ("v1.35.0-eks-1", "-f cluster/admission/guard.yaml -f cluster/admission/policy-v1beta1.yaml"),
        ("v1.36.0", "-k cluster/admission"),
    ],
)
def test_the_remedy_is_the_policy_in_the_version_that_the_server_has(cluster, found, version, files):
    cluster.admit = cluster.guarding
    cluster.version = version
    (line,) = found("error")
    assert f"would be right: kubectl apply {files}" in line
