"""What `tuner check` finds on a real API server, under the account and the rights that the tuner has."""

from __future__ import annotations

import copy
import socket
import time
from collections.abc import Iterator

import pytest
import yaml
from admission_parts import install_policies
from kubernetes import client
from preflight_parts import (
    PATH,
    TRIAL,
    base_model,
    cluster_of,
    failure,
    lines,
    serving_runtime,
    wanted_in,
)

from tuner.deploy.kubernetes.checks.access import rights
from tuner.deploy.kubernetes.client import Access, Cluster
from tuner.deploy.kubernetes.mounting import settle
from tuner.deploy.kubernetes.preflight import prepared_mount
from tuner.deploy.kubernetes.resources import POD, SECRET
from tuner.deploy.kubernetes.rights import RIGHTS
from tuner.deploy.kubernetes.wanted import Mount, Way
from tuner.errors import UserError

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def whole(new_namespace, admin_api, apply, until, ome_definitions, engine_parts) -> Iterator:
    """A namespace in which everything is there, mounted by the policy."""
    with new_namespace("preflight", mount="policy", reader=True) as made:
        apply([base_model(made), serving_runtime(made, engine_parts)])
        install_policies(admin_api, apply)
        until(lambda: not failure(made), seconds=30, what=lambda: f"the policy acts: {failure(made)}")
        yield made


def test_all_is_well_under_the_accounts_own_rights_and_nothing_is_stored(whole, admin_api, until):
    assert lines(whole, "error") == lines(whole, "warning") == []
    said: list[str] = []
    mount = prepared_mount(cluster_of(whole), wanted_in(whole), trial=TRIAL, say=said.append)
    assert mount == Mount(Way.POLICY, PATH, annotate=True)
    assert any("by the policy" in line for line in said)
    pods = client.CoreV1Api(admin_api).list_namespaced_pod
    until(lambda: not pods(whole.name).items, seconds=10, what="the pods that read the claim are gone")
    models = client.CustomObjectsApi(admin_api).list_namespaced_custom_object(
        "ome.io", "v1beta1", whole.name, "basemodels"
    )
    assert [each["metadata"]["name"] for each in models["items"]] == ["tiny"]


def test_the_roles_suffice_for_both_backends_and_give_no_more(whole):
    cluster = cluster_of(whole)
    for backend in ("ome", "kubernetes"):
        assert [finding.level for finding in rights(cluster, backend)] == ["ok"]
    for verb, resource in (("update", POD), ("patch", POD), ("get", SECRET), ("list", SECRET)):
        assert not cluster.may(verb, resource)
    assert not cluster.may("create", POD, everywhere=True)


def test_what_the_roles_grant_really_is_answered(whole):
    cluster = cluster_of(whole)
    for right in RIGHTS:
        if "get" in right.verbs and not right.part:
            assert cluster.get(right.resource, "absent") is None
        if "list" in right.verbs:
            assert "items" in cluster.list(right.resource, everywhere=right.everywhere)
        if "watch" in right.verbs:
            version = cluster.list(right.resource)["metadata"]["resourceVersion"]
            cluster.watch(right.resource, version=version, seconds=1).close()


def test_a_mount_path_of_ones_own_is_shown_too(whole):
    settled = settle(cluster_of(whole), wanted_in(whole, mount_path="/models/m"), places={})
    assert settled.mount == Mount(Way.POLICY, "/models/m", annotate=True)


def test_what_is_named_and_not_there_is_said(whole):
    named = wanted_in(whole, model="absent", deploy={"runtime": "absent"}, pvc_name="absent")
    errors = lines(whole, "error", named)
    assert [error.split(":")[0] for error in errors] == ["runtime absent", "model absent", "claim absent"]
    with pytest.raises(UserError, match=r"runtime absent: .*and 2 more"):
        prepared_mount(cluster_of(whole), named, trial=TRIAL, say=lambda line: None)


def test_a_namespace_that_is_not_there(whole, admin_kubeconfig):
    (error,) = lines(
        whole, "error", cluster=Cluster("preflight-absent", access=Access(str(admin_kubeconfig), "", "x"))
    )
    assert error.startswith("namespace preflight-absent: it is not there")
    account = lines(whole, "error", cluster=cluster_of(whole, name="preflight-absent"))
    assert any("this account lacks all" in line for line in account)  # all that it may be told


