"""What OME after 0.1.5 refuses at admission, played by policies in one namespace, as its sources say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from broken_ground import Changes, Ground
from broken_ways import patched
from kubernetes import client

VERSION = "v1beta1"
MODEL = {"modelFormat": {"name": "safetensors"}, "storage": {"storageUri": "pvc://x:y/z"}}
SERVICE = {
    "model": {"name": "tuner-preflight-absent"},
    "runtime": {"name": "tuner-preflight-absent"},
    "engine": {"minReplicas": 1, "maxReplicas": 1},
}


@contextmanager
def mounts_itself(ground: Ground) -> Iterator[None]:
    """1.2: the claim of a BaseModel names no namespace."""
    rule = "!object.spec.storage.storageUri.matches('^pvc://[^/]*:')"
    message = "a BaseModel must not specify a namespace in its claim"
    with _refusing(ground, "basemodels", rule, message, tried={"kind": "BaseModel", "spec": MODEL}):
        yield


@contextmanager
def looks_at_creation(ground: Ground) -> Iterator[None]:
    """1.3: the model of an InferenceService is there when that is created."""
    rule = "object.spec.model.name != 'tuner-preflight-absent'"
    tried = {"kind": "InferenceService", "spec": SERVICE}
    with _refusing(ground, "inferenceservices", rule, "base model not found", tried=tried):
        yield


@contextmanager
def short_uri(ground: Ground) -> Iterator[Changes]:
    """On 1.2, a ClusterBaseModel that was right for 0.1.5."""
    namespace = ground.place.namespace
    short = {"storage": {"storageUri": f"pvc://{namespace.claim}/{namespace.subpath}"}}
    whole = {"storage": {"storageUri": f"pvc://{ground.name}:{namespace.claim}/{namespace.subpath}"}}
    with mounts_itself(ground), patched("model", short, undo=whole)(ground) as changes:
        yield changes


@contextmanager
def _refusing(
    ground: Ground, plural: str, rule: str, message: str, *, tried: dict[str, Any]
) -> Iterator[None]:
    name = f"{plural}-{ground.name}"
    resource = {
        "apiGroups": ["ome.io"],
        "apiVersions": ["*"],
        "operations": ["CREATE"],
        "resources": [plural],
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": ground.name}}
    spec = {
        "matchConstraints": {"resourceRules": [resource], "namespaceSelector": here},
        "validations": [{"expression": rule, "message": message}],
    }
    of_admission = "admissionregistration.k8s.io/v1"
    policy = ground.object(of_admission, "ValidatingAdmissionPolicy", name, of_cluster=True, spec=spec)
    bound = {"policyName": name, "validationActions": ["Deny"]}
    binding = ground.object(
        of_admission, "ValidatingAdmissionPolicyBinding", name, of_cluster=True, spec=bound
    )
    body = {"apiVersion": f"ome.io/{VERSION}", "metadata": {"generateName": "x-"}, **tried}

    def refused() -> bool:
        try:
            client.CustomObjectsApi(ground.api).create_namespaced_custom_object(
                "ome.io", VERSION, ground.name, plural, body, dry_run="All"
            )
        except client.ApiException:
            return True
        return False

    with ground.with_objects(policy, binding):
        ground.until(refused, seconds=30, what=f"{message!r} is said")
        yield
