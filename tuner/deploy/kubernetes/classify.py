"""From what was seen of a deployment to what it waits for, that it is ready, or why it never will be.

Knows no clock and asks nobody: times are passed in, and so is the way to an engine's log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuner.deploy import diagnosis
from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.blindness import Blindness
from tuner.deploy.kubernetes.evidence import (
    Log,
    answered,
    events_on,
    how_it_ended,
    is_there,
    lost,
    refused_by_ome,
    silence,
    touched,
)
from tuner.deploy.kubernetes.gates import held_back, said_by_queue
from tuner.deploy.kubernetes.outcomes import Deadlines, Ready, Waiting
from tuner.deploy.kubernetes.pod_view import Json
from tuner.deploy.kubernetes.symptoms import (
    CONDEMN,
    RETRY,
    Symptom,
    of_admission,
    of_claims,
    of_event,
    of_scheduler,
    of_start,
    of_waiting,
    shortened,
)
from tuner.deploy.kubernetes.watching import Seen
from tuner.errors import (
    BackendBroken,
    ConfigurationRefused,
    DeployError,
    DeployInterrupted,
    Failure,
    FailureClass,
)

Room = Callable[[Json], str]  # pod -> why no node could ever take it; "" where one could, or nobody knows

ASK_SECONDS = 3.0  # of silence, after which it is looked whether there is the model
_NOT_STARTED = ("StartError", "ContainerCannotRun")


@dataclass(slots=True)
class _Times:
    """Monotonic seconds at which a pod was first seen to be so far."""

    scheduled: float | None = None
    started: float | None = None
    ready: float | None = None


class Course:
    """One deployment on its way up.

    Args:
        service: whether there is to be an InferenceService.
        container: the name of the container that serves; the pod's first where it has none of that name.
        created: monotonic seconds at which it was asked for.
        log: of a container; called only where it is needed.
        room: called once for a pod that finds none.
        behind_silence: what may be found out where OME says nothing; called once or twice.
    """

    def __init__(
        self,
        *,
        service: bool,
        container: str,
        deadlines: Deadlines,
        created: float,
        log: Log,
        room: Room = lambda pod: "",
        behind_silence: Callable[[], Symptom | None] = lambda: None,
    ) -> None:
        self._service = service
        self._container = container
        self._deadlines = deadlines
        self._created = created
        self._log = log
        self._room = room
        self._no_room: str | None = None  # what it said of this pod
        self._pod_uid = ""
        self._since = created  # when this pod, or its lack, began
        self._times = _Times()
        self._behind_silence = behind_silence
        self._asked = self._was_there = False
        self._touched: float | None = None
        self._suspected: tuple[str, float] | None = None
        self._blind = Blindness()

    def look(self, seen: Seen, *, now: float, answer: str = "") -> Waiting | Ready | DeployError:
        """How it stands.

        Args:
            answer: of the last request that was not served, once one was sent.
        """
        if seen.refused is not None:
            return BackendBroken(Failure(FailureClass.BACKEND_BROKEN, str(seen.refused)))
        self._blind.look(seen.away_since, now=now)
        if seen.away_since is not None:  # what was last seen may be long past: nothing is judged by it
            self._suspected = None
            if now - seen.away_since <= seen.patience_seconds:
                return Waiting(shortened(seen.away_why))
            text = f"{seen.away_why} (for {now - seen.away_since:.0f} s)"
            return BackendBroken(Failure(FailureClass.BACKEND_BROKEN, text))
        found = self._found(seen, now, answer)
        if not isinstance(found, Symptom):
            self._suspected = None
            return found
        if self._suspected is None or self._suspected[0] != found.kind:
            self._suspected = (found.kind, now)
        if now - self._suspected[1] >= found.grace_seconds:
            return found.raised()
        return Waiting(found.message)

    def times(self, *, served: float) -> dict[str, float]:
        """Seconds of each part, for a pod that has served at `served`."""
        reached = {
            "scheduled": self._times.scheduled,
            "started": self._times.started,
            "ready": self._times.ready,
            "served": served,
        }
        parts, before = {}, self._created
        for part, at in reached.items():
            if at is not None:
                parts[part], before = max(0.0, at - before), at
        return parts

    def _found(self, seen: Seen, now: float, answer: str) -> Waiting | Ready | DeployError | Symptom:
        if gone := next((s for pod in seen.pods if (s := lost(pod))), None):
            return gone
        there = is_there(seen, service=self._service)
        if self._was_there and not there:
            return Symptom(FailureClass.NODE_FAULT, RETRY, "it was deleted by somebody else")
        self._was_there = there
        pods = [pod for pod in seen.pods if not view.ending(pod)]
        pod = pods[-1] if pods else None
        if (view.uid(pod) if pod else "") != self._pod_uid:  # a pod that took another's place starts afresh
            self._pod_uid = view.uid(pod) if pod else ""
            self._since, self._times, self._no_room = now, _Times(), None
        if pod is None:
            return self._without_pod(seen, now)
        return self._with_pod(pod, seen, now, answer)

    def _without_pod(self, seen: Seen, now: float) -> Waiting | DeployError | Symptom:
        for deployment in seen.deployments:
            refused = view.condition(deployment, "ReplicaFailure")
            if refused.get("status") == "True":
                message = str(refused.get("message", ""))
                if found := of_admission(message):
                    return found
                return self._unscheduled(f"waiting for quota: {message}", now)
        if self._service:
            if found := refused_by_ome(seen):
                return found
            if seen.listed and not answered(seen):
                return self._unanswered(seen, now)
        if not seen.listed and self._waited(self._created, now) < self._deadlines.schedule_seconds:
            return Waiting("waiting for the API server")
        return self._unscheduled("waiting for its pod to be made", now)

    def _unanswered(self, seen: Seen, now: float) -> Waiting | Symptom:
        if touched(seen):
            self._touched = _first(self._touched, now)
        silent = None if self._touched is None else self._waited(self._touched, now)
        found = silence(untouched_seconds=self._waited(self._created, now), silent_seconds=silent)
        if silent is not None and (found or (silent > ASK_SECONDS and not self._asked)):
            self._asked = True
            found = self._behind_silence() or found
        return found or Waiting("waiting for OME")

    def _with_pod(
        self, pod: Json, seen: Seen, now: float, answer: str
    ) -> Waiting | Ready | DeployError | Symptom:
        if not view.node(pod):
            return self._pending(pod, seen, now)
        self._times.scheduled = _first(self._times.scheduled, now)
        for status in view.statuses(pod, "initContainerStatuses"):
            ended = view.terminated(status)
            if ended and ended.get("exitCode"):
                return self._ended(pod, str(status["name"]), status)
        container = str(view.serving_container(pod, self._container)["name"])
        status = view.status_of(pod, container)
        if view.terminated(status) or view.restarts(status):
            return self._killed_by_probe(pod, container, seen) or self._ended(pod, container, status)
        if not view.running(status):
            return self._starting(pod, container, status, seen, now)
        self._times.started = _first(self._times.started, now)
        return self._loading(pod, container, seen, now, answer)

    def _pending(self, pod: Json, seen: Seen, now: float) -> Waiting | DeployError | Symptom:
        scheduled = view.condition(pod, "PodScheduled")
        message = str(scheduled.get("message", ""))
        if gated := held_back(pod):
            why = said_by_queue(seen, pod)
            return self._unscheduled(f"waiting {gated}: {why}" if why else f"waiting {gated}", now)
        told = ((str(e.found.get("reason")), str(e.found.get("message"))) for e in events_on(seen, pod))
        if found := next((s for e in told if (s := of_claims(*e))), None):
            return found
        growing = any(e.found.get("reason") == "TriggeredScaleUp" for e in events_on(seen, pod))
        if scheduled.get("reason") == "Unschedulable" and not growing:
            if found := of_scheduler(message):
                return found
            if self._no_room is None and "Insufficient" in message:
                self._no_room = self._room(pod)
            if self._no_room:
                return Symptom(FailureClass.UNSCHEDULABLE, CONDEMN, self._no_room)
        waited = "waiting for a node to be added" if growing else "waiting for a node"
        return self._unscheduled(f"{waited}: {message}" if message else waited, now)

    def _unscheduled(self, what: str, now: float) -> Waiting | DeployError:
        limit = self._deadlines.schedule_seconds
        if self._waited(self._since, now) < limit:
            return Waiting(shortened(what))
        text = f"on no node within {limit:g} s (deploy.schedule_seconds): {what}"
        return DeployInterrupted(Failure(FailureClass.UNSCHEDULABLE, shortened(text)))

    def _starting(
        self, pod: Json, container: str, status: Json, seen: Seen, now: float
    ) -> Waiting | DeployError | Symptom:
        why = view.waiting(status)
        if found := of_waiting(str(why.get("reason", "")), str(why.get("message", ""))):
            return found
        events = [(str(e.found.get("reason")), str(e.found.get("message"))) for e in events_on(seen, pod)]
        if found := next((s for e in reversed(events) if (s := of_event(*e))), None):
            return found
        reasons = {reason for reason, _ in events}
        pulling = "Pulling" in reasons and "Pulled" not in reasons
        image = view.serving_container(pod, container).get("image", "")
        doing = f"pulling {image}" if pulling else "preparing volumes and network"
        assert self._times.scheduled is not None
        if self._waited(self._times.scheduled, now) < self._deadlines.image_seconds:
            return Waiting(f"{doing} on {view.node(pod)}")
        kind = FailureClass.IMAGE if pulling else FailureClass.NODE_FAULT
        limit = self._deadlines.image_seconds
        warned = f" ({events[-1][1]})" if events and not pulling else ""
        text = f"not started within {limit:g} s (deploy.image_seconds): {doing} on {view.node(pod)}{warned}"
        return DeployInterrupted(Failure(kind, shortened(text)))

    def _loading(
        self, pod: Json, container: str, seen: Seen, now: float, answer: str
    ) -> Waiting | Ready | DeployError:
        ready = view.holds(pod, "Ready")
        if ready:
            self._times.ready = _first(self._times.ready, now)
        started, limit = _first(self._times.started, now), self._deadlines.ready_seconds
        if self._waited(started, now) < limit:
            return Ready(pod) if ready else Waiting(f"loading on {view.node(pod)}")
        if ready:
            last = f"it is Ready but served no request (last: {answer or 'no answer yet'})"
        else:
            unhealthy = [e.found for e in events_on(seen, pod) if e.found.get("reason") == "Unhealthy"]
            last = str(unhealthy[-1].get("message")) if unhealthy else "its pod did not become Ready"
        text = f"not ready within {limit:g} s: {last}"
        log = self._log(pod, container, False)
        return ConfigurationRefused(Failure(FailureClass.NEVER_READY, shortened(text), log))

    def _waited(self, since: float, now: float) -> float:
        """Seconds of a deadline that are used up: those without sight of the cluster do not count."""
        return now - since - self._blind.seconds(since)

    def _killed_by_probe(self, pod: Json, container: str, seen: Seen) -> DeployError | None:
        for arrived in events_on(seen, pod):
            message = str(arrived.found.get("message", ""))
            if arrived.found.get("reason") == "Killing" and "probe" in message:
                log = self._log(pod, container, bool(view.restarts(view.status_of(pod, container))))
                return ConfigurationRefused(Failure(FailureClass.NEVER_READY, shortened(message), log))
        return None

    def _ended(self, pod: Json, container: str, status: Json) -> DeployError:
        ended = view.terminated(status)
        if ended.get("reason") in _NOT_STARTED:
            return of_start(str(ended.get("message", ""))).raised()
        return diagnosis.died_before_ready(how_it_ended(pod, container, status, self._log))


def _first(known: float | None, now: float) -> float:
    return now if known is None else known
