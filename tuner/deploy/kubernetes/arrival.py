"""Brings one deployment up: creates its objects, follows them, and returns once a request was served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable, patience_seconds
from tuner.deploy.kubernetes.capacity import too_large
from tuner.deploy.kubernetes.classify import Course
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.endpoint import described, endpoint_of
from tuner.deploy.kubernetes.gates import is_of_queue
from tuner.deploy.kubernetes.kind import Kind, Plan, subpath_of
from tuner.deploy.kubernetes.live_mount import wrong_mount
from tuner.deploy.kubernetes.logs import log_of
from tuner.deploy.kubernetes.outcomes import Deadlines, Ready, Waiting
from tuner.deploy.kubernetes.prober import Prober
from tuner.deploy.kubernetes.resources import DEPLOYMENT, EVENT, NODE, POD, of_manifest
from tuner.deploy.kubernetes.symptoms import Symptom
from tuner.deploy.kubernetes.wanted import EXPERIMENT_ID, Manifest
from tuner.deploy.kubernetes.watching import DEPLOYMENTS, EVENTS, PODS, SERVICE, Seen, Source, Watching
from tuner.errors import (
    BackendBroken,
    Cancelled,
    DeployError,
    Failure,
    FailureClass,
    WorldError,
)
from tuner.trial.ports import Cancel, Endpoint, Progress

Json = dict[str, Any]
T = TypeVar("T")

_TURN_SECONDS = 0.1  # how often the caller's cancel is asked
_RETRY_SECONDS = 0.5
_ADDRESS_SECONDS = 10.0  # a Service that is not there with the Ready pod may be a moment late
_CLEARING_SECONDS = 60.0  # beyond the grace period, for a namesake that is being deleted


@dataclass(frozen=True, slots=True)
class Arrived:
    """A deployment that has served.

    Attributes:
        pod: as it was then.
    """

    endpoint: Endpoint
    pod: Json


class Arrival:
    """One deployment on its way up. `come_up` once; what was created is the caller's to delete.

    Args:
        now: monotonic seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        plan: Plan,
        *,
        probe: Callable[[Endpoint], None],
        progress: Progress,
        cancel: Cancel,
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.pod: Json | None = None  # the last that was seen, for its log
        self._cluster = cluster
        self._kind = kind
        self._plan = plan
        self._name = plan.identity.name
        self._probe = probe
        self._progress = progress
        self._cancel = cancel
        self._now = now
        self._sleep = sleep
        self._said = ""
        self._looked_at: set[str] = set()
        self._prober: Prober | None = None
        self._no_address: tuple[float, str] | None = None

    def come_up(self) -> Arrived:
        """Create it and wait.

        Raises:
            DeployError: see `Course`.
            UserError: a Secret that the experiment names is not there, or the template does not render.
            Cancelled: as asked, within 0.5 s.
        """
        manifests = self._kind.manifests(self._plan)
        with Watching(self._cluster, self._sources(), now=self._now) as watching:
            seen = watching.seen
            while not seen.listed and seen.refused is None:  # no event may come before the first look
                self._check_cancel()
                self._check_away(seen)
                seen = watching.wait(seen, seconds=_TURN_SECONDS)
            if seen.refused is not None:
                raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, str(seen.refused)))
            created = self._now()
            for manifest in manifests:
                self._create(manifest)
            try:
                return self._follow(watching, created)
            finally:
                if self._prober:
                    self._prober.stop()

    def settle(self, *, seconds: float) -> None:
        """After its end: wait for a request that was cut off, or it would overlap the next deployment's."""
        if self._prober:
            self._prober.stop(seconds=seconds)

    def _follow(self, watching: Watching, created: float) -> Arrived:
        deploy = self._plan.wanted.deploy
        course = Course(
            service=self._kind.service,
            container=self._kind.container,
            deadlines=Deadlines(deploy.schedule_seconds, deploy.image_seconds, deploy.ready_seconds),
            created=created,
            log=lambda pod, container, previous: log_of(
                self._cluster, pod, container=container, previous=previous
            ),
            room=self._no_room_for,
            behind_silence=self._behind_silence,
        )
        seen = watching.seen
        while True:
            self._check_cancel()
            self._check_mounts(seen)
            outcome = course.look(seen, now=self._now(), answer=self._prober.answer if self._prober else "")
            if isinstance(outcome, DeployError):
                raise outcome
            if isinstance(outcome, Ready) and (arrived := self._served(outcome.pod, course)):
                return arrived
            if isinstance(outcome, Waiting):
                self._say(outcome.what)
            seen = watching.wait(seen, seconds=_TURN_SECONDS / (2 if self._prober else 1))

    def _served(self, pod: Json, course: Course) -> Arrived | None:
        """Whether a request was served by now."""
        prober = self._prober_of(pod)
        if prober is None:
            return None
        if prober.error is not None:
            raise prober.error
        if prober.no_way:
            raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, prober.no_way))
        if not prober.served(seconds=_TURN_SECONDS / 2):
            self._say(f"Ready on {view.node(pod)}, waiting for a served request")
            return None
        times = course.times(served=self._now())
        return Arrived(described(prober.endpoint, times), pod)

    def _prober_of(self, pod: Json) -> Prober | None:
        """That of this pod's process; None while there is no address to ask."""
        plan = self._plan
        if self._prober and self._prober.endpoint.serving.split()[1] == view.uid(pod):
            return self._prober
        try:
            endpoint = endpoint_of(
                self._cluster,
                plan.wanted.deploy,
                pod,
                service=self._name,
                container=self._kind.container,
                model=plan.wanted.model.name,
            )
        except WorldError as error:
            since = self._no_address[0] if self._no_address else self._now()
            self._no_address = (since, str(error))
            if self._now() - since > _ADDRESS_SECONDS and not isinstance(error, Unreachable):
                raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, str(error))) from error
            return None
        if self._prober:
            self._prober.stop()
        self._prober = Prober(endpoint, self._probe)
        return self._prober

    def _sources(self) -> list[Source]:
        labels = f"{EXPERIMENT_ID}={self._name}"
        found = [
            Source(DEPLOYMENTS, DEPLOYMENT, labels=labels),
            Source(PODS, POD, labels=labels),
            Source(EVENTS, EVENT, only_new=True, keep=self._concerns),
        ]
        if self._kind.service:
            found.append(Source(SERVICE, self._kind.made[0], fields=f"metadata.name={self._name}"))
        return found

    def _concerns(self, event: Json) -> bool:
        """Whether an event may be about one of its objects; by uid it is told later."""
        about = str(event.get("involvedObject", {}).get("name", ""))
        mine = about == self._name or about.startswith(f"{self._name}-")
        return mine or is_of_queue(event, self._name)

    def _create(self, manifest: Manifest) -> None:
        resource = of_manifest(manifest)
        while True:
            try:
                self._insisting(lambda: self._cluster.create(resource, manifest))
                return
            except ApiRefused as error:
                if error.reason != "AlreadyExists":
                    raise self._kind.refused(error).raised() from error
            if self._is_there(manifest):
                return

    def _is_there(self, manifest: Manifest) -> bool:
        """Whether the namesake is this very deployment; waits for one that is going.

        Raises:
            BackendBroken: it is somebody else's, or does not go.
        """
        resource, labels = of_manifest(manifest), self._plan.identity.labels
        deadline = self._now() + self._plan.wanted.deploy.stop_seconds + _CLEARING_SECONDS
        while (found := self._insisting(lambda: self._cluster.get(resource, self._name))) is not None:
            theirs: Mapping[str, str] = found["metadata"].get("labels") or {}
            ours = all(theirs.get(key) == labels[key] for key in (EXPERIMENT_ID,) if key in labels)
            if ours and not view.ending(found):
                return True
            if not ours or self._now() > deadline:
                what = "does not go" if ours else "is somebody else's"
                text = f"{resource.kind} {self._name} in {self._cluster.namespace} {what}; delete it"
                raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, text))
            self._check_cancel()
            self._sleep(_TURN_SECONDS)
        return False

    def _insisting(self, call: Callable[[], T]) -> T:
        """The answer, asked again for a while where the API server is away or overloaded."""
        begun = self._now()
        while True:
            try:
                return call()
            except (Unreachable, ApiRefused) as error:
                if not (patience := patience_seconds(error)):
                    raise
                if self._now() - begun > patience:
                    text = f"{error} (for {self._now() - begun:.0f} s)"
                    raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, text)) from error
                self._say(str(error))
            self._check_cancel()
            self._sleep(_RETRY_SECONDS / 2)

    def _check_mounts(self, seen: Seen) -> None:
        """Look at every new pod before it is believed."""
        wanted, trial = self._plan.wanted, self._plan.trial
        for pod in seen.pods:
            self.pod = pod
            if view.uid(pod) in self._looked_at:
                continue
            found = wrong_mount(
                pod,
                storage=wanted.storage,
                subpath=subpath_of(wanted, trial),
                mount=self._plan.mount,
                container=self._kind.container,
            )
            if found:
                raise BackendBroken(Failure(FailureClass.MOUNT, found))
            self._looked_at.add(view.uid(pod))

    def _no_room_for(self, pod: Json) -> str:
        try:
            return too_large(pod, self._cluster.list(NODE)["items"])
        except (ApiRefused, Unreachable):
            return ""  # nobody knows

    def _behind_silence(self) -> Symptom | None:
        try:
            return self._kind.behind_silence(self._cluster, self._plan)
        except (ApiRefused, Unreachable):
            return None  # nobody knows

    def _check_away(self, seen: Seen) -> None:
        if seen.away_since is not None and self._now() - seen.away_since > seen.patience_seconds:
            raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, seen.away_why))

    def _check_cancel(self) -> None:
        if self._cancel():
            raise Cancelled("deploying was cancelled")

    def _say(self, line: str) -> None:
        if line and line != self._said:
            self._said = line
            self._progress(line)
