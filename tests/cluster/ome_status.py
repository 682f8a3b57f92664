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
    if revision:
        engine["latestCreatedRevision"] = revision
    observed = (deployment.get("status") or {}).get("observedGeneration")
    if ready:
        engine["url"] = f"http://{service_name(meta['name'])}.{meta['namespace']}.svc.cluster.local"
    result = {
        "address": {"url": url},
        "url": url,
        "components": {"engine": engine},
        "conditions": _conditions(ready, before.get("conditions") or [], now),
        "modelStatus": _model_status(before.get("modelStatus") or {}, pods, ready=bool(ready)),
    }
    if observed:
        result["observedGeneration"] = observed
    return result


def is_ready(status_of: Json | None) -> bool:
    """Whether the condition Ready is True."""
    conditions = (status_of or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _available(deployment: Json) -> bool | None:
    """None until the Deployment's own controller has looked at it."""
    conditions = (deployment.get("status") or {}).get("conditions") or []
    said = [each["status"] for each in conditions if each["type"] == "Available"]
    return said[0] == "True" if said else None


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
    """What became of the model: the newest pod's ome-container decides; a past failure stays written.

    As long as that pod has no containers yet, nothing is said.
    """
    if not pods:
        return _model_state(before, "Pending", "InProgress")
    if ready:
        copies = {"failedCopies": 0, "totalCopies": len(pods)}
        return {**_model_state(before, "Loaded", "UpToDate"), "modelCopies": copies}
    newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    for container in (newest.get("status") or {}).get("containerStatuses") or []:
        if container["name"] == "ome-container":
            failure = _failure(container)
            if failure is None:
                return _model_state(before, "Pending", "InProgress")
            failed = _model_state(before, "FailedToLoad", "BlockedByFailedLoad")
            return {**failed, "lastFailureInfo": failure}
    return {"transitionStatus": "", **before}


def _model_state(before: Json, target: str, transition: str) -> Json:
    active = (before.get("modelRevisionStates") or {}).get("activeModelState", "")
    states = {"activeModelState": target if target == "Loaded" else active, "targetModelState": target}
    return {**before, "modelRevisionStates": states, "transitionStatus": transition}


def _failure(container: Json) -> Json | None:
    """How the container ended, where it is down by an error of its own or held back after one."""
    state = container.get("state") or {}
    ended = state.get("terminated") or {}
    if (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff":
        ended = (container.get("lastState") or {}).get("terminated") or {}
    elif ended.get("reason") != "Error":  # OOMKilled is not looked for
        return None
    if not ended:
        return None
    message = {"message": ended["message"]} if ended.get("message") else {}
    return {"reason": "ModelLoadFailed", "exitCode": ended["exitCode"], **message}
