"""Deployments on a Kubernetes cluster: one InferenceService each, or one Deployment and Service."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable, patience_seconds
from tuner.deploy.kubernetes.arrival import Arrival
from tuner.deploy.kubernetes.capacity import free, room_wanted
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.driver import this_driver
from tuner.deploy.kubernetes.endpoint import connection_fault, secrets_of
from tuner.deploy.kubernetes.failed_nodes import failed_nodes
from tuner.deploy.kubernetes.fate import fate, unreached
from tuner.deploy.kubernetes.kind import Kind, Plan
from tuner.deploy.kubernetes.leaving import Leaving
from tuner.deploy.kubernetes.logs import Tails, log_of
from tuner.deploy.kubernetes.manifests import to_yaml
from tuner.deploy.kubernetes.objects import made_by_tuner, remove
from tuner.deploy.kubernetes.offline import labels_of
from tuner.deploy.kubernetes.ome_kind import OmeKind, read_runtime
from tuner.deploy.kubernetes.preflight import prepared_mount
from tuner.deploy.kubernetes.presence import Presence, Say
from tuner.deploy.kubernetes.resources import NODE, POD
from tuner.deploy.kubernetes.wanted import EXPERIMENT_ID, RUN, Identity, Mount, Wanted
from tuner.deploy.kubernetes.watching import PODS, Source, Watching
from tuner.errors import (
    BackendBroken,
    Cancelled,
    DeployError,
    Failure,
    FailureClass,
    TunerError,
    WorldError,
)
from tuner.trial.ports import Cancel, Endpoint, Progress, TrialConfig
from tuner.trial.redaction import redacted, redacted_failure
from tuner.trial.serving import Serving

Json = dict[str, Any]

_LOG_SECONDS = 5.0
_LAST_LOG_SECONDS = 0.5  # deleting waits for nothing
_GONE_SECONDS = 15.0  # beyond stop_seconds, for the kubelet to end what was killed
_SETTLE_SECONDS = 0.3
_FATE_SECONDS = 3.0  # for the kubelet to tell that a container ended
_REFUSED_SECONDS = 15.0  # for a right that was taken away, and may come back
_TURN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class _Up:
    """A deployment that has served."""

    endpoint: Endpoint
    pod: Json
    ready_at: float


@dataclass(kw_only=True)
class KubernetesBackend:
    """See `ServingBackend`. It may be pickled: what it holds of running deployments stays behind.

    Attributes:
        mount: how the claim gets into the pods; None for a model that is on the nodes. Settled by `prepared`.
        owner: what trials are collected with; None for objects that stand alone.
        driver: who drives, for labels: what a sweep tells its own from.
        run: the one that works, while one does; its pods are not others'.
        now: a monotonic clock, in seconds.
        sleep: waits for seconds.
    """

    node_bound: ClassVar[bool] = False
    assumed_deploy_seconds: ClassVar[float] = 180.0

    cluster: Cluster
    wanted: Wanted
    kind: Kind
    mount: Mount | None = None
    owner: Any = None
    driver: str = field(default_factory=this_driver)
    run: str = ""
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._up: dict[str, _Up] = {}
        self._tails = Tails()
        self._leaving = Leaving(self.cluster, self.kind.made, now=self.now)
        self._pending: Watching | None = None  # pods of the run, while it works

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def prepared(self, trial: TrialConfig, *, say: Say = lambda line: None) -> Self:
        """Look at the cluster, settle who mounts the claim, and read the runtime; see `ServingBackend`."""
        mount = prepared_mount(self.cluster, self.wanted, trial=trial, say=say)
        kind = self.kind
        if isinstance(kind, OmeKind) and self.wanted.deploy.runtime:
            kind = replace(kind, runtime=read_runtime(self.cluster, self.wanted.deploy.runtime))
        found = replace(self, mount=mount, kind=kind)
        found.kind.manifests(found._plan(trial))  # what cannot be rendered is told now
        return found

    def deploy(
        self, trial: TrialConfig, *, probe: Callable[[Endpoint], None], progress: Progress, cancel: Cancel
    ) -> Endpoint:
        """Create it and wait until it has served `probe`; see `DeploymentBackend`.

        Raises:
            ConfigurationRefused, DeployInterrupted, BackendBroken, Cancelled: see tuner.errors.
            UserError: a Secret that the experiment names is not there.
        """
        present = self._up.get(trial.name)
        if present and not self._leaving.asked(trial.name) and self.failure(trial.name) is None:
            return present.endpoint
        self._leaving.stays(trial.name)
        plan = self._plan(trial, avoid=failed_nodes(self.cluster, trial) if trial.attempt > 1 else ())
        arrival = Arrival(
            self.cluster,
            self.kind,
            plan,
            probe=probe,
            progress=progress,
            cancel=cancel,
            now=self.now,
            sleep=self.sleep,
        )
        try:
            arrived = arrival.come_up()
        except BaseException as error:
            self._clear(trial.name, arrival, error, cancel)
            if isinstance(error, DeployError) and error.failure.log_tail:
                raise type(error)(redacted_failure(error.failure, self._secrets)) from error
            if isinstance(error, WorldError):
                raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, str(error))) from error
            raise
        self._up[trial.name] = _Up(arrived.endpoint, arrived.pod, self.now())
        return arrived.endpoint

    def failure(self, name: str) -> Failure | None:
        """Why it no longer serves as it did; None while it does."""
        found = self._fate_of(name)
        return redacted_failure(found, self._secrets) if found and found.log_tail else found

    def _fate_of(self, name: str) -> Failure | None:
        up = self._up.get(name)
        if up is None:
            return Failure(FailureClass.NODE_FAULT, f"{name} was not deployed from here")
        begun = self.now()
        while True:
            try:
                pods = self._pods(name, up.pod)
            except (ApiRefused, Unreachable) as error:
                if self.now() - begun > max(patience_seconds(error), _REFUSED_SECONDS):
                    text = f"it cannot be told whether {name} serves: {error}"
                    return Failure(FailureClass.NODE_FAULT, text)
                self.sleep(_TURN_SECONDS)
                continue
            found = fate(
                pods,
                was=up.pod,
                container=self.kind.container,
                log=lambda pod, container, previous: log_of(
                    self.cluster, pod, container=container, previous=previous
                ),
                seconds_since_ready=self.now() - up.ready_at,
            )
            if found is not None or (fault := connection_fault(up.endpoint)) is None:
                return found
            if self.now() - begun > _FATE_SECONDS:
                return unreached(up.endpoint, fault)
            self.sleep(_TURN_SECONDS)  # it does not listen: the kubelet tells within a second

    def log_tail(self, name: str) -> str:
        """The last lines of the engine's log, also after `delete`."""
        tail = self._tails.of(name)
        if (up := self._up.get(name)) and not self._leaving.asked(name):
            tail = self._log(up.pod) or tail
        return redacted(tail, self._secrets) if tail else tail

    def delete(self, name: str) -> None:
        """Have it taken away; the log's tail is kept."""
        if (up := self._up.get(name)) and not self._leaving.asked(name):
            self._tails.keep(name, self._log(up.pod, seconds=_LAST_LOG_SECONDS))
        self._leaving.ask(name)

    def released(self, name: str) -> bool:
        """Whether none of its objects and pods is left. That the owner is gone does not mean so."""
        if not self._leaving.gone(name):
            return False
        self._up.pop(name, None)
        return True

    def sweep(self, run: str) -> list[str]:
        """Have taken away what other drivers of `run` left; waits for nothing.

        Raises:
            ApiRefused, Unreachable: it cannot be looked at.
        """
        found = [made for made in made_by_tuner(self.cluster, run=run) if made.driver != self.driver]
        remove(self.cluster, found)
        return sorted({made.name for made in found})

    def capacity(self) -> int | None:
        """Free accelerators of all nodes; None where nodes and pods of the cluster may not be listed."""
        if self.wanted.deploy.accelerator_claim is not None:
            return None  # which devices fit a claim, the scheduler alone can tell
        try:
            nodes = self.cluster.list(NODE)["items"]
            pods = self.cluster.list(POD, everywhere=True)["items"]
        except (ApiRefused, Unreachable):
            return None
        return free(nodes, pods, resource=self.wanted.deploy.gpu_resource, ours=self._is_of_run)

    def waiting(self, run: str) -> str:
        """The deployment of `run` that waits for accelerators, and on what; "" for none."""
        if self._pending is not None and run == self.run:
            pods = self._pending.seen.pods
        else:
            asked = _pending(run)
            pods = self.cluster.list(POD, labels=asked.labels, fields=asked.fields)["items"]
        return room_wanted(pods, self.wanted.deploy.gpu_resource)

    @contextmanager
    def running(self, run: str, *, say: Say = lambda line: None) -> Iterator[Self]:
        """Hold the run's Lease; sweep what dead drivers left before, and all of this run after."""
        presence = Presence(self.cluster, run, driver=self.driver, say=say, sleep=self.sleep)
        with presence.held(owned=self.wanted.deploy.owner == "auto", environment=os.environ) as owner:
            working = replace(self, owner=owner, run=run)
            try:
                with Watching(self.cluster, [_pending(run)], now=self.now) as working._pending:
                    yield working
            finally:
                presence.clear(seconds=self.wanted.deploy.stop_seconds + _GONE_SECONDS)

    def restricted_to(self, cores: tuple[int, ...]) -> Self:
        """The same: engines run on other machines."""
        return self

    def serving(self, trial: TrialConfig, *, name: str) -> Serving:
        """A manifest to apply: no labels of trials, no owner."""
        plan = replace(self._plan(trial), identity=Identity(name))
        return Serving(manifest=to_yaml(self.kind.manifests(plan)))

    def _plan(self, trial: TrialConfig, *, avoid: tuple[str, ...] = ()) -> Plan:
        labels = labels_of(self.wanted, trial, driver=self.driver)
        return Plan(self.wanted, trial, Identity(trial.name, labels, self.owner), self.mount, avoid)

    def _clear(self, name: str, arrival: Arrival, error: BaseException, cancel: Cancel) -> None:
        """Take away what did not come up; a cancel, and a cluster that is broken, wait for nothing."""
        if isinstance(error, DeployError):
            self._tails.keep(name, error.failure.log_tail)
        elif arrival.pod is not None:
            self._tails.keep(name, self._log(arrival.pod, seconds=_LAST_LOG_SECONDS))
        self.delete(name)
        if isinstance(error, (Cancelled, BackendBroken)) or not isinstance(error, TunerError):
            return
        deadline = self.now() + self.wanted.deploy.stop_seconds + _GONE_SECONDS
        while not self.released(name) and self.now() < deadline and not cancel():
            self.sleep(0.05)
        arrival.settle(seconds=_SETTLE_SECONDS)

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        return secrets_of(self.cluster, self.wanted.deploy)

    def _pods(self, name: str, was: Json) -> list[Json]:
        """Its pod as it was, where that is still there; else all that carry its label."""
        found = self.cluster.get(POD, view.name(was))
        if found is not None and view.uid(found) == view.uid(was):
            return [found]
        others: list[Json] = self.cluster.list(POD, labels=f"{EXPERIMENT_ID}={name}")["items"]
        return others

    def _is_of_run(self, pod: Json) -> bool:
        return bool(self.run) and (pod["metadata"].get("labels") or {}).get(RUN) == self.run

    def _log(self, pod: Json, *, seconds: float = _LOG_SECONDS) -> str:
        return log_of(self.cluster, pod, container=self.kind.container, seconds=seconds)


def _pending(run: str) -> Source:
    return Source(PODS, POD, labels=f"{RUN}={run}", fields="status.phase=Pending")
