"""`deploy.pod` and the claim as fields of a pod's spec, in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tuner.deploy.kubernetes.escaping import templated
from tuner.spec.cluster_checks import NODE_CLASS
from tuner.spec.deploy import Deploy
from tuner.spec.pod import EnvSecret, Pod
from tuner.spec.section import ParamValue

VOLUME = "tuner-model"  # not the model's own name: admission knows OME's volume by that
_CLAIM = "accelerators"  # by which the container refers to the pod's claim


def pod_of(deploy: Deploy, places: Mapping[str, ParamValue], *, production: bool) -> Pod:
    """`deploy.pod` for one configuration: with what its class of nodes asks for.

    Args:
        production: what is to stay; a rank that lets others have the accelerators first is of trials alone.
    """
    pod = deploy.pod.model_copy(update={"priority_class": None}) if production else deploy.pod
    name = places.get(NODE_CLASS)
    if name is None or not deploy.node_classes:
        return pod
    wanted = deploy.node_classes[str(name)]
    changes = {
        "node_selector": {**pod.node_selector, **wanted.node_selector},
        "tolerations": (*pod.tolerations, *wanted.tolerations),
    }
    return pod.model_copy(update=changes)


def pod_fields(
    pod: Pod, avoid_nodes: Collection[str] = (), *, near: str = "", claim_template: str | None = None
) -> dict[str, Any]:
    """What is said of it; nothing for what is left out.

    Args:
        near: the node that is preferred among those that are not avoided.
        claim_template: of the claim for its accelerators.
    """
    claim = {"name": _CLAIM, "resourceClaimTemplateName": claim_template}
    found: dict[str, Any] = {
        "resourceClaims": [claim] if claim_template else [],
        "tolerations": [t.model_dump(exclude_none=True) for t in pod.tolerations],
        "nodeSelector": dict(pod.node_selector),
        "priorityClassName": pod.priority_class,
        "imagePullSecrets": [{"name": name} for name in pod.image_pull_secrets],
        "securityContext": dict(pod.security_context),
        "serviceAccountName": pod.service_account,
        "runtimeClassName": pod.runtime_class,
        "affinity": _preferring(near, avoid_nodes),
    }
    return {field: value for field, value in found.items() if value}


def resources(deploy: Deploy, accelerators: int) -> dict[str, Any]:
    """Requests and limits of one deployment; accelerators stand in both, as extended resources must.

    Where they are claimed, the claim stands in their place; on OME what a runtime asks for is merged key by
    key, so a runtime's own count is set to none.
    """
    counted: dict[str, str | int] = {deploy.gpu_resource: accelerators} if accelerators else {}
    claimed = deploy.claim_template(accelerators) is not None
    if claimed:
        counted = {deploy.gpu_resource: 0} if deploy.backend == "ome" else {}
    given = deploy.pod.resources
    found = {
        "limits": {**given.limits, **counted},
        "requests": {**given.requests, **counted},
        "claims": [{"name": _CLAIM}] if claimed else [],
    }
    return {kind: amounts for kind, amounts in found.items() if amounts}


def claim_volume(claim: str, subpath: str | None, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(volume, mount) of a claim; read-only in both, so that a missing subpath fails and is not created."""
    volume = {"name": VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    mount = {"name": VOLUME, "mountPath": templated(path), "readOnly": True}
    if subpath:
        mount["subPath"] = templated(subpath)
    return volume, mount


def env_list(env: Mapping[str, str], secrets: Mapping[str, EnvSecret] | None = None) -> list[dict[str, Any]]:
    """Environment variables as a container has them; first those that others may refer to, from Secrets."""
    found: list[dict[str, Any]] = []
    for name, one in (secrets or {}).items():
        found.append({"name": name, "valueFrom": {"secretKeyRef": {"name": one.secret, "key": one.key}}})
    return found + [{"name": name, "value": value} for name, value in env.items()]


def _preferring(near: str, avoided: Collection[str]) -> dict[str, Any] | None:
    """Preferences: where no other node fits, one that is avoided is better than none."""
    apart = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in sorted(avoided)]
    there = [{"key": "metadata.name", "operator": "In", "values": [near]}] if near else []
    found = [
        {"weight": weight, "preference": {"matchFields": fields}}
        for weight, fields in ((100, apart), (50, there))
        if fields
    ]
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": found}} if found else None
