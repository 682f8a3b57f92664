"""A run's presence on a cluster: what it holds while it works, and what it clears before and after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.objects import Made, made_by_tuner, remove
from tuner.deploy.kubernetes.resources import POD
from tuner.deploy.kubernetes.run_lease import RunLease, drop_lease, leases, ray_cluster_owner
from tuner.deploy.kubernetes.wanted import RUN
from tuner.deploy.kubernetes.watching import PODS, Source, Watching
from tuner.errors import TunerError

Say = Callable[[str], None]

YOUNG_SECONDS = 60.0  # objects without a Lease: its driver may be about to make one
_POLL_SECONDS = 0.1


class Presence:
    """One run on one cluster.

    Args:
        now: Unix time.
    """

    def __init__(
        self,
        cluster: Cluster,
        run: str,
        *,
        driver: str,
        say: Say,
        sleep: Callable[[float], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._run = run
        self._driver = driver
        self._say = say
        self._sleep = sleep
        self._now = now

    @contextmanager
    def held(self, *, owned: bool, environment: Mapping[str, str]) -> Iterator[Mapping[str, Any] | None]:
        """Hold the run's Lease, with what dead drivers left swept away; the owner of trials.

        Raises:
            ApiRefused, Unreachable: nothing can be held or swept.
        """
        with RunLease(self._cluster, self._run, driver=self._driver, say=self._say) as lease:
            self._sweep()
            yield (ray_cluster_owner(self._cluster, environment) or lease.owner) if owned else None

    def clear(self, *, seconds: float) -> None:
        """Have all of the run taken away, and wait so long for its pods to be gone. Never raises."""
        try:
            remove(self._cluster, made_by_tuner(self._cluster, run=self._run))
            deadline = self._now() + seconds
            pods = Source(PODS, POD, labels=f"{RUN}={self._run}")
            with Watching(self._cluster, [pods]) as watching:
                while (seen := watching.seen).pods or not seen.listed:
                    if seen.refused is not None:
                        raise seen.refused
                    if self._now() > deadline:
                        left = view.name(seen.pods[0]) if seen.pods else "unknown"
                        self._say(f"pod {left} is still there, and ends by itself")
                        return
                    self._sleep(_POLL_SECONDS)
        except TunerError as error:
            self._say(f"not everything was removed ({error}); `tuner clean {self._run}` does it")

    def _sweep(self) -> None:
        """What carries this run and another driver, and all of runs whose driver is dead."""
        held, now = leases(self._cluster), self._now()

        def abandoned(made: Made) -> bool:
            if made.run == self._run:
                return made.driver != self._driver
            lease = held.get(made.run)
            return not lease.alive(now=now) if lease else now - made.created > YOUNG_SECONDS

        found = [made for made in made_by_tuner(self._cluster) if abandoned(made)]
        told: set[str] = set()

        def tell(made: Made) -> None:
            if made.name not in told:
                told.add(made.name)
                self._say(f"removed {made.name}, left behind by a driver that died")

        remove(self._cluster, found, done=tell)
        for run, lease in held.items():
            if run != self._run and not lease.alive(now=now):
                with suppress(TunerError):
                    drop_lease(self._cluster, run)
