"""All of cluster/ is taken by the real API server, strictly validated, and does there what it is for."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import definitions
import objects
import pytest
import yaml
from admission_parts import Pods, Refusal
from kit_files import KIT, OVERLAYS, crds, documents, manifest_files, pods, rendered
from kubernetes import client
from mount_pods import engine, host, pod

pytestmark = pytest.mark.cluster

KUBERAY = {"RayCluster", "RayJob"}
POLICIES = {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}  # v1 from Kubernetes 1.36 on
IN_OVERLAYS = {path for folder in ("base", "admission") for path in (KIT / folder).rglob("*.yaml")}
FILES = [path for path in manifest_files() if path not in IN_OVERLAYS]
ANNOTATED = pod(engine(), volumes=[host()])


def made_of(overlay: Path) -> list[dict[str, Any]]:
    """By kubectl where it is there, else by the small loader of tests/unit/kit."""
    if shutil.which("kubectl") is None:
        return rendered(overlay)
    ended = subprocess.run(["kubectl", "kustomize", overlay], check=True, capture_output=True, text=True)
    return [each for each in yaml.load_all(ended.stdout, yaml.CSafeLoader) if each]


@pytest.fixture(scope="module")
def kuberay(admin_api: client.ApiClient) -> None:
    """KubeRay's kinds, where their definitions are there."""
    folder = os.environ.get("KUBERAY_CRDS")
    if folder:
        definitions.install_definitions(admin_api, crds(folder))


@pytest.fixture
def applied(
    admin_api: client.ApiClient, apply: Callable[..., Any], remove: Callable[..., Any], until: Callable
) -> Iterator[Callable[[list[dict[str, Any]]], list[dict[str, Any]]]]:
    """Applies what the API server has the kinds of, and takes it away; the policies stay, others use them."""
    there: list[dict[str, Any]] = []

    def made(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        taken = []
        for manifest in manifests:
            if objects.knows(admin_api, manifest["apiVersion"], manifest["kind"]):
                there.append(manifest)
                taken += apply(manifest)
        return taken

    yield made
    for manifest in there:
        if "AdmissionPolicy" not in manifest["kind"]:
            remove(manifest)
    core = client.CoreV1Api(admin_api)
    ours = {each["metadata"]["name"] for each in there if each["kind"] in ("Namespace", "PersistentVolume")}

    def left() -> set[str]:
        found = [*core.list_namespace().items, *core.list_persistent_volume().items]
        return ours & {each.metadata.name for each in found}

    until(lambda: not left(), seconds=120, what=lambda: f"{left()} are gone")


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_an_overlay_is_taken_as_it_is(overlay, applied, admin_api):
    manifests = made_of(overlay)
    taken = applied(manifests)
    left_out = {each["kind"] for each in manifests} - {each["kind"] for each in taken}
    assert left_out <= (POLICIES if overlay.name.startswith("policy") else set())
    assert all(each["metadata"]["uid"] for each in taken)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(KIT)))
def test_a_file_beside_the_overlays_is_taken_as_it_is(path, applied, kuberay):
    base = [each for each in rendered(KIT / "base") if each["kind"] in ("Namespace", "PriorityClass")]
    manifests = documents(path)
    if KUBERAY & {each["kind"] for each in manifests} and not os.environ.get("KUBERAY_CRDS"):
        pytest.skip("KUBERAY_CRDS names no folder with KubeRay's definitions")
    assert len(applied(base + manifests)) == len(base) + len(manifests)


def test_every_manifest_is_applied_by_one_of_these():
    assert IN_OVERLAYS | set(FILES) | {p / "kustomization.yaml" for p in OVERLAYS} == set(
        KIT.rglob("*.yaml")
    ) - {
        KIT / "rbac.yaml",  # links to those in base
        KIT / "rbac-optional.yaml",
    }


def test_in_the_overlay_of_the_policy_the_claim_is_mounted(applied, admin_api, until):
    taken = applied(made_of(KIT / "overlays" / "policy-v1beta1"))
    if not {each["kind"] for each in taken} >= POLICIES:
        pytest.skip("the API server has no MutatingAdmissionPolicy in v1beta1")
    until(lambda: Pods(admin_api, "autotuner").mounts(ANNOTATED), seconds=20, what="the claim is mounted")


@pytest.mark.parametrize("way", ["external", "webhook"])
def test_where_nobody_mounts_yet_the_overlay_s_guard_or_webhook_refuses_the_pod(
    way, applied, admin_api, until
):
    applied(made_of(KIT / "overlays" / way))
    namespace = Pods(admin_api, "autotuner")

    def refused() -> bool:
        answer = namespace.create(ANNOTATED)
        return isinstance(answer, Refusal) and ("ome-pvc" in answer.message)

    until(refused, seconds=20, what="the pod is refused")


def test_the_restricted_pod_security_standard_takes_every_pod(applied, admin_api, until):
    name = f"kit-{uuid.uuid4().hex[:6]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    applied([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}])
    core = client.CoreV1Api(admin_api)
    until(
        lambda: core.list_namespaced_service_account(name, field_selector="metadata.name=default").items,
        seconds=30,
        what="the namespace has its default service account",
    )
    namespace = Pods(admin_api, name)
    classes = {"priorityClassName", "serviceAccountName"}  # not there, and not what is looked at
    for each in pods():
        spec = {key: value for key, value in each.spec.items() if key not in classes}
        named = {volume["name"] for volume in spec.get("volumes", [])}
        mounted = {
            mount["name"] for container in each.containers for mount in container.get("volumeMounts", [])
        }
        spec["volumes"] = spec.get("volumes", []) + [
            {"name": name, "emptyDir": {}} for name in mounted - named
        ]
        one = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
        assert not isinstance(namespace.create(one), Refusal), (each.name, namespace.create(one))
        rooted = copy.deepcopy(one)
        rooted["spec"]["securityContext"]["runAsNonRoot"] = False
        assert isinstance(namespace.create(rooted), Refusal)
