"""Tells from the words of scheduler, admission and kubelet why a pod does not come up.

A new text is one line here. What is said of every trial alike stops the run, what a node or a moment may have
caused is tried again elsewhere, what only this configuration can have caused condemns it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.errors import (
    BackendBroken,
    ConfigurationRefused,
    DeployError,
    DeployInterrupted,
    Failure,
    FailureClass,
)

CONDEMN, RETRY, STOP = ConfigurationRefused, DeployInterrupted, BackendBroken
_MESSAGE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Symptom:
    """Why it does not come up.

    Attributes:
        error: what the caller does next.
        grace_seconds: how long it must have been visible before it is believed.
    """

    kind: FailureClass
    error: type[DeployError]
    message: str
    grace_seconds: float = 0.0

    def raised(self, *, log: str = "", exit_code: int | None = None) -> DeployError:
        """The error to raise."""
        return self.error(Failure(self.kind, shortened(self.message), log, exit_code))


def shortened(text: str) -> str:
    """One line of bearable length."""
    text = " ".join(text.split())
    return text if len(text) <= _MESSAGE_CHARACTERS else f"{text[: _MESSAGE_CHARACTERS - 3]}..."


# Of the scheduler. While one of these is among its reasons, a node may come to have room.
_ROOM_MAY_COME = re.compile(
    r"Insufficient |Too many pods|node\(s\) were unschedulable|exceed max volume count"
    r"|untolerated taint\(?s?\)? \{node\.(kubernetes|cloudprovider)\.(io|kubernetes\.io)/|no nodes available"
    r"|didn't have free ports|cannot allocate all claims"
)
_UNSCHEDULABLE: tuple[tuple[re.Pattern[str], FailureClass, str, float], ...] = (
    (
        re.compile(r'persistentvolumeclaim "([^"]+)" not found'),
        FailureClass.MOUNT,
        "claim {0} is not there; would be right: storage.pvc_name of a claim in the trials' namespace",
        3.0,
    ),
    (
        re.compile(r'persistentvolumeclaim "([^"]+)" (is being deleted|bound to non-existent.*)'),
        FailureClass.MOUNT,
        "claim {0} {1}",
        5.0,
    ),
    (
        re.compile(r"unbound immediate PersistentVolumeClaims|persistentvolume .* not found"),
        FailureClass.MOUNT,
        "a claim is not bound to a volume; would be right: a PersistentVolume or StorageClass that fits it",
        30.0,  # a claim that was made just now is bound within seconds
    ),
    (
        re.compile(r"had volume node affinity conflict|didn't find available persistent volumes"),
        FailureClass.MOUNT,
        "the claim's volume can be reached from no node that the pod may use",
        5.0,
    ),
    (
        re.compile(
            r"didn't match Pod's node affinity(/selector)?|didn't satisfy plugin\(s\) \[NodeAffinity\]"
        ),
        FailureClass.UNSCHEDULABLE,
        "no node has the labels that the pod asks for",
        5.0,
    ),
    (
        re.compile(r"untolerated taint"),
        FailureClass.UNSCHEDULABLE,
        "every node has a taint that the pod does not tolerate; would be right: deploy.pod.tolerations",
        5.0,
    ),
)


def of_scheduler(message: str) -> Symptom | None:
    """From the message of an Unschedulable pod; None while it waits for room."""
    reasons = message.split(" preemption:", maxsplit=1)[0]
    if _ROOM_MAY_COME.search(reasons):
        return None
    for pattern, kind, text, grace in _UNSCHEDULABLE:
        if match := pattern.search(reasons):
            said = text.format(*match.groups()) if match.groups() else text
            return Symptom(kind, STOP, f"{said} ({reasons.strip()})", grace)
    return None


def of_claims(reason: str, message: str) -> Symptom | None:
    """From an event on a pod that has no node: a template of claims that is not there."""
    if reason != "FailedResourceClaimCreation" or "not found" not in message:
        return None
    right = "would be right: deploy.accelerator_claim of a ResourceClaimTemplate in the trials' namespace"
    return Symptom(FailureClass.UNSCHEDULABLE, STOP, f"{message}; {right}", 3.0)


_OF_MOUNTING = re.compile(r"guard'|ome-pvc-mount|ome\.io/|\bclaim\b")


def of_admission(message: str) -> Symptom | None:
    """From the message of a pod that could not be created; None where a quota makes it wait."""
    kind = FailureClass.ADMISSION_REFUSED
    if "exceeded quota" in message:
        return None
    if match := re.search(r'failed calling webhook "([^"]+)"(.*)', message):
        return Symptom(kind, STOP, f"admission webhook {match[1]} does not answer{match[2]}", 3.0)
    if re.search(r"error looking up service account|serviceaccount \S+ not found", message):
        return Symptom(kind, STOP, message, 10.0)
    if re.search(r"not yet ready to handle request|context deadline exceeded|etcdserver", message):
        return Symptom(kind, STOP, f"no pod can be created: {message}", 15.0)
    denied = re.search(r"(?:denied request|denied the request):? *(.*)", message)
    if denied and _OF_MOUNTING.search(message):  # the model would not be mounted in any trial
        return Symptom(kind, STOP, f"the pod was refused: {denied[1] or message}", 1.0)
    return Symptom(kind, CONDEMN, f"the pod was refused: {denied[1] if denied else message}", 0.5)


_IMAGE = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError"}
_NOT_IN_IMAGE = re.compile(
    r"executable file not found"
    r'|exec: "[^"]*": (?:stat [^:]*: )?(?:no such file|permission denied|is a directory)'
    r"|no such file or directory: unknown$|exec format error"
)
_OF_MOUNT = re.compile(r"subPath|volumeMount|error mounting|failed to mount|mount\b.*fail", re.IGNORECASE)


def of_waiting(reason: str, message: str) -> Symptom | None:
    """From why the kubelet does not run a container; None where it is on its way."""
    text = f"{reason}: {message}" if message else reason
    if reason in _IMAGE:
        return Symptom(FailureClass.IMAGE, RETRY, text)
    if reason == "InvalidImageName":
        return Symptom(FailureClass.IMAGE, STOP, text)
    if reason == "CreateContainerConfigError":
        if _OF_MOUNT.search(message):
            return Symptom(FailureClass.MOUNT, RETRY, text)
        absent = re.search(r"(?:secret|configmap) .*not found|couldn't find key", message, re.IGNORECASE)
        error = STOP if absent else CONDEMN
        return Symptom(FailureClass.SPEC_REFUSED, error, text, 2.0 if absent else 0.0)
    if reason in ("CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"):
        return of_start(text)
    return None


def of_start(message: str) -> Symptom:
    """From why a container's command could not be started."""
    if _NOT_IN_IMAGE.search(message):
        return Symptom(FailureClass.IMAGE, CONDEMN, f"its command is not in the image: {message}")
    if _OF_MOUNT.search(message):
        return Symptom(FailureClass.MOUNT, RETRY, message)
    return Symptom(FailureClass.NODE_FAULT, RETRY, message)


