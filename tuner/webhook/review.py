"""One AdmissionReview (admission.k8s.io/v1) in, one out."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tuner.errors import WorldError
from tuner.webhook.contract import PodRefused
from tuner.webhook.patch import patch_pod

_API_VERSION = "admission.k8s.io/v1"


class BadReview(WorldError):
    """The request is no AdmissionReview of a pod; one line."""


class Outcome(StrEnum):
    """What became of a pod."""

    PATCHED = "patched"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """The review to send back, with what is written down of it.

    Attributes:
        body: the AdmissionReview.
        outcome: what became of the pod.
        pod: "namespace/name", or the name's beginning where the API server is still to make it up.
        operations: of the patch.
        message: why it was refused; "" where it was not.
    """

    body: dict[str, Any]
    outcome: Outcome
    pod: str
    operations: int = 0
    message: str = ""


def answer(review: Any) -> Answer:
    """Patch or refuse the pod of `review`, which is JSON as the API server sent it.

    Raises:
        BadReview: it is not a review of a pod's creation.
    """
    uid, namespace, pod = _asked(review)
    metadata = pod["metadata"]
    name = f"{namespace}/{metadata.get('name') or metadata.get('generateName', '')}"
    try:
        operations = patch_pod(pod)
    except PodRefused as refused:
        status = {"code": 422, "reason": "Invalid", "message": str(refused)}
        body = _review(uid, {"allowed": False, "status": status})
        return Answer(body, Outcome.REFUSED, name, message=str(refused))
    if not operations:
        return Answer(_review(uid, {"allowed": True}), Outcome.UNCHANGED, name)
    patch = base64.b64encode(json.dumps(operations).encode()).decode()
    body = _review(uid, {"allowed": True, "patchType": "JSONPatch", "patch": patch})
    return Answer(body, Outcome.PATCHED, name, operations=len(operations))


def _asked(review: Any) -> tuple[str, str, dict[str, Any]]:
    if not isinstance(review, Mapping) or review.get("apiVersion") != _API_VERSION:
        raise BadReview(f"not an AdmissionReview of {_API_VERSION}")
    request = review.get("request")
    if not isinstance(request, Mapping) or not isinstance(request.get("uid"), str):
        raise BadReview("an AdmissionReview without a request")
    pod = request.get("object")
    if not isinstance(pod, dict) or not isinstance(pod.get("spec"), dict) or "metadata" not in pod:
        raise BadReview("a request without a pod: the webhook is for CREATE of pods")
    return request["uid"], str(request.get("namespace", "")), pod


def _review(uid: str, response: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": _API_VERSION, "kind": "AdmissionReview", "response": {"uid": uid, **response}}
