"""The status that OME 0.1.5 gives an InferenceService, from its Deployment and pods. Pure."""

from __future__ import annotations

from typing import Any

from ome_children import first_port, service_name
from ome_merge import Json

_INITIALIZING = ("Initializing", "engine component initializing")
_NO_INGRESS = ("IngressDisabled", "Ingress creation is disabled, using external service for access")


def status(isvc: Json, deployment: Json, pods: list[Json], *, now: str) -> Json:
    """The status of this moment.

    Args:
        isvc: with the status it has; what did not change keeps its time of transition.
        deployment: the engine's, as the API has it.
        pods: of the engine, as the API has them.
        now: the time, in the API's way of writing it.
    """
    before, meta = isvc.get("status") or {}, isvc["metadata"]
    ready = _available(deployment)
    url = f"http://{meta['name']}.{meta['namespace']}.svc.cluster.local:{first_port(deployment)}"
    engine = dict((before.get("components") or {}).get("engine") or {})
    revision = deployment["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision")
    if revision and ready is not None:
        engine["latestCreatedRevision"] = revision
    if ready:
        engine["url"] = f"http://{service_name(meta['name'])}.{meta['namespace']}.svc.cluster.local"
    result = {
        "address": {"url": url},
        "url": url,
        "components": {"engine": engine},
        "conditions": _conditions(ready, before.get("conditions") or [], now),
        "modelStatus": _model_status(before.get("modelStatus") or {}, pods, ready=bool(ready)),
    }
    if ready is not None:
        result["observedGeneration"] = deployment["metadata"]["generation"]
    return result


def is_ready(status_of: Json | None) -> bool:
    """Whether the condition Ready is True."""
    conditions = (status_of or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _available(deployment: Json) -> bool | None:
    """None until the Deployment's own controller has looked at it."""
    conditions = (deployment.get("status") or {}).get("conditions")
    if not conditions:
        return None
    return any(each["type"] == "Available" and each["status"] == "True" for each in conditions)


def _conditions(ready: bool | None, before: list[Json], now: str) -> list[Json]:
    made = [_condition("IngressReady", "True", *_NO_INGRESS)]
    if ready is None:
        made.append(_condition("Ready", "Unknown"))
    elif ready:
        available = ("MinimumReplicasAvailable", "Deployment has minimum availability.")
        made = [_condition("EngineReady", "True", *available), *made, _condition("Ready", "True")]
    else:
        initializing = _condition("EngineReady", "False", *_INITIALIZING)
        made = [initializing, *made, _condition("Ready", "False", *_INITIALIZING)]
    old = {each["type"]: each for each in before}
    for each in made:
        known = old.get(each["type"], {})
        same = known.get("status") == each["status"]
        each["lastTransitionTime"] = known["lastTransitionTime"] if same else now
    return made


def _condition(kind: str, value: str, reason: str = "", message: str = "") -> dict[str, Any]:
    said = {key: text for key, text in (("reason", reason), ("message", message)) if text}
    return {"type": kind, "status": value, **said}


def _model_status(before: Json, pods: list[Json], *, ready: bool) -> Json:
    """What became of the model: the newest pod's first container decides; a past failure stays written."""
    result = dict(before)
    states = dict(
        before.get("modelRevisionStates") or {"activeModelState": "", "targetModelState": "Pending"}
    )
    if not pods:
        result.setdefault("transitionStatus", "")
        return result
    failure = _failure(max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])))
    if ready:
        states = {"activeModelState": "Loaded", "targetModelState": "Loaded"}
        result["modelCopies"] = {"failedCopies": 0, "totalCopies": len(pods)}
        result["transitionStatus"] = "UpToDate"
    elif failure:
        states["targetModelState"] = "FailedToLoad"
        result["lastFailureInfo"] = failure
        result["transitionStatus"] = "BlockedByFailedLoad"
    else:
        states["targetModelState"] = "Pending"
        result["transitionStatus"] = "InProgress"
    return {**result, "modelRevisionStates": states}


def _failure(pod: Json) -> Json | None:
    """How the container named ome-container ended, where it has and does not run again."""
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        if container["name"] != "ome-container":
            continue
        state = container.get("state") or {}
        ended = state.get("terminated")
        if (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff":
            ended = (container.get("lastState") or {}).get("terminated")
        if ended:
            message = {"message": ended["message"]} if ended.get("message") else {}
            return {"reason": "ModelLoadFailed", "exitCode": ended["exitCode"], **message}
    return None