_PASSES = re.compile(
    r"failed to sync|not registered|kube-root-ca\.crt|timed out waiting for the condition"
    r"|no relationship found|is forbidden: User \"system:node"  # a pod that the API server does not know yet
)


def of_event(reason: str, message: str) -> Symptom | None:
    """From an event on a pod whose container has not started."""
    if reason in ("FailedMount", "FailedAttachVolume") and not _PASSES.search(message):
        return Symptom(FailureClass.MOUNT, RETRY, message, 4.0)
    return None


# Of OME's controller, on the InferenceService.
_REFUSED_BY_OME = {
    "RuntimeValidationError": (FailureClass.UNKNOWN_RUNTIME, STOP),
    "DeploymentModeError": (FailureClass.SPEC_REFUSED, CONDEMN),
}


def of_service_event(reason: str, message: str) -> Symptom | None:
    """From an event on the InferenceService; None for the harmless ones, of which there are many."""
    if reason in _REFUSED_BY_OME:
        kind, error = _REFUSED_BY_OME[reason]
        return Symptom(kind, error, message)
    return None


def of_creation(error: ApiRefused) -> Symptom:
    """From why the API server did not take the objects of a deployment."""
    if error.of_quota:
        return Symptom(FailureClass.UNSCHEDULABLE, RETRY, error.said)
    if error.of_webhook or error.status in (401, 404, 405):
        return Symptom(FailureClass.BACKEND_BROKEN, STOP, str(error))
    if error.of_admission:
        return Symptom(FailureClass.ADMISSION_REFUSED, CONDEMN, error.said)
    if error.status in (400, 422):
        return Symptom(FailureClass.SPEC_REFUSED, CONDEMN, error.said)
    return Symptom(FailureClass.BACKEND_BROKEN, STOP, str(error))
