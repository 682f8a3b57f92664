"""A deployment backend without processes, for tests of what stands above the port."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tuner.errors import Cancelled, ConfigurationRefused, DeployError, Failure, FailureClass
from tuner.trial.ports import Cancel, Endpoint, LoadError, Progress, TrialConfig


class FakeBackend:
    """Deploys at once, unless told otherwise; remembers every call in `calls`.

    Args:
        refuse: trial number -> the error its deployment ends with.
        release_after: how often `released` says no after `delete`.
        attempts: how often the probe is asked before the deployment is never ready.
    """

    def __init__(
        self,
        *,
        refuse: Mapping[int, DeployError] | None = None,
        release_after: int = 0,
        attempts: int = 3,
    ) -> None:
        self.calls: list[tuple[str, str]] = []
        self.left_behind: dict[str, list[str]] = {}  # run -> names, of drivers that died
        self._refuse = dict(refuse or {})
        self._release_after = release_after
        self._attempts = attempts
        self._up: dict[str, Endpoint] = {}
        self._failed: dict[str, Failure] = {}
        self._going: dict[str, int] = {}
        self._logs: dict[str, str] = {}
        self._starts = 0

    def deploy(
        self, trial: TrialConfig, *, probe: Callable[[Endpoint], None], progress: Progress, cancel: Cancel
    ) -> Endpoint:
        """See `DeploymentBackend`."""
        self.calls.append(("deploy", trial.name))
        if cancel():
            raise Cancelled("deploying was cancelled")
        self._logs[trial.name] = f"fake engine of {trial.name}"
        if trial.trial in self._refuse:
            raise self._refuse[trial.trial]
        if trial.name in self._up and trial.name not in self._failed:
            return self._up[trial.name]
        self._starts += 1
        endpoint = Endpoint(
            url=f"http://127.0.0.1:{20_000 + self._starts}",
            model="fake",
            node="fake",
            serving=f"pid {self._starts} started {self._starts}",
            engine_version="fake 1",
            times={"started": 0.0, "healthy": 0.0, "served": 0.0},
        )
        self._ask(probe, endpoint, cancel)
        self._up[trial.name] = endpoint
        self._failed.pop(trial.name, None)
        progress("served")
        return endpoint

    def _ask(self, probe: Callable[[Endpoint], None], endpoint: Endpoint, cancel: Cancel) -> None:
        last = ""
        for _ in range(self._attempts):
            if cancel():
                raise Cancelled("deploying was cancelled")
            try:
                probe(endpoint)
                return
            except LoadError as error:
                last = str(error)
        raise ConfigurationRefused(Failure(FailureClass.NEVER_READY, f"served no request: {last}"))

    def die(self, name: str, kind: FailureClass = FailureClass.CRASH_UNDER_LOAD) -> None:
        """From now on the deployment no longer serves."""
        self._failed[name] = Failure(kind, "the fake engine ended", self._logs[name], 1)

    def failure(self, name: str) -> Failure | None:
        """See `DeploymentBackend`."""
        if name not in self._up:
            return Failure(FailureClass.NODE_FAULT, f"{name} is not deployed here")
        return self._failed.get(name)

    def log_tail(self, name: str) -> str:
        """See `DeploymentBackend`."""
        return self._logs.get(name, "")

    def delete(self, name: str) -> None:
        """See `DeploymentBackend`."""
        self.calls.append(("delete", name))
        if self._up.pop(name, None):
            self._going[name] = self._release_after

    def released(self, name: str) -> bool:
        """See `DeploymentBackend`."""
        if name in self._up:
            return False
        left = self._going.get(name, 0)
        self._going[name] = max(0, left - 1)
        return left == 0

    def sweep(self, run: str) -> list[str]:
        """See `DeploymentBackend`."""
        self.calls.append(("sweep", run))
        return self.left_behind.pop(run, [])
