"""`deploy.pod` and the claim as fields of a pod's spec, in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tuner.deploy.kubernetes.escaping import templated
from tuner.spec.deploy import Deploy
from tuner.spec.pod import Pod

VOLUME = "tuner-model"  # not the model's own name: admission knows OME's volume by that


def pod_fields(pod: Pod, avoid_nodes: Collection[str] = ()) -> dict[str, Any]:
    """What is said of it; nothing for what is left out."""
    found: dict[str, Any] = {
        "tolerations": [t.model_dump(exclude_none=True) for t in pod.tolerations],
        "nodeSelector": dict(pod.node_selector),
        "priorityClassName": pod.priority_class,
        "imagePullSecrets": [{"name": name} for name in pod.image_pull_secrets],
        "securityContext": dict(pod.security_context),
        "serviceAccountName": pod.service_account,
        "runtimeClassName": pod.runtime_class,
        "affinity": _away_from(avoid_nodes),
    }
    return {field: value for field, value in found.items() if value}


def resources(deploy: Deploy, accelerators: int) -> dict[str, dict[str, str | int]]:
    """Requests and limits of one deployment; accelerators stand in both, as extended resources must."""
    counted: dict[str, str | int] = {deploy.gpu_resource: accelerators} if accelerators else {}
    given = deploy.pod.resources
    found = {"limits": {**given.limits, **counted}, "requests": {**given.requests, **counted}}
    return {kind: amounts for kind, amounts in found.items() if amounts}


def claim_volume(claim: str, subpath: str | None, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(volume, mount) of a claim; read-only in both, so that a missing subpath fails and is not created."""
    volume = {"name": VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    mount = {"name": VOLUME, "mountPath": templated(path), "readOnly": True}
    if subpath:
        mount["subPath"] = templated(subpath)
    return volume, mount


def env_list(env: Mapping[str, str]) -> list[dict[str, str]]:
    """Environment variables as a container has them."""
    return [{"name": name, "value": value} for name, value in env.items()]


def _away_from(nodes: Collection[str]) -> dict[str, Any] | None:
    """A preference: where no other node fits, the same one again is better than none."""
    if not nodes:
        return None
    apart = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in sorted(nodes)]
    preference = {"weight": 100, "preference": {"matchFields": apart}}
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}}
