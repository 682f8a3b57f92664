"""Ray Tune's Trainable: one deployment a trial, one round a step. Actors are reused."""

from __future__ import annotations

import json
import time
import traceback
from typing import Any

import ray
from ray import tune

from tuner.errors import Failure, FailureClass
from tuner.search.ray.bench import LentLoad
from tuner.search.ray.lifeline import end_with_parent
from tuner.trial.life import TrialLife
from tuner.trial.ports import Asked, DeploymentBackend, Phase, Slot, State, TrialConfig
from tuner.trial.step import Step

STEP = "tuner_step"  # the key of a result: the Step as JSON text, which Tune's flattening leaves alone
ASSIGNMENT = "tuner_assignment"


class DeploymentTrainable(tune.Trainable):  # type: ignore[misc]
    """Deploys in the first step: Ray runs no cleanup for a failed setup."""

    def setup(self, config: dict[str, Any], shared: dict[str, Any] | None = None) -> None:
        """Only remembers what to do."""
        assert shared is not None
        end_with_parent()
        self._backend: DeploymentBackend = shared["backend"]
        self._warmup_seconds: float = shared["warmup_seconds"]
        self._stop_seconds: float = shared["stop_seconds"]
        self._begin(config, previous=None)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial in the same actor; the one before may have been given to another before it began."""
        previous = self._life.trial.name if self._life.attempted else None
        self._life.release()
        self._begin(new_config, previous=previous)
        return True

    def step(self) -> dict[str, Any]:
        """The next round, or how the deployment ended."""
        try:
            done = self._life.step()
        except Exception as error:  # a fault of this program: said as it is, and not tried again
            message = f"unexpected {type(error).__name__} in {self._life.trial.name}: {str(error)[:200]}"
            failure = Failure(FailureClass.BACKEND_BROKEN, message, traceback.format_exc())
            done = Step(None, State.INTERRUPTED, failure, stops_run=True)
        if done.ended is not None:
            self._life.release()
        return {STEP: json.dumps(done.to_json()), "done": done.ended is not None}

    def cleanup(self) -> None:
        """Never waits: Ray kills an actor whose cleanup takes long."""
        self._life.release()

    def _begin(self, config: dict[str, Any], *, previous: str | None) -> None:
        given = json.loads(config[ASSIGNMENT])
        trial = TrialConfig(
            **{
                **given["trial"],
                "phase": Phase(given["trial"]["phase"]),
                "arguments": tuple(given["trial"]["arguments"]),
                "slot": Slot(**given["trial"]["slot"]),
                "asked": Asked(**given["trial"]["asked"]),
            }
        )
        load = LentLoad(ray.get_actor(trial.slot.load), trial.name)
        self._life = TrialLife(
            trial,
            backend=self._backend,
            load=load,
            rounds=given["rounds"],
            loads=given["loads"],
            warmup_seconds=self._warmup_seconds,
            clock=time.monotonic,
            now=time.time,
            sleep=time.sleep,
            progress=load.note,
            cancel=load.cancelled,
            stop_seconds=self._stop_seconds,
            previous=tuple(name for name in (given["previous"], previous) if name),
        )
