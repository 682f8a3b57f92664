"""Recorded cases of OME 0.1.5 (OME_OBSERVED names their folder), and live objects in the same shape."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Json = dict[str, Any]

RECORDED_NAMESPACE = "trials"
# Not to be replayed: no InferenceService, or a name that the API server makes up.
_NO_REPLAY = {"00-setup", "18-rbac", "13-generate-name"}
# These are about what comes later: crashes, readiness, deletion, changes. Only the beginning is compared.
_ABOUT_LATER = ("05-late", "05-ready", "06-", "10-", "12-", "14-")
# Said also of services that became ready: OME read an object that had changed meanwhile.
_HARMLESS = {"InternalError", "UpdateFailed"}


def folder() -> Path | None:
    """Where the records are; None where nobody says."""
    named = os.environ.get("OME_OBSERVED")
    return Path(named) if named else None


def cases() -> list[str]:
    """The names of the cases that can be replayed, none where there are no records."""
    records = folder()
    if records is None:
        return []
    listed = [each["case"] for each in json.loads((records / "index.json").read_text())]
    return [case for case in listed if case not in _NO_REPLAY and not case.startswith(_ABOUT_LATER)]


def cases_with_a_start() -> list[str]:
    """The same without those whose record begins when the engine was ready already."""
    return [case for case in cases() if case != "11-no-runner"]


def record(case: str) -> Json:
    """A case as it was written down."""
    records = folder()
    assert records is not None
    found: Json = json.loads((records / f"{case}.json").read_text())
    return found


def models_and_runtimes() -> list[Json]:
    """The cluster-scoped objects that the cases use."""
    setup = record("00-setup")["objects"]
    return [each for each in setup if each["kind"] in ("ClusterBaseModel", "ClusterServingRuntime")]


def refused_by_api(case: Json) -> int | None:
    """The HTTP status with which the API server refused the InferenceService; None where it took it."""
    return next((each["status"] for each in case["actions"] if each["what"] == "rejected"), None)


def recorded_children(case: Json) -> Json:
    """What OME made of the InferenceService: kind and name, with all that is compared."""
    made: Json = {}
    for each in case["deployments"]:
        made[f"Deployment {each['metadata']['name']}"] = _deployment(each)
    for each in case["services"]:
        made[f"Service {each['metadata']['name']}"] = _service(each)
    for each in case["horizontalPodAutoscalers"]:
        made[f"HorizontalPodAutoscaler {each['metadata']['name']}"] = each["spec"]
    for each in case["podDisruptionBudgets"]:
        made[f"PodDisruptionBudget {each['name']}"] = each["spec"]
    for each in case["configMaps"]:
        made[f"ConfigMap {each['name']}"] = each["data"]
    return made


def live_children(objects: list[Json], namespace: str) -> Json:
    """The same of objects that the API server gave, with the recorded namespace in the place of theirs."""
    made: Json = {}
    for each in json.loads(json.dumps(objects).replace(namespace, RECORDED_NAMESPACE)):
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Deployment":
            made[name] = _deployment(each)
        elif each["kind"] == "Service":
            made[name] = _service(each)
        else:
            made[name] = each["data"] if each["kind"] == "ConfigMap" else each["spec"]
    return made


def _deployment(deployment: Json) -> Json:
    """Without its replicas: an autoscaler's."""
    meta, spec = deployment["metadata"], deployment["spec"]
    annotations = {
        key: value for key, value in meta["annotations"].items() if not key.startswith("deployment.")
    }
    template = spec["template"]
    template["metadata"].pop("creationTimestamp", None)
    named = {**template["metadata"], "namespace": RECORDED_NAMESPACE}
    return {
        "labels": meta["labels"],
        "annotations": annotations,
        "template": {**template, "metadata": named},
        **{key: spec[key] for key in ("selector", "strategy", "progressDeadlineSeconds")},
    }


def _service(service: Json) -> Json:
    meta, spec = service["metadata"], service["spec"]
    return {"labels": meta["labels"], **{key: spec[key] for key in ("ports", "selector", "type")}}


def recorded_start(case: Json) -> Json | None:
    """The first status in which the engine is on its way; None where there was none."""
    for change in case["inferenceService"]["statusChanges"]:
        status = change.get("status") or {}
        if any(each["type"] == "EngineReady" for each in status.get("conditions", [])):
            return start_of(status, case["namespace"])
    return None


def start_of(status: Json, namespace: str) -> Json:
    """What is compared of a status: not what goes by the moment of looking."""
    said = json.loads(json.dumps(status).replace(f".{namespace}.svc", f".{RECORDED_NAMESPACE}.svc"))
    for each in said["conditions"]:
        each.pop("lastTransitionTime", None)
    kept = ("url", "address", "components", "conditions")
    return {key: said[key] for key in kept}


def recorded_events(case: Json) -> set[tuple[str, str]]:
    """Reasons and messages of the events on the InferenceService while it had no ready engine."""
    return {
        (each["reason"], each["message"])
        for each in case["events"]
        if each["object"].startswith("InferenceService/") and _is_telling(each["reason"])
    }


def live_events(events: list[Json], namespace: str) -> set[tuple[str, str]]:
    """The same of events that the API server gave."""
    return {
        (each["reason"], each["message"].replace(namespace, RECORDED_NAMESPACE))
        for each in events
        if _is_telling(each["reason"])
    }


def _is_telling(reason: str) -> bool:
    return reason not in _HARMLESS and reason not in ("InferenceServiceReady", "InferenceServiceNotReady")
