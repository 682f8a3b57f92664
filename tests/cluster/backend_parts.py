"""Backends on the test cluster: a namespace with runtime and model, and experiments in it, of either kind."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from kubernetes import client

from tuner.deploy.backends import backend_for
from tuner.errors import DeployError, FailureClass
from tuner.spec.load import load_experiment
from tuner.trial.ports import Endpoint, Phase, TrialConfig

HERE = Path(__file__).parent
MOUNT_PATH = "/raid/models/served"
STOP_SECONDS = 2
RUN = f"p{os.getpid()}"


def trial(number: int = 1, *arguments: str, run: str = RUN, **more: Any) -> TrialConfig:
    """A deployment with these flags for the engine."""
    return TrialConfig(
        run=run, trial=number, phase=Phase.SEARCH, params={}, arguments=arguments, **({"attempt": 1} | more)
    )


@dataclass
class Bench:
    """Where backends are tried.

    Attributes:
        kind: of the backend: ome or kubernetes.
        parts: of the engine's container.
    """

    kind: str
    namespace: Any
    runtime: str
    model: str
    parts: Any
    api: client.ApiClient
    folder: Path
    count: int = 0
    made: list[dict[str, Any]] = field(default_factory=list)

    def experiment(
        self,
        *,
        storage: dict[str, Any] | None = None,
        parameters: dict[str, Any] | None = None,
        **deploy: Any,
    ) -> Any:
        """One that asks for the engine; sections' keys may be changed, None takes one out."""
        self.count += 1
        own = {"endpoint": "pod", "ready_seconds": 60, "stop_seconds": STOP_SECONDS, "accelerators": 0}
        if self.kind == "ome":
            own |= {"runtime": self.runtime}
        else:
            own |= {"template": str(self._template()), "image": "local/engine:1", "container_port": 8080}
            own |= {"command": self.parts.command}
        claim = {"type": "pvc", "pvc_name": self.namespace.claim, "pvc_subpath": self.namespace.subpath}
        content = {
            "name": "bench",
            "model": {"name": self.model},
            "storage": claim | {"mount_path": MOUNT_PATH} | (storage or {}),
            "deploy": {"backend": self.kind, "namespace": self.namespace.name} | own | deploy,
            "parameters": {"slots": {"values": [1, 2], "flag": "--parallel"}} | (parameters or {}),
            "workload": {"scenario": "D(8,8)", "concurrency": 1},
            "objective": {"maximize": "output_tokens_per_second"},
        }
        path = self.folder / f"experiment-{self.count}.yaml"
        path.write_text(yaml.safe_dump(content))
        return load_experiment(path)

    def unprepared(self, *, storage: dict[str, Any] | None = None, **deploy: Any) -> Any:
        """A backend under the rights of the namespace's account, as it is before preflight has looked."""
        with mock.patch.dict(os.environ, {"KUBECONFIG": str(self.namespace.kubeconfig)}):
            return backend_for(self.experiment(storage=storage, **deploy))

    def backend(self, **changes: Any) -> Any:
        """The same, prepared with nothing tried out: what is wrong here broke after preflight had looked."""
        with mock.patch("tuner.deploy.kubernetes.preflight._Survey._try_out"):
            return self.unprepared(**changes).prepared(trial())

    def pods(self, name: str) -> list[client.V1Pod]:
        """Of one deployment."""
        label = f"autotuner.io/experiment-id={name}"
        return client.CoreV1Api(self.api).list_namespaced_pod(self.namespace.name, label_selector=label).items

    def _template(self) -> Path:
        """What runs the host's programs in the container, laid over the shipped Deployment."""
        container = {"name": "engine", "env": self.parts.env, "volumeMounts": self.parts.mounts}
        spec = {"volumes": self.parts.volumes, "containers": [container]}
        manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": spec}}}
        path = self.folder / "engine.yaml.j2"
        path.write_text(yaml.safe_dump(manifest))
        return path


@contextmanager
def bench(
    kind: str,
    namespace: Any,
    *,
    site: Any,
    api: client.ApiClient,
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    parts: Any,
    folder: Path,
) -> Iterator[Bench]:
    """With runtime and model where the kind needs them; the stub engine in the engine's place.

    Args:
        site: the module search_site.py, which has the objects.
    """
    stub = str(HERE / "engine_stub.py")
    env = [one for one in parts.env if one["name"] != "ENGINE_PROGRAM"]
    parts = replace(parts, env=[*env, {"name": "ENGINE_PROGRAM", "value": stub}])
    made = Bench(kind, namespace, f"{namespace.name}-runtime", f"{namespace.name}-model", parts, api, folder)
    if kind == "ome":
        made.made = [
            site.runtime_object(made.runtime, parts),
            site.model_object(made.model, namespace, MOUNT_PATH),
        ]
    try:
        apply(made.made)
        yield made
    finally:
        for each in made.made:
            remove(each)


def passes(endpoint: Endpoint) -> None:
    """A probe for what serves anything."""


def say(line: str) -> None:
    """Progress, into the test's output."""
    sys.stdout.write(f"{line}\n")


def _module(name: str) -> Any:
    """The module tests/cluster/<name>.py."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def benches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`benches(kind)`: a bench, for the module; one of OME mounts by policy."""
    given = {
        name: request.getfixturevalue(name) for name in ("admin_api", "apply", "remove", "new_namespace")
    }
    api, apply, remove = given["admin_api"], given["apply"], given["remove"]
    with ExitStack() as stack:

        def made(kind: str, *, mount: str | None = "policy", reader: bool = True) -> Bench:
            if kind == "ome":
                request.getfixturevalue("ome")
                _module("admission_parts").install_policies(api, apply)
            namespace = stack.enter_context(
                given["new_namespace"]("backend", mount=mount if kind == "ome" else None, reader=reader)
            )
            return stack.enter_context(
                bench(
                    kind,
                    namespace,
                    site=_module("search_site"),
                    api=api,
                    apply=apply,
                    remove=remove,
                    parts=request.getfixturevalue("engine_parts"),
                    folder=tmp_path_factory.mktemp("bench"),
                )
            )

        yield made


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What it returned once it was true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def refused(backend: Any, *arguments: str, number: int = 1, **more: Any) -> tuple[DeployError, float]:
    """The error of a deployment with these flags, the seconds until it was raised, and nothing left of it."""
    config = trial(number, *arguments, **more)
    begun = time.monotonic()
    try:
        with pytest.raises(DeployError) as raised:
            backend.deploy(config, probe=passes, progress=say, cancel=lambda: False)
        seconds = time.monotonic() - begun
    finally:
        backend.delete(config.name)
        until(lambda: backend.released(config.name))
    assert "\n" not in str(raised.value)
    return raised.value, seconds


def is_of(error: DeployError, how: type[DeployError], kind: FailureClass) -> None:
    assert (type(error), error.failure.kind) == (how, kind), error