def claim_in(namespace, name: str, **spec) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace.name},
        "spec": {"resources": {"requests": {"storage": "1Mi"}}, **spec},
    }


def test_a_claim_for_one_node_is_well_where_trials_have_one_and_said_where_not(
    whole, apply, remove, until, admin_api, nodes
):
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{whole.name}-once"},
        "spec": {
            "capacity": {"storage": "1Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": whole.name, "name": "once"},
            "hostPath": {"path": str(whole.models)},
        },
    }
    claim = claim_in(
        whole, "once", accessModes=["ReadWriteOnce"], storageClassName="", volumeName=f"{whole.name}-once"
    )
    apply([volume, claim])
    try:
        core = client.CoreV1Api(admin_api)
        until(
            lambda: core.read_namespaced_persistent_volume_claim("once", whole.name).status.phase == "Bound",
            seconds=30,
            what="the claim is bound",
        )
        assert any(
            "ReadWriteOnce" in line and f"the {len(nodes)} nodes" in line
            for line in lines(whole, "warning", wanted_in(whole, pvc_name="once"))
        )
        pinned = {"pod": {"node_selector": {"kubernetes.io/hostname": nodes[0]}}}
        pinned_wanted = wanted_in(whole, pvc_name="once", deploy=pinned)
        assert lines(whole, "warning", pinned_wanted) == []
        assert any("one node only" in line for line in lines(whole, "ok", pinned_wanted))
    finally:
        remove(claim)
        remove(volume)


@pytest.mark.parametrize(
    ("mode", "level", "said"),
    [
        ("WaitForFirstConsumer", "ok", "waits for its first pod"),
        ("Immediate", "error", "gave it no volume"),
    ],
)
def test_a_pending_claim_is_well_only_where_it_waits_for_its_first_pod(
    whole, apply, remove, mode, level, said
):
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": f"{whole.name}-{mode.lower()}"},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": mode,
    }
    claim = claim_in(
        whole, mode.lower(), accessModes=["ReadWriteMany"], storageClassName=storage_class["metadata"]["name"]
    )
    apply([storage_class, claim])
    try:
        found = lines(whole, level, wanted_in(whole, pvc_name=mode.lower()))
        assert any(said in line for line in found)
    finally:
        remove(claim)
        remove(storage_class)


@pytest.fixture
def powerless(whole, admin_api, apply, tmp_path) -> Cluster:
    """The same namespace for an account without any right."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "nobody", "namespace": whole.name},
    }
    apply(account)
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[]))
    token = client.CoreV1Api(admin_api).create_namespaced_service_account_token("nobody", whole.name, request)
    content = copy.deepcopy(yaml.safe_load(whole.kubeconfig.read_text()))
    content["users"][0]["user"] = {"token": token.status.token}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return Cluster(whole.name, access=Access(str(path), "", whole.name))


def test_without_any_right_what_could_not_be_looked_at_is_a_warning_each(whole, powerless):
    (error,) = lines(whole, "error", cluster=powerless)
    assert "this account lacks all of those that trials need" in error
    warned = "\n".join(lines(whole, "warning", cluster=powerless))
    for right in ("get namespaces", "get servingruntimes", "get basemodels", "get persistentvolumeclaims"):
        assert right in warned
    assert "taken to be /raid/models/tiny" in warned or "not checked" in warned


def test_credentials_that_are_not_known_are_one_error(whole, tmp_path):
    content = yaml.safe_load(whole.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": "unknown"}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    (error,) = lines(whole, "error", cluster=Cluster(whole.name, access=Access(str(path), "", "x")))
    assert "credentials that the cluster knows" in error


def served_at(whole, tmp_path, port: int) -> Cluster:
    content = yaml.safe_load(whole.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return Cluster(whole.name, access=Access(str(path), "", "x"))


@pytest.mark.parametrize("listening", [False, True])
def test_a_server_that_is_gone_or_says_nothing_is_one_error_within_seconds(whole, tmp_path, listening):
    with socket.create_server(("127.0.0.1", 0)) as server:
        if not listening:
            server.close()
            port = free_port()
        else:
            port = server.getsockname()[1]
        began = time.monotonic()
        (error,) = lines(whole, "error", cluster=served_at(whole, tmp_path, port))
        assert time.monotonic() - began < 15
    assert "does not answer" in error


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
