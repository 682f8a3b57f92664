"""Deployments as processes of this machine."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from tuner.deploy import diagnosis
from tuner.deploy.http_get import get
from tuner.deploy.listen_port import PortTaken, ReservedPort, reserve_port
from tuner.deploy.local_engine import HOST, LocalEngine
from tuner.deploy.pinning import Cores
from tuner.deploy.readiness import PortLost, Readiness
from tuner.deploy.supervised import EngineLog, Mark, SupervisedEngine, kill_marked, marked, tail
from tuner.errors import BackendBroken, Cancelled, Failure, FailureClass, UserError, WorldError
from tuner.trial.ports import Cancel, Endpoint, Progress, TrialConfig

_PORT_ATTEMPTS = 4
_SWEEP_SECONDS = 5.0
_GONE_SECONDS = 2.0  # beyond stop_seconds, for the kernel to end what was killed
_EXIT_CODE_SECONDS = 1.0  # for the supervisor to tell how an engine ended
_TAILS_KEPT = 200


@dataclass
class _Deployment:
    """One engine with what belongs to it; `endpoint` from when it has served."""

    name: str
    argv: list[str]
    engine: SupervisedEngine
    port: ReservedPort
    cores: Cores
    endpoint: Endpoint | None = None
    ready_at: float = 0.0

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://{HOST}:{self.port.number}"


@dataclass(kw_only=True)
class LocalBackend(LocalEngine):
    """A deployment backend whose engines are processes of the machine that calls it.

    It may be pickled and sent to another machine: what it holds of running engines stays behind.

    Attributes (and those of `LocalEngine`):
        ready_seconds: from the start to a served request.
        stop_seconds: from SIGTERM to SIGKILL.
        log_dir: where engine logs stay as <name>.log; None keeps them only as long as they are asked for.
        now: a monotonic clock, in seconds.
        sleep: waits for seconds.
    """

    ready_seconds: float = 60.0
    stop_seconds: float = 5.0
    log_dir: Path | None = None
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._deployments: dict[str, _Deployment] = {}
        self._tails: dict[str, str] = {}
        self._rng = random.Random()  # ports only; nothing measured depends on them

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def deploy(
        self, trial: TrialConfig, *, probe: Callable[[Endpoint], None], progress: Progress, cancel: Cancel
    ) -> Endpoint:
        """Start the engine and wait until it has served `probe`; see `DeploymentBackend`.

        One that is up under this name already is returned as it is.

        Raises:
            ConfigurationRefused, DeployInterrupted, BackendBroken, Cancelled: see tuner.errors.
                BackendBroken also where the program, the model or the template is wrong on this machine.
        """
        present = self._deployments.get(trial.name)
        if present and present.endpoint and present.engine.alive:
            return present.endpoint
        if present:
            self._take_down(present)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                return self._attempt(trial, probe=probe, progress=progress, cancel=cancel)
            except (PortTaken, PortLost) as taken:
                if self.port is not None or isinstance(taken, PortTaken) or attempt == _PORT_ATTEMPTS:
                    raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, str(taken))) from taken
                progress(f"{taken}; trying another")
        raise AssertionError("unreachable")

    def failure(self, name: str) -> Failure | None:
        """Why the engine no longer serves as it did; None while it does."""
        found = self._deployments.get(name)
        if found is None or found.endpoint is None:
            return Failure(FailureClass.NODE_FAULT, f"{name} is not deployed here")
        if found.engine.alive:
            return None
        deadline = self.now() + _EXIT_CODE_SECONDS
        while found.engine.running and self.now() < deadline:
            self.sleep(0.005)
        return diagnosis.died_under_load(found.engine.ended(self.now() - found.ready_at))

    def log_tail(self, name: str) -> str:
        """The last lines of the engine's log, kept beyond `delete`."""
        if found := self._deployments.get(name):
            return found.engine.log.tail()
        path = self._log_path(name)
        if name not in self._tails and path and path.is_file():  # another process deployed it
            with path.open("rb") as file:
                return tail(file)
        return self._tails.get(name, "")

    def delete(self, name: str) -> None:
        """SIGTERM now, SIGKILL after `stop_seconds`; does not wait."""
        if found := self._deployments.get(name):
            found.engine.stop()

    def released(self, name: str) -> bool:
        """Whether no process of it is left on this machine, whoever deployed it."""
        found = self._deployments.get(name)
        if found is None:
            return not any(mark.name == name for _, mark in marked())
        if not found.engine.gone():
            return False
        self._forget(found)
        return True

    def sweep(self, run: str) -> list[str]:
        """SIGKILL to what belongs to `run` on this machine and whose owner has ended."""
        names: set[str] = set()
        deadline = self.now() + _SWEEP_SECONDS
        while found := kill_marked(lambda mark: mark.run == run and mark.orphaned):
            names |= found
            if self.now() > deadline:
                break
            self.sleep(0.02)
        return sorted(names)

    def capacity(self) -> int | None:
        """None: Ray counts the accelerators of its own nodes."""
        return None

    @contextmanager
    def running(self, run: str, *, say: Callable[[str], None] = lambda line: None) -> Iterator[Self]:
        """Sweep this machine before and after."""
        try:
            for name in self.sweep(run):
                say(f"removed {name}, left behind by a driver that died")
            yield self
        finally:
            self.sweep(run)

    def waiting(self, run: str) -> str:
        """Never: a trial's place in the Ray cluster is all that it needs."""
        return ""

    def _attempt(
        self, trial: TrialConfig, *, probe: Callable[[Endpoint], None], progress: Progress, cancel: Cancel
    ) -> Endpoint:
        """One start on one port; whatever was started is gone when it raises."""
        deployment = self._start(trial)
        readiness = Readiness(
            deployment.engine,
            url=deployment.url,
            port=deployment.port.number,
            ready_seconds=self.ready_seconds,
            now=self.now,
            sleep=self.sleep,
            cancel=cancel,
            progress=progress,
        )
        at_once = False
        try:
            endpoint = Endpoint(url=deployment.url, model=self.model_name, load_cpus=deployment.cores.load)
            times = readiness.wait(lambda: probe(endpoint))
            deployment.endpoint = self._described(deployment, endpoint, times)
            deployment.ready_at = self.now()
            return deployment.endpoint
        except Cancelled:
            at_once = True
            raise
        finally:
            if deployment.endpoint is None:
                self._take_down(deployment, at_once=at_once)
                readiness.settle()

    def _start(self, trial: TrialConfig) -> _Deployment:
        port = reserve_port(self.port, self._rng)
        try:
            cores = self.cores(trial)
            argv = self.argv(trial, cores, port.number)
            log = EngineLog(self._log_path(trial.name))
            engine = SupervisedEngine(
                argv,
                environment=self.variables(trial, argv),
                mark=Mark.mine(trial.run, trial.name),
                cpus=cores.engine,
                stop_seconds=self.stop_seconds,
                log=log,
            )
        except (OSError, UserError, WorldError) as error:
            port.close()
            text = f"nothing can be deployed on {socket.gethostname()}: {error}"
            raise BackendBroken(Failure(FailureClass.BACKEND_BROKEN, text)) from error
        self._deployments[trial.name] = found = _Deployment(trial.name, argv, engine, port, cores)
        return found

    def _log_path(self, name: str) -> Path | None:
        return self.log_dir / f"{name}.log" if self.log_dir else None

    def _described(self, deployment: _Deployment, endpoint: Endpoint, times: dict[str, float]) -> Endpoint:
        """The endpoint with what a serving engine tells of itself."""
        engine, url = deployment.engine, deployment.url
        started = (engine.start_ticks or 0) / os.sysconf("SC_CLK_TCK")
        return replace(
            endpoint,
            metrics_url=f"{url}/metrics" if get(url, "/metrics").status == 200 else None,
            node=socket.gethostname(),
            serving=f"pid {engine.pid} started {started:.2f}",
            engine_version=self.version(deployment.argv, url),
            times=times,
        )

    def _take_down(self, deployment: _Deployment, *, at_once: bool = False) -> None:
        """End it and wait for that; what the kernel does not end in time stays to `released`."""
        deployment.engine.stop(at_once=at_once)
        deadline = self.now() + (0 if at_once else self.stop_seconds) + _GONE_SECONDS
        while not deployment.engine.gone():
            if self.now() > deadline:
                return
            self.sleep(0.01)
        self._forget(deployment)

    def _forget(self, deployment: _Deployment) -> None:
        """Keep the log's tail, give the rest up."""
        self._tails[deployment.name] = deployment.engine.log.tail()
        while len(self._tails) > _TAILS_KEPT:
            del self._tails[next(iter(self._tails))]
        deployment.engine.log.close()
        deployment.port.close()
        if self._deployments.get(deployment.name) is deployment:
            del self._deployments[deployment.name]
