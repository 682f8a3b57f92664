"""A Lease for each run tells live drivers from dead ones on all machines, and owns the run's objects.

It stands in the trials' namespace as long as the driver works, and is renewed every few seconds. Kubernetes
collects what it owns once it is deleted; the next driver may sweep what carries its run once it has expired.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.driver import has_ended, pid_space
from tuner.deploy.kubernetes.objects import unix_time
from tuner.deploy.kubernetes.resources import LEASE, RAY_CLUSTER
from tuner.deploy.kubernetes.wanted import DRIVER, RUN
from tuner.errors import TunerError, WorldError

Json = dict[str, Any]

DURATION_SECONDS = 60
RENEW_SECONDS = 20.0  # two may be missed
SKEW_SECONDS = 30.0  # between the clocks of two machines
_PID_SPACE = "autotuner.io/pid-space"  # annotation: where the holder's pid means something


def lease_name(run: str) -> str:
    """The Lease of a run."""
    return f"autotuner-{run}"


@dataclass(frozen=True, slots=True)
class Held:
    """A Lease as it stands in the cluster.

    Attributes:
        holder: the driver.
        renewed: Unix time, by the holder's clock.
        pid_space: of the holder.
    """

    run: str
    holder: str
    renewed: float
    duration_seconds: float
    pid_space: str = ""

    def alive(self, *, now: float) -> bool:
        """Whether its driver may be working, at Unix time `now`; one that was killed here is seen at once."""
        fresh = now < self.renewed + self.duration_seconds + SKEW_SECONDS
        return fresh and not has_ended(self.holder, space=self.pid_space)

    @classmethod
    def of(cls, lease: Json) -> Held:
        """From the object."""
        spec = lease.get("spec") or {}
        return cls(
            run=(lease["metadata"].get("labels") or {}).get(RUN, ""),
            holder=str(spec.get("holderIdentity") or ""),
            renewed=unix_time(spec["renewTime"]) if spec.get("renewTime") else 0.0,
            duration_seconds=float(spec.get("leaseDurationSeconds") or DURATION_SECONDS),
            pid_space=(lease["metadata"].get("annotations") or {}).get(_PID_SPACE, ""),
        )


def leases(cluster: Cluster) -> dict[str, Held]:
    """Every run's Lease in the namespace, by run."""
    found = (Held.of(item) for item in cluster.list(LEASE, labels=RUN)["items"])
    return {held.run: held for held in found}


def drop_lease(cluster: Cluster, run: str) -> bool:
    """Delete a run's Lease, and with it all that it owns; False where there is none."""
    return cluster.delete(LEASE, lease_name(run))


class RunLease:
    """Holds the Lease of one run: a context, in which a thread renews it.

    A Lease that is there already is taken over: whoever holds the run's directory holds the run.

    Args:
        say: told once where it was lost.
    """

    def __init__(
        self,
        cluster: Cluster,
        run: str,
        *,
        driver: str,
        say: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._run = run
        self._driver = driver
        self._say = say
        self._now = now
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="run lease", daemon=True)
        self._lease: Json = {}  # as it was last written

    def __enter__(self) -> Self:
        """Take it.

        Raises:
            WorldError: the API server does not let us.
        """
        self._lease = self._take()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(RENEW_SECONDS)
        with suppress(TunerError):  # it expires
            drop_lease(self._cluster, self._run)

    @property
    def owner(self) -> Mapping[str, Any]:
        """As an owner reference; blocks nobody's deletion."""
        return _owner("coordination.k8s.io/v1", "Lease", lease_name(self._run), self._uid)

    @property
    def _uid(self) -> str:
        return str(self._lease["metadata"]["uid"])

    def renew(self) -> None:
        """Say that the driver lives.

        Raises:
            WorldError: it could not be said.
        """
        try:  # one request, as long as nobody else has written it
            self._lease = self._cluster.replace(LEASE, self._renewed(self._lease))
        except ApiRefused as refused:
            if refused.status not in (404, 409):
                raise
            found = self._cluster.get(LEASE, lease_name(self._run))
            if found is None or found["metadata"]["uid"] != self._uid:
                raise _Lost from refused
            if found["spec"].get("holderIdentity") != self._driver:
                raise _Lost from refused
            self._lease = self._cluster.replace(LEASE, self._renewed(found))

    def _renewed(self, lease: Json) -> Json:
        return {**lease, "spec": {**lease["spec"], "renewTime": self._time()}}

    def _take(self) -> Json:
        wanted = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {
                "name": lease_name(self._run),
                "labels": {RUN: self._run, DRIVER: self._driver},
                "annotations": {_PID_SPACE: pid_space()},
            },
            "spec": {
                "holderIdentity": self._driver,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": self._time(),
                "renewTime": self._time(),
            },
        }
        for _ in range(3):
            found = self._cluster.get(LEASE, lease_name(self._run))
            try:
                if found is None:
                    return self._cluster.create(LEASE, wanted)
                metadata = {**found["metadata"], **wanted["metadata"]}  # type: ignore[dict-item]
                metadata["annotations"] |= found["metadata"].get("annotations") or {}
                metadata["annotations"][_PID_SPACE] = pid_space()
                return self._cluster.replace(LEASE, {**found, "spec": wanted["spec"], "metadata": metadata})
            except ApiRefused as refused:
                if refused.status != 409:  # somebody was quicker
                    raise
        raise WorldError(f"Lease {lease_name(self._run)} in {self._cluster.namespace} changes all the time")

    def _keep(self) -> None:
        while not self._over.wait(RENEW_SECONDS):
            try:
                self.renew()
            except _Lost:
                self._say(
                    f"Lease {lease_name(self._run)} was taken away by somebody else, and the trials with it"
                )
                return
            except (ApiRefused, Unreachable):
                continue  # it holds for a while yet

    def _time(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Lost(WorldError):
    """The Lease is no longer this driver's."""


def ray_cluster_owner(cluster: Cluster, environment: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The RayCluster that the driver runs in, by KubeRay's variables; None where there is none to own trials.

    An owner must be of the same namespace. Where the RayCluster may not be read, the Lease owns them.
    """
    name, namespace = environment.get("RAY_CLUSTER_NAME"), environment.get("RAY_CLUSTER_NAMESPACE")
    if not name or namespace != cluster.namespace:
        return None
    try:
        found = cluster.get(RAY_CLUSTER, name)
    except ApiRefused:
        return None
    return (
        _owner(RAY_CLUSTER.api_version, RAY_CLUSTER.kind, name, found["metadata"]["uid"]) if found else None
    )


def _owner(api_version: str, kind: str, name: str, uid: str) -> Mapping[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": False}
