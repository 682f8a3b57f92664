"""The pod that a trial's objects come to: a Deployment's template, or an engine laid over OME's runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuner.deploy.kubernetes.overlay import laid_over
from tuner.deploy.kubernetes.runtime import CONTAINER
from tuner.deploy.kubernetes.wanted import Manifest
from tuner.spec.annotations import CONTRACT

# Fields of OME's `engine` that are not a pod's.
_OF_OME = frozenset(
    {
        *("acceleratorOverride", "annotations", "canaryTrafficPercent", "containerConcurrency", "containers"),
        *("deploymentStrategy", "kedaConfig", "labels", "leader", "maxReplicas", "maxUnavailable"),
        *("minAvailable", "minReplicas", "runner", "scaleMetric", "scaleTarget", "timeoutSeconds", "worker"),
    }
)
_OF_OLD_RUNTIMES = ("volumes", "nodeSelector", "affinity", "tolerations", "imagePullSecrets")


def trial_pod(objects: Sequence[Manifest], runtime: Mapping[str, Any]) -> Manifest | None:
    """The pod without what names, owns or mounts for it: labels, annotations but the contract's, and spec.

    Args:
        objects: of one deployment, as they are created.
        runtime: the spec of OME's runtime; {} where there is none, or none may be read.

    Returns:
        None where it cannot be told: no image is known.
    """
    first = objects[0]
    pod = _of_service(first, runtime) if first["kind"] == "InferenceService" else _of_deployment(first)
    return pod if pod and pod["spec"]["containers"][0].get("image") else None


def _of_deployment(deployment: Manifest) -> Manifest:
    template = deployment["spec"]["template"]
    return _pod(template.get("metadata") or {}, dict(template["spec"]))


def _of_service(service: Manifest, runtime: Mapping[str, Any]) -> Manifest | None:
    try:
        engine = laid_over(_engine_of(runtime), service["spec"]["engine"])
    except ValueError:  # the template has text where the runtime has a mapping: OME refuses it too
        return None
    runner = {"name": CONTAINER, **engine.get("runner", {})}
    spec = {key: value for key, value in engine.items() if key not in _OF_OME}
    metadata = {
        part: {**(service["metadata"].get(part) or {}), **(engine.get(part) or {})}
        for part in ("labels", "annotations")
    }
    return _pod(metadata, {**spec, "containers": [runner, *(engine.get("containers") or ())]})


def _engine_of(runtime: Mapping[str, Any]) -> Mapping[str, Any]:
    if runtime.get("engineConfig"):
        found: Mapping[str, Any] = runtime["engineConfig"]
        return found
    containers = list(runtime.get("containers") or ())
    runner = next((one for one in containers if one.get("name") == CONTAINER), next(iter(containers), None))
    kept = {key: runtime[key] for key in _OF_OLD_RUNTIMES if runtime.get(key)}
    return {**kept, **({"runner": runner} if runner else {})}


def _pod(metadata: Mapping[str, Any], spec: Manifest) -> Manifest:
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in CONTRACT}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": dict(metadata.get("labels") or {}), "annotations": annotations},
        "spec": spec,
    }
