"""Brings Ray up for a run and lets it run a desk's deployments."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tuner.deploy.backends import ServingBackend
from tuner.deploy.pinning import available_cores, share_out
from tuner.errors import WorldError
from tuner.search.desk import Desk
from tuner.search.interrupt import Interrupt, leave_at_once
from tuner.search.plan import widest
from tuner.search.polled import Polled
from tuner.search.ray import cluster, slots
from tuner.search.ray.lifeline import RAYLET_DIED, Raylet, end_without, expect_its_end
from tuner.search.ray.placing import load_places
from tuner.search.ray.pool import Pool
from tuner.search.spare import Spare, narrowest
from tuner.search.startup import Stopwatch
from tuner.spec import Experiment
from tuner.trial.ports import Slot

_ACTORS_SECONDS = 60.0
_ENDING = "ends in good order; Ctrl-C again ends at once"
_NOTES_SECONDS = 1.0
_PAUSED_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0  # a deployment that waits longer for its place is spoken of


class RayRun:
    """A Ray that is up, with the slots' benchmark actors on their way.

    Attributes:
        parallel: how many trials run side by side.
        cores: this machine's, before the session was kept off the engines'; None on an existing cluster.
        machine: facts for people.

    Raises:
        WorldError: Ray cannot be reached or started, or a node lacks something.
        UserError: no trial as wide as the experiment's can run on it.
    """

    def __init__(
        self,
        experiment: Experiment,
        backend: ServingBackend,
        *,
        address: str | None,
        tag: str,
        watch: Stopwatch,
    ) -> None:
        self._experiment = experiment
        self._tag = tag
        self._watch = watch
        deploy = experiment.deploy
        asked = experiment.search.parallel
        declared = deploy.serving_gpu
        if declared is None and address is None:
            declared = backend.capacity()
        likely = max(declared or 1, cluster.gpus_here()) if asked == "auto" else asked
        cluster.start(address=address, serving_gpu=declared, slots=likely)
        watch.mark("ray")
        nodes = cluster.nodes()
        if address is not None:
            cluster.check_nodes(nodes)
        most = widest(experiment)
        places = cluster.places(nodes, deploy.accelerator_resource, most)
        self.parallel = len(places) if asked == "auto" else asked
        bound = backend.node_bound
        self._slots = slots.laid_out(self.parallel, places, run=tag, bound=bound)
        cluster.check_room(nodes, self._slots)
        declares = {n.node_id: n.resources.get(deploy.accelerator_resource, 0.0) for n in nodes}
        self._pool = Pool(declares if most else {}, narrowest=narrowest(experiment.space))
        self._raylet = Raylet(nodes[0].node_id)
        end_without(Raylet(nodes[0].node_id), leave=_leave_without_ray)
        self.cores: tuple[int, ...] | None = None
        if address is None and bound:
            self.cores = available_cores()
            cluster.settle_on(self._load_cores(self.cores) or self.cores)
        self._actors = slots.start_actors(
            self._slots,
            load_places(nodes, deploy.accelerator_resource, len(self._slots)),
            experiment.workload.shipped(),
            experiment.goodput.model_dump(exclude_none=True) if experiment.goodput else None,
            dict(experiment.slo),
            accuracy=experiment.accuracy.shipped(),
        )
        self.machine = {
            "Ray nodes": ", ".join(f"{n.host} ({n.cpus:g} CPU)" for n in nodes),
            "cores here": str(os.cpu_count()),
        }

    def run(
        self,
        desk: Desk,
        *,
        backend: ServingBackend,
        interrupt: Interrupt,
        spare: Spare,
        look: Callable[[str, Mapping[str, str]], None],
    ) -> None:
        """Block until the desk is finished.

        Args:
            spare: told which accelerators are free.
            look: told often what the run waits for ("" for nothing), and by name what deployments do.

        Raises:
            TunerError: what made the desk give up, such as a full disk.
            WorldError: the cluster has no room for the benchmark actors.
        """
        from tuner.search.ray.adapters import Link  # noqa: PLC0415  the actors' workers start meanwhile
        from tuner.search.ray.driver import drive  # noqa: PLC0415

        self._watch.mark("ray.tune")
        if not slots.wait_for(self._actors, seconds=_ACTORS_SECONDS):
            raise WorldError(
                f"the Ray cluster has no room for {self.parallel} benchmark actors of 1 CPU beside 0.1 CPU"
                " a trial; lower search.parallel or add CPUs"
            )
        self._watch.mark("workers")
        link = Link(desk, slots.SlotPool(self._slots, alive=cluster.alive), pool=self._pool, spare=spare)
        pending_since: dict[str, float] = {}
        told: set[str] = set()

        def tick(pending: list[str]) -> None:
            if self._raylet.dead:
                expect_its_end()
                raise WorldError(RAYLET_DIED)
            if link.slots.lost and not desk.finished:
                raise WorldError(
                    "every Ray node that trials ran on died; give the same command again on others"
                )
            for trial in desk.running if interrupt.asked or desk.opening.closed else ():
                if trial.name not in told:
                    told.add(trial.name)
                    self._actor(trial.slot).cancel.remote(trial.name)
            widths = {trial.name: trial.accelerators for trial in desk.running}
            line = self._waiting_line(pending, pending_since, widths) or room.answer
            link.hold = bool(line)
            paused = desk.opening.told(desk.paused_until)
            if paused:
                time.sleep(_PAUSED_SECONDS)  # Tune's loop does not wait where nothing runs
            look(_ENDING if interrupt.asked else paused or line, doing.answer)

        link.while_idle = lambda: tick([])
        no_notes: dict[str, str] = {}
        with (
            Polled(lambda: backend.waiting(self._tag), otherwise="") as room,
            Polled(lambda: slots.notes(self._actors, seconds=_NOTES_SECONDS), otherwise=no_notes) as doing,
        ):
            drive(
                link,
                backend=backend,
                warmup_seconds=self._experiment.workload.warmup_seconds,
                stop_seconds=self._experiment.deploy.stop_seconds,
                accelerator_resource=self._experiment.deploy.accelerator_resource,
                tick=tick,
            )
        if link.error is not None:
            raise link.error

    def _actor(self, slot: Slot) -> Any:
        return self._actors[self._slots.index(slot)]

    def _load_cores(self, cores: tuple[int, ...]) -> tuple[int, ...]:
        pinning = self._experiment.deploy.pinning
        plain = pinning if isinstance(pinning, str) else pinning.model_dump()
        return tuple(sorted({c for slot in self._slots for c in share_out(plain, slot, cores).load}))

    def _waiting_line(self, pending: list[str], since: dict[str, float], widths: Mapping[str, int]) -> str:
        now = time.monotonic()
        for name in set(since) - set(pending):
            del since[name]
        late = [name for name in pending if now - since.setdefault(name, now) > _PATIENCE_SECONDS]
        if not late:
            return ""
        resource = self._experiment.deploy.accelerator_resource
        if cluster.has_room(resource, widths.get(late[0], 0)):
            return ""  # only its actor is still starting
        return (
            f"{late[0]} waits for a place in the Ray cluster (0.1 CPU and its {resource}); "
            f"free now: {cluster.free(resource)}"
        )


def _leave_without_ray() -> None:
    """What the command does with an error, while its main thread is inside Ray."""
    print(f"error: {RAYLET_DIED}", file=sys.stderr, flush=True)  # noqa: T201
    leave_at_once(WorldError.exit_code)
