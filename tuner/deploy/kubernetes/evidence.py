"""What is read out of a snapshot: a pod taken away, how a container ended, what OME says or does not."""

from __future__ import annotations

from collections.abc import Callable

from tuner.deploy import diagnosis
from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.pod_view import Json
from tuner.deploy.kubernetes.symptoms import CONDEMN, RETRY, STOP, Symptom, of_service_event
from tuner.deploy.kubernetes.watching import Arrived, Seen
from tuner.errors import FailureClass

Log = Callable[[Json, str, bool], str]  # pod, container, of the one before -> its last lines

SILENCE_SECONDS = 20.0  # OME answers 0.3 s after it has touched an object; a busy controller is given more
_PREEMPTION = "PreemptionByScheduler"
_OF_QUEUE = "TerminationTarget"  # Kueue's condition on a pod that it takes out of its quota
NOBODY_SECONDS = 60.0  # a controller that is started again, or elects a leader, is not a missing one


def how_it_ended(pod: Json, container: str, status: Json, log: Log) -> diagnosis.Ended:
    """What is known of a container that ended, its log included."""
    ended = view.terminated(status)
    gone = not (status.get("state") or {}).get("terminated")  # another was started since
    said = log(pod, container, gone) or str(ended.get("message") or "")
    return diagnosis.Ended(
        exit_code=view.exit_code(ended) if ended else None,
        log=said,
        seconds=view.seconds_run(ended),
        kernel_oom_kills=int(ended.get("reason") == "OOMKilled"),
    )


def lost(pod: Json) -> Symptom | None:
    """A pod that its node or the cluster has put an end to."""
    status, kind = pod.get("status", {}), FailureClass.NODE_FAULT
    for condition, always in (("DisruptionTarget", False), (_OF_QUEUE, True)):
        disrupted = view.condition(pod, condition)
        if disrupted.get("status") == "True":
            preempted = always or disrupted.get("reason") == _PREEMPTION
            why = f"{disrupted.get('reason', '')}: {disrupted.get('message', '')}"
            told = f"{view.name(pod)} was taken away: {why}"
            return Symptom(FailureClass.PREEMPTED if preempted else kind, RETRY, told)
    if status.get("phase") == "Failed" and status.get("reason"):
        why = f"{status['reason']}: {status.get('message', '')}"
        return Symptom(kind, RETRY, f"{view.name(pod)} failed on {view.node(pod) or 'its node'}: {why}")
    return None


def events_on(seen: Seen, found: Json) -> list[Arrived]:
    """Those on this object, by arrival."""
    return [e for e in seen.events if e.found.get("involvedObject", {}).get("uid") == view.uid(found)]


def refused_by_ome(seen: Seen) -> Symptom | None:
    """What OME has said against the InferenceService."""
    if seen.service is None:
        return None
    for arrived in reversed(events_on(seen, seen.service)):
        event = arrived.found
        if found := of_service_event(str(event.get("reason")), str(event.get("message"))):
            return found
    return None


def answered(seen: Seen) -> bool:
    """Whether OME has written any status, or made anything."""
    status = (seen.service or {}).get("status") or {}
    return bool(status.get("conditions") or seen.deployments or seen.pods)


def is_there(seen: Seen, *, service: bool) -> bool:
    """Whether what was created for the deployment stands, and is not being deleted."""
    made = (seen.service,) if service else seen.deployments
    return any(found is not None and not view.ending(found) for found in made)


def touched(seen: Seen) -> bool:
    """Whether the controller has had the InferenceService in its hands: it writes a finalizer first."""
    return bool(seen.service and seen.service["metadata"].get("finalizers"))


def silence(*, untouched_seconds: float, silent_seconds: float | None) -> Symptom | None:
    """A spec that OME refuses without a word, or no OME at all; None while it may still answer.

    Args:
        untouched_seconds: since it was created.
        silent_seconds: since the controller touched it; None where it has not.
    """
    if silent_seconds is None:
        if untouched_seconds < NOBODY_SECONDS:
            return None
        text = "no controller has touched the InferenceService; would be right: a running OME controller"
        return Symptom(FailureClass.BACKEND_BROKEN, STOP, f"{text} ({untouched_seconds:.0f} s)")
    if silent_seconds < SILENCE_SECONDS:
        return None
    text = "OME makes nothing of the InferenceService and does not say why; its controller's log does"
    return Symptom(FailureClass.SPEC_REFUSED, CONDEMN, text)
