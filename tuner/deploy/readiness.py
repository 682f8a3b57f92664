"""Waits for an engine until it has served a request, and tells apart why one does not."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tuner.deploy import diagnosis
from tuner.deploy.http_get import get
from tuner.deploy.listen_port import owners
from tuner.deploy.supervised import SupervisedEngine
from tuner.errors import BackendBroken, Cancelled, ConfigurationRefused, Failure, FailureClass
from tuner.trial.ports import Cancel, LoadError, Progress

_POLL_SECONDS = 0.02
_POLL_SECONDS_MAX = 0.2
_RETRY_PROBE_SECONDS = 0.1
_SETTLE_SECONDS = 0.3
_HEALTH = "/health"


class PortLost(Exception):
    """Somebody else listens where the engine was to."""


class Readiness:
    """One engine on its way up."""

    def __init__(
        self,
        engine: SupervisedEngine,
        *,
        url: str,
        port: int,
        ready_seconds: float,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        cancel: Cancel,
        progress: Progress,
    ) -> None:
        self._engine = engine
        self._url = url
        self._port = port
        self._ready_seconds = ready_seconds
        self._now = now
        self._sleep = sleep
        self._cancel = cancel
        self._progress = progress
        self._begun = now()
        self._prober: threading.Thread | None = None

    def wait(self, probe: Callable[[], None]) -> dict[str, float]:
        """The seconds of each part, once `probe` has passed.

        Raises:
            DeployError: the engine ended, is not ready in time, or its program cannot be run at all.
            PortLost: somebody else has the port.
            Cancelled: as asked, within 0.5 s.
        """
        self._wait_for(lambda: self._engine.pid is not None, "its program did not start")
        started = self._now()
        self._progress("engine started, waiting for it to be healthy")
        self._await_health()
        healthy = self._now()
        self._await_served(probe)
        served = self._now()
        return {"started": started - self._begun, "healthy": healthy - started, "served": served - healthy}

    def settle(self) -> None:
        """After the engine's end: wait for a probe that was cut off, or it would overlap the next one."""
        if self._prober:
            self._prober.join(_SETTLE_SECONDS)

    def _await_health(self) -> None:
        answers = ["no answer"]

        def healthy() -> bool:
            answer = get(self._url, _HEALTH)
            answers[0] = str(answer)
            return answer.status == 200

        self._wait_for(healthy, f"it did not answer {_HEALTH} with 200", answers)
        tree = self._engine.tree()
        if not owners(self._port, tree) and (others := owners(self._port) - tree):
            raise PortLost(f"port {self._port} was taken by pid {min(others)} meanwhile")

    def _await_served(self, probe: Callable[[], None]) -> None:
        """The probe runs beside, because it may hang for longer than a cancel may wait."""
        answers = ["no answer yet"]
        raised: list[BaseException] = []
        over = threading.Event()

        def attempt() -> None:
            while not over.is_set():
                try:
                    probe()
                    return
                except LoadError as error:
                    answers[0] = str(error)
                    over.wait(_RETRY_PROBE_SECONDS)
                except BaseException as error:
                    raised.append(error)
                    return

        self._prober = prober = threading.Thread(target=attempt, name="probe", daemon=True)
        prober.start()
        try:
            self._wait_for(
                lambda: not prober.is_alive(), f"it answers {_HEALTH} but served no request", answers
            )
        finally:
            over.set()
        if raised:
            raise raised[0]

    def _wait_for(
        self, reached: Callable[[], bool], otherwise: str, answers: list[str] | None = None
    ) -> None:
        """Until `reached()`; raises when the engine ends, time is up, or the caller cancels."""
        pause = _POLL_SECONDS
        while True:
            if self._cancel():
                raise Cancelled("deploying was cancelled")
            if not self._engine.running:
                raise self._ended()
            if reached():
                return
            if self._now() - self._begun > self._ready_seconds:
                last = f" (last: {answers[0]})" if answers else ""
                text = f"not ready within {self._ready_seconds:g} s: {otherwise}{last}"
                log = self._engine.log.tail()
                raise ConfigurationRefused(Failure(FailureClass.NEVER_READY, text, log))
            self._sleep(pause)
            pause = min(pause * 1.3, _POLL_SECONDS_MAX)

    def _ended(self) -> Exception:
        if self._engine.error is not None:
            text = f"engine binary {self._engine.error}; set deploy.binary"
            return BackendBroken(Failure(FailureClass.BACKEND_BROKEN, text))
        ended = self._engine.ended(self._now() - self._begun)
        if diagnosis.port_was_taken(ended.log):
            return PortLost(f"port {self._port} was taken meanwhile")
        return diagnosis.died_before_ready(ended)
