"""The benchmark actor, and the Load port that speaks to it. Imported before ray.tune, and without it.

An actor lasts as long as the run and is lent to one trial after another; Ray makes it anew when it dies.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from tuner.errors import Cancelled, DeployInterrupted, Failure, FailureClass
from tuner.load import HttpLoad
from tuner.load.goodput import Limits
from tuner.search.ray.lifeline import end_with_parent
from tuner.spec.accuracy import Accuracy
from tuner.spec.workload import Workload
from tuner.trial.answers import Answers
from tuner.trial.ports import Asked, Cancel, Endpoint, LoadError
from tuner.trial.rounds import RoundResult


class SessionLost(Exception):
    """The actor was made anew since the session was opened."""


CONTROL = "control"  # a thread of its own, so that a round can be cancelled while it runs
_ASK_SECONDS = 0.5
_BACK_SECONDS = 60.0  # an actor that died is made anew within; a busy machine takes its time
_PAUSE_SECONDS = 0.2


class BenchmarkActor:
    """One load generator in a process of its own."""

    def __init__(
        self,
        workload: dict[str, Any],
        goodput: dict[str, float] | None = None,
        slos: dict[str, float] | None = None,
        accuracy: dict[str, Any] | None = None,
    ) -> None:
        end_with_parent()
        self._load = HttpLoad(
            Workload.model_validate(workload),
            limits=Limits(**goodput) if goodput else None,
            slos=slos,
            accuracy=Accuracy.model_validate(accuracy or {}),
        )
        self._opened = False
        self._cancelled: set[str] = set()
        self._note = ("", "")

    def probe(self, endpoint: Endpoint, timeout_seconds: float) -> None:
        """See `Load.probe`."""
        self._load.probe(endpoint, timeout_seconds=timeout_seconds)

    def answers(self, endpoint: Endpoint, asked: Asked, name: str) -> Answers:
        """See `Load.answers`."""
        return self._load.answers(endpoint, asked, cancel=lambda: name in self._cancelled)

    def open(self, endpoint: Endpoint, salt: str, load: float) -> None:
        """See `Load.open`."""
        self._load.open(endpoint, salt=salt, load=load)
        self._opened = True

    def warm_up(self, seconds: float, name: str) -> None:
        """See `Load.warm_up`."""
        self._check()
        self._load.warm_up(seconds=seconds, cancel=lambda: name in self._cancelled)

    def run_round(self, number: int, name: str) -> RoundResult:
        """See `Load.run_round`."""
        self._check()
        measured: RoundResult = self._load.run_round(number, cancel=lambda: name in self._cancelled)
        return measured

    def close(self) -> None:
        """See `Load.close`."""
        self._load.close()

    def _check(self) -> None:
        if not self._opened:
            raise SessionLost

    def cancel(self, name: str) -> None:
        """Have the deployment of that name end as soon as it can."""
        self._cancelled.add(name)

    def cancelled(self, name: str) -> bool:
        """Whether `cancel` was called for it."""
        return name in self._cancelled

    def note(self, name: str, line: str) -> None:
        """What the deployment that has this actor is doing, for people."""
        self._note = (name, line)

    def noted(self) -> tuple[str, str]:
        """The last `note`: a deployment's name and what it is doing."""
        return self._note

    def ready(self) -> float:
        """Unix time; answers once the actor is up."""
        return time.time()


def remote_actor() -> Any:
    """The actor's class for Ray: 1 CPU, made anew when it dies, calls never repeated."""
    for name in ("cancel", "cancelled", "note", "noted", "ready"):
        method = getattr(BenchmarkActor, name)
        setattr(BenchmarkActor, name, ray.method(concurrency_group=CONTROL)(method))
    return ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=0, concurrency_groups={CONTROL: 1})(
        BenchmarkActor
    )


class LentLoad:
    """The Load port over a benchmark actor. A dead actor interrupts the deployment, and condemns nothing."""

    def __init__(self, actor: Any, name: str) -> None:
        self._actor = actor
        self._name = name
        self._asked = 0.0
        self._cancelled = False
        self._reached = False

    def probe(self, endpoint: Endpoint, *, timeout_seconds: float) -> None:
        """See `Load.probe`."""
        self._call("probe", endpoint, timeout_seconds)

    def answers(self, endpoint: Endpoint, asked: Asked, *, cancel: Cancel) -> Answers:
        """See `Load.answers`; the actor is told to cancel by the driver, not by `cancel`."""
        found = self._call("answers", endpoint, asked, self._name)
        assert isinstance(found, Answers)
        return found

    def open(self, endpoint: Endpoint, *, salt: str, load: float = 1.0) -> None:
        """See `Load.open`."""
        self._call("open", endpoint, salt, load)

    def warm_up(self, *, seconds: float, cancel: Cancel) -> None:
        """See `Load.warm_up`; the actor is told to cancel by the driver, not by `cancel`."""
        self._call("warm_up", seconds, self._name)

    def run_round(self, number: int, *, cancel: Cancel) -> RoundResult:
        """See `Load.run_round`; the actor is told to cancel by the driver, not by `cancel`."""
        measured = self._call("run_round", number, self._name)
        assert isinstance(measured, RoundResult)
        return measured

    def close(self) -> None:
        """See `Load.close`; not waited for."""
        self._actor.close.remote()

    def note(self, line: str) -> None:
        """Say what the deployment is doing; not waited for."""
        self._actor.note.remote(self._name, line)

    def cancelled(self) -> bool:
        """Whether the driver wants the deployment to end; asks the actor twice a second at most."""
        if not self._cancelled and time.monotonic() - self._asked > _ASK_SECONDS:
            self._asked = time.monotonic()
            self._cancelled = bool(self._call("cancelled", self._name))
        return self._cancelled

    def _reach(self) -> None:
        """Wait for the actor before its first use: it may have died under the deployment before.

        A death costs the one deployment that it interrupts, and not the next one as well.
        """
        deadline = time.monotonic() + _BACK_SECONDS
        while not self._reached:
            try:
                ray.get(self._actor.ready.remote(), timeout=max(0.0, deadline - time.monotonic()))
                self._reached = True
            except RayActorError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)

    def _call(self, method: str, *arguments: object) -> object:
        try:
            self._reach()
            return ray.get(getattr(self._actor, method).remote(*arguments))
        except (RayActorError, GetTimeoutError, SessionLost) as error:
            message = "the benchmark actor died"
            raise DeployInterrupted(Failure(FailureClass.NODE_FAULT, message)) from error
        except (LoadError, Cancelled) as error:
            cause = getattr(error, "cause", error)  # Ray wraps what the actor raised
            raise type(cause)(str(cause)) from error
