"""Whole searches on plain Kubernetes: the embedded engine in Deployments, and what carries their label.

Needs no OME, so that what is done to the API server, to pods and to rights is done to the tuner alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import search_site
import yaml
from kubernetes import client

RUN_LABEL = "autotuner.io/run"

EXPERIMENT: dict[str, Any] = {
    "name": "plain",
    "model": {"name": "served"},
    "deploy": {
        "backend": "kubernetes",
        "endpoint": "pod",
        "image": "local/engine:1",
        "container_port": 8080,
        "accelerators": 0,
        "ready_seconds": 60,
        "stop_seconds": 2,
    },
    "parameters": {"slots": {"values": [8, 12, 16, 24], "flag": "--parallel"}},
    "baseline": {"slots": 16},
    "workload": {
        "scenario": "D(8,24)",
        "concurrency": 8,
        "rounds": 3,
        "round_seconds": 2,
        "warmup_seconds": 0.5,
    },
    "objective": {"maximize": "output_tokens_per_second"},
    "search": {"trials": 4, "seed": 1, "sampler": "grid", "early_stop": "none", "parallel": 1},
    "validation": {"enabled": False},
}


@dataclass
class PlainSite:
    """What a search needs to be there.

    Attributes:
        namespace: of the trials; its account is that of the commands.
        lab: where commands run.
    """

    namespace: Any
    lab: Any
    api: client.ApiClient
    parts: Any

    def experiment(
        self, name: str = "plain", *, container: dict[str, Any] | None = None, **changes: Any
    ) -> Path:
        """A file: EXPERIMENT in this namespace, with sections merged over; `container` over the engine's."""
        spec: dict[str, Any] = json.loads(json.dumps(EXPERIMENT))
        spec["name"] = name
        spec["storage"] = {
            "type": "pvc",
            "pvc_name": self.namespace.claim,
            "pvc_subpath": self.namespace.subpath,
            "mount_path": search_site.MOUNT_PATH,
        }
        own = {"namespace": self.namespace.name, "command": self.parts.command}
        spec["deploy"] |= own | {"template": str(self._template(container or {}))}
        for section, value in changes.items():
            merged = isinstance(value, dict) and section not in ("parameters", "baseline")
            spec[section] = {**spec.get(section, {}), **value} if merged else value
        path: Path = self.lab.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(spec, sort_keys=False))
        return path

    def start(self, *arguments: str | Path, module: str = "tuner.search", **variables: str) -> Any:
        """A command under the namespace's account, not waited for."""
        plain = ["--plain"] if module == "tuner.search" else []
        command = [self.lab.python, "-m", module, *map(str, arguments), *plain]
        return self.lab.launch(command, **{"KUBECONFIG": str(self.namespace.kubeconfig)} | variables)

    @property
    def run(self) -> Path:
        """The one run directory."""
        (found,) = (path for path in self.lab.runs.iterdir() if (path / "run.json").exists())
        return found

    def lines(self) -> list[dict[str, Any]]:
        """The ended deployments of the one run; none before it is there."""
        runs = list(self.lab.runs.glob("*/trials.jsonl"))
        return search_site.whole_runs.lines(runs[0]) if runs else []

    def rounds(self) -> list[dict[str, Any]]:
        """The rounds so far."""
        return [
            line
            for path in self.lab.runs.glob("*/rounds.jsonl")
            for line in search_site.whole_runs.lines(path)
        ]

    def labelled(self) -> list[str]:
        """Every object in the namespace that carries a run's label."""
        space = self.namespace.name
        core, apps = client.CoreV1Api(self.api), client.AppsV1Api(self.api)
        found = {
            "pod": core.list_namespaced_pod,
            "service": core.list_namespaced_service,
            "deployment": apps.list_namespaced_deployment,
            "lease": client.CoordinationV1Api(self.api).list_namespaced_lease,
        }
        return [
            f"{kind}/{each.metadata.name}"
            for kind, listed in found.items()
            for each in listed(space, label_selector=RUN_LABEL).items
        ]

    def pods(self) -> list[client.V1Pod]:
        """Those of trials."""
        return (
            client.CoreV1Api(self.api)
            .list_namespaced_pod(self.namespace.name, label_selector=RUN_LABEL)
            .items
        )

    def _template(self, container: dict[str, Any]) -> Path:
        """What runs the host's programs in the container, laid over the shipped Deployment."""
        engine = {"name": "engine", "env": self.parts.env, "volumeMounts": self.parts.mounts} | container
        spec = {"volumes": self.parts.volumes, "containers": [engine]}
        manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": spec}}}
        path: Path = self.lab.folder / "engine.yaml.j2"
        path.write_text(yaml.safe_dump(manifest))
        return path


@contextmanager
def plain_site(namespace: Any, *, api: client.ApiClient, parts: Any, folder: Path) -> Iterator[PlainSite]:
    """A lab in `folder`; what its commands started ends with it."""
    lab = search_site.whole_runs.Lab(folder)
    try:
        yield PlainSite(namespace, lab, api, parts)
    finally:
        lab.close()
