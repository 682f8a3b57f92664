"""Runs a desk's deployments as Ray Tune trials until there is nothing left to hand out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune import Callback, CheckpointConfig, FailureConfig, RunConfig, TuneConfig

from tuner.search.ray.adapters import DeskScheduler, DeskSearcher, Link, resources
from tuner.search.ray.trainable import DeploymentTrainable


class _Tick(Callback):  # type: ignore[misc]
    """Calls back on every turn of Tune's loop, with the trials that wait for a place."""

    def __init__(self, tick: Callable[[list[str]], None], link: Link) -> None:
        self._tick = tick
        self._link = link

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks for a restore that is not used: nothing goes along."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        names = self._link.names
        self._tick([names[t.trial_id] for t in trials if t.status == "PENDING" and t.trial_id in names])


def drive(
    link: Link,
    *,
    backend: object,
    warmup_seconds: float,
    stop_seconds: float,
    accelerator_resource: str,
    tick: Callable[[list[str]], None],
) -> None:
    """Block until the desk is finished. Ray must be up, and the slots' benchmark actors made.

    Args:
        stop_seconds: that an engine may take to stop.
        tick: called often, with the names of deployments that wait for a place in the cluster.
    """
    # That an actor died stands in trials.jsonl; Tune would print a traceback of it.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    shared = {"backend": backend, "warmup_seconds": warmup_seconds, "stop_seconds": stop_seconds}
    trainable = tune.with_parameters(DeploymentTrainable, shared=shared)
    with tempfile.TemporaryDirectory(prefix="tuner-ray-") as scratch:
        tune.Tuner(
            tune.with_resources(trainable, resources(accelerator_resource)),
            tune_config=TuneConfig(
                search_alg=DeskSearcher(link),
                scheduler=DeskScheduler(link),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=RunConfig(
                name="tuner",
                storage_path=scratch,  # of Tune's own state nothing is kept: the run directory rules
                verbose=0,
                callbacks=[_Tick(tick, link)],
                failure_config=FailureConfig(max_failures=0),
                checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
