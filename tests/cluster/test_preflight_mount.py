"""Which way of mounting is settled on, on a real API server, under the account that the tuner has."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import pytest
from admission_parts import Pods, certificates, configured, install_policies
from kubernetes import client
from mount_webhook import served
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

from tuner.deploy.kubernetes.mounting import settle
from tuner.deploy.kubernetes.preflight import prepared_mount
from tuner.deploy.kubernetes.wanted import Mount, Wanted, Way
from tuner.errors import WorldError
from tuner.webhook.certs_files import write_certificates

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def guarded(new_namespace, admin_api, apply, until, ome_definitions, engine_parts) -> Iterator:
    """A namespace on which the guard acts and nothing else."""
    with new_namespace("preflight-guarded", mount="nobody") as made:
        apply([base_model(made), serving_runtime(made, engine_parts)])
        install_policies(admin_api, apply)
        until(lambda: "guard refused" in failure(made), seconds=30, what="the guard acts")
        yield made


@pytest.mark.parametrize("mount", ["auto", "policy", "webhook"])
def test_where_only_the_guard_acts_nothing_mounts_and_that_is_an_error_at_once(guarded, mount):
    began = time.monotonic()
    with pytest.raises(
        WorldError, match=r"nothing at admission mounts.*ome-pvc-guard refused.*would be right"
    ):
        prepared_mount(
            cluster_of(guarded), wanted_in(guarded, mount=mount), trial=TRIAL, say=lambda line: None
        )
    assert time.monotonic() - began < 5


def test_a_label_of_a_webhook_that_is_not_there_is_an_error(new_namespace, guarded, admin_api):
    hooks = client.AdmissionregistrationV1Api(admin_api).list_mutating_webhook_configuration().items
    if any(hook.metadata.name == "ome-pvc-mount" for hook in hooks):
        pytest.skip("the webhook is configured on this cluster")
    with (
        new_namespace("preflight-webhook", mount="webhook") as made,
        pytest.raises(WorldError, match=r"labelled autotuner.io/mount=webhook .*guard refused the pod"),
    ):
        settle(cluster_of(made), wanted_in(made), places={})


def test_the_webhook_is_settled_on_while_it_acts_and_is_an_error_when_it_no_longer_answers(
    new_namespace, until, guarded, admin_api, tmp_path
):
    write_certificates(tmp_path, certificates())
    with new_namespace("preflight-webhook", mount="webhook") as made:
        pods = Pods(admin_api, made.name)
        with served(tmp_path) as (server, _), configured(pods, tmp_path, port=server.port):
            until(lambda: failure(made) == "", seconds=10, what="the webhook acts")
            settled = settle(cluster_of(made), wanted_in(made), places={})
            assert settled.mount == Mount(Way.WEBHOOK, PATH, annotate=True)
            assert [note.level for note in settled.notes][-1] == "ok"  # the guard's
        with configured(pods, tmp_path, port=server.port):
            until(lambda: "does not answer" in failure(made), seconds=10, what="the webhook is called")
            assert "failed calling webhook" in failure(made)


@pytest.fixture(scope="module")
def bare(new_namespace, apply, ome_definitions, engine_parts) -> Iterator:
    """A namespace without any label, with the right to read what is of the cluster."""
    with new_namespace("preflight-bare", reader=True) as made:
        apply([serving_runtime(made, engine_parts)])
        yield made


@pytest.fixture
def inline_model(bare, apply, remove) -> Iterator[str]:
    """A ClusterBaseModel without storage.path."""
    model = base_model(bare, f"m-{bare.name[-6:]}", kind="ClusterBaseModel", path=None)
    apply(model)
    yield model["metadata"]["name"]
    remove(model)


def test_without_admission_inline_is_taken_once_a_node_has_the_models_label(
    bare, inline_model, admin_api, nodes
):
    wanted = wanted_in(bare, model=inline_model, kind="ClusterBaseModel")
    label = f"models.ome.io/clusterbasemodel.{inline_model}"
    with pytest.raises(WorldError, match=f"kept the node's path.*OME does not mount.*{label}=Ready"):
        settle(cluster_of(bare), wanted, places={})
    core = client.CoreV1Api(admin_api)
    core.patch_node(nodes[0], {"metadata": {"labels": {label: "Ready"}}})
    try:
        mount = settle(cluster_of(bare), wanted, places={}).mount
        assert mount == Mount(Way.INLINE, f"/raid/models/{inline_model}", annotate=False)
        assert lines(bare, "error", wanted) == []
    finally:
        core.patch_node(nodes[0], {"metadata": {"labels": {label: None}}})


def test_an_ome_that_mounts_claims_itself_is_known_by_its_refusal(bare, apply, remove, until):
    """A policy in the place of the webhook of OME 1.2, which could not be had here."""
    name = f"native-{bare.name}"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["ome.io"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE"],
                        "resources": ["basemodels"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": bare.name}},
            },
            "validations": [
                {
                    "expression": "!object.spec.storage.storageUri.matches('^pvc://[^/]*:')",
                    "message": "a BaseModel must not specify a namespace in its claim",
                }
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    apply([base_model(bare, "own", path=None), policy, binding])
    try:
        wanted = wanted_in(bare, model="own")
        until(lambda: mounted_natively(bare, wanted), seconds=20, what="the policy acts")
        mount = settle(cluster_of(bare), wanted, places={}).mount
        assert mount == Mount(Way.NATIVE, "/opt/ml/model", annotate=False)
        other = dataclasses.replace(wanted, storage=wanted.storage.model_copy(update={"pvc_subpath": "else"}))
        with pytest.raises(WorldError, match=f"storageUri: pvc://{bare.claim}/else"):
            settle(cluster_of(bare), native(other), places={})
    finally:
        remove(binding)
        remove(policy)


def native(wanted: Wanted) -> Wanted:
    return dataclasses.replace(wanted, storage=wanted.storage.model_copy(update={"mount": "native"}))


def mounted_natively(namespace, wanted: Wanted) -> bool:
    try:
        return settle(cluster_of(namespace), native(wanted), places={}).mount is not None
    except WorldError:
        return False
