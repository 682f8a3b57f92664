"""One overlay for each way of mounting, each with all that its way needs and nothing of another's."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml
from kit_files import KIT, OVERLAYS, by_name, rendered

from tuner.spec.model import Storage

BASE = {
    ("ClusterRole", "autotuner-reader"),
    ("ClusterRoleBinding", "autotuner-reader"),
    ("Namespace", "autotuner"),
    ("PriorityClass", "autotuner-trial"),
    ("Role", "autotuner"),
    ("RoleBinding", "autotuner"),
    ("ServiceAccount", "autotuner"),
}
GUARD = {
    ("ValidatingAdmissionPolicy", "ome-pvc-guard"),
    ("ValidatingAdmissionPolicyBinding", "ome-pvc-guard"),
}
POLICY = {("MutatingAdmissionPolicy", "ome-pvc-mount"), ("MutatingAdmissionPolicyBinding", "ome-pvc-mount")}
MORE = {"policy": GUARD | POLICY, "policy-v1beta1": GUARD | POLICY, "external": GUARD}
LABELS = {"policy": "policy", "policy-v1beta1": "policy", "webhook": "webhook", "external": "external"}


@pytest.fixture(params=[path.name for path in OVERLAYS])
def overlay(request):
    return KIT / "overlays" / request.param


def test_every_way_of_mounting_has_one():
    ways = {"policy", "webhook", "native", "inline", "external"}
    assert ways | {"policy-v1beta1"} == {path.name for path in OVERLAYS}
    for way in ways:
        assert Storage(type="pvc", pvc_name="claim", mount=way).mount == way


def test_it_has_what_its_way_needs(overlay):
    found = {(each["kind"], each["metadata"]["name"]) for each in rendered(overlay)}
    if overlay.name == "webhook":
        assert found > BASE | GUARD
        assert ("MutatingWebhookConfiguration", "ome-pvc-mount") in found
        assert not found & POLICY
    else:
        assert found == BASE | MORE.get(overlay.name, set())


def test_who_mounts_stands_on_the_namespace(overlay):
    namespace = by_name(rendered(overlay))["Namespace", "/autotuner"]
    assert namespace["metadata"].get("labels", {}).get("autotuner.io/mount") == LABELS.get(overlay.name)


def test_kubectl_makes_the_same_of_it(overlay):
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here")
    ended = subprocess.run(["kubectl", "kustomize", overlay], check=True, capture_output=True, text=True)
    theirs = [each for each in yaml.load_all(ended.stdout, yaml.CSafeLoader) if each]
    assert _as_cel_reads(by_name(theirs)) == _as_cel_reads(by_name(rendered(overlay)))


def _as_cel_reads(found):
    """With line breaks made one: kubectl doubles those of folded texts, which to CEL is the same."""
    if isinstance(found, dict):
        return {key: _as_cel_reads(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_as_cel_reads(value) for value in found]
    return re.sub(r"\n+", "\n", found) if isinstance(found, str) else found


def test_old_paths_lead_to_the_files_that_overlays_use():
    for name in ("rbac.yaml", "rbac-optional.yaml", "admission/guard.yaml", "admission/policy.yaml"):
        assert (KIT / name).read_text().startswith("# ")
