"""A namespace in which whole searches run: runtime, model, experiment files, and the command that searches.

Imported by its path: tests are no package.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from kubernetes import client

HERE = Path(__file__).parent
MOUNT_PATH = "/raid/models/served"
RUN_LABEL = "autotuner.io/run"
# The format by which OME finds model and runtime to fit each other.
_FORMAT = {
    "modelFormat": {"name": "safetensors", "version": "1.0.0"},
    "modelFramework": {"name": "transformers", "version": "4.36.0"},
    "modelArchitecture": "LlamaForCausalLM",
}

# One slot is bad by more than a factor of three; the quantised cache without flash attention crashes.
EXPERIMENT: dict[str, Any] = {
    "name": "pvc-small",
    "deploy": {"backend": "ome", "endpoint": "pod", "ready_seconds": 60, "stop_seconds": 5},
    "parameters": {
        "slots": {"values": [1, 16, 24], "flag": "--parallel"},
        "cache_v": {"values": ["f16", "q8_0"], "flag": "--cache-type-v"},
        "flash": {"values": ["off"], "flag": "--flash-attn"},
    },
    "baseline": {"slots": 16, "cache_v": "f16", "flash": "off"},
    "workload": {
        "scenario": "D(8,24)",
        "concurrency": 16,
        "rounds": 2,
        "round_seconds": 2,
        "warmup_seconds": 0.5,
    },
    "objective": {"maximize": "output_tokens_per_second"},
    "slo": {"ttft_p50_ms": 700},
    "accuracy": {"check": "off"},  # whom it would compare crashes
    "search": {"trials": 6, "seed": 1, "sampler": "grid", "early_stop": "hopeless", "parallel": 2},
    "validation": {"top": 1, "deployments": 2},
}


def module_at(path: Path) -> ModuleType:
    """A file of the tests, which are no package."""
    name = f"cluster_site_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


whole_runs = module_at(HERE.parent / "engine" / "whole_runs.py")


@dataclass
class Site:
    """What a search needs to be there.

    Attributes:
        namespace: of the trials; its account is that of the commands.
        runtime: name of the ClusterServingRuntime that runs the embedded engine.
        model: name of the ClusterBaseModel.
        lab: where commands run.
    """

    namespace: Any
    runtime: str
    model: str
    lab: Any
    api: client.ApiClient

    def experiment(self, name: str = "pvc-small", **changes: Any) -> Path:
        """A file: EXPERIMENT in this namespace, with sections merged over it; None takes one out."""
        spec: dict[str, Any] = json.loads(json.dumps(EXPERIMENT))
        spec["name"] = name
        spec["model"] = {"name": self.model}
        spec["storage"] = {
            "type": "pvc",
            "pvc_name": self.namespace.claim,
            "pvc_subpath": self.namespace.subpath,
            "mount_path": MOUNT_PATH,
        }
        spec["deploy"] |= {"namespace": self.namespace.name, "runtime": self.runtime}
        for section, value in changes.items():
            if value is None:
                del spec[section]
            elif isinstance(value, dict) and section not in {"parameters", "baseline"}:
                spec[section] = {**spec.get(section, {}), **value}
            else:
                spec[section] = value
        path = self.lab.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(spec, sort_keys=False))
        return path

    def start(self, *arguments: str | Path, module: str = "tuner.search", **variables: str) -> Any:
        """A command under the namespace's account, not waited for."""
        plain = ["--plain"] if module == "tuner.search" else []
        command = [self.lab.python, "-m", module, *map(str, arguments), *plain]
        return self.lab.launch(command, KUBECONFIG=str(self.namespace.kubeconfig), **variables)

    def run(self, *arguments: str | Path, seconds: float = 400, module: str = "tuner.search") -> Any:
        """A command to its end."""
        return self.start(*arguments, module=module).wait(seconds)

    def labelled(self, run: str | None = None) -> list[str]:
        """Every object in the namespace that carries the run's label (any run's without one)."""
        selector = RUN_LABEL if run is None else f"{RUN_LABEL}={run}"
        core, apps = client.CoreV1Api(self.api), client.AppsV1Api(self.api)
        space = self.namespace.name
        found = [
            f"pod/{each.metadata.name}"
            for each in core.list_namespaced_pod(space, label_selector=selector).items
        ]
        found += [
            f"service/{each.metadata.name}"
            for each in core.list_namespaced_service(space, label_selector=selector).items
        ]
        found += [
            f"deployment/{each.metadata.name}"
            for each in apps.list_namespaced_deployment(space, label_selector=selector).items
        ]
        found += [
            f"lease/{each.metadata.name}"
            for each in client.CoordinationV1Api(self.api)
            .list_namespaced_lease(space, label_selector=selector)
            .items
        ]
        services = client.CustomObjectsApi(self.api).list_namespaced_custom_object(
            "ome.io", "v1beta1", space, "inferenceservices", label_selector=selector
        )
        return found + [f"inferenceservice/{each['metadata']['name']}" for each in services["items"]]

    def pods(self, selector: str) -> list[Any]:
        """The live pods."""
        return (
            client.CoreV1Api(self.api).list_namespaced_pod(self.namespace.name, label_selector=selector).items
        )


@contextmanager
def site(
    namespace: Any,
    *,
    api: client.ApiClient,
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    parts: Any,
    folder: Path,
    storage_path: str | None = MOUNT_PATH,
) -> Iterator[Site]:
    """Runtime and model of the namespace's own name, and a lab; all of it is gone afterwards."""
    name = namespace.name
    objects = [
        runtime_object(f"{name}-runtime", parts),
        model_object(f"{name}-model", namespace, storage_path),
    ]
    lab = whole_runs.Lab(folder)
    try:
        apply(objects)
        yield Site(namespace, f"{name}-runtime", f"{name}-model", lab, api)
    finally:
        lab.close()
        for each in objects:
            remove(each)


def runtime_object(name: str, parts: Any) -> dict[str, Any]:
    """A ClusterServingRuntime that runs the embedded engine and drops what llama-server does not know."""
    runner = parts.container(env={"ENGINE_IGNORE_UNKNOWN": "1"})
    del runner["args"]
    return {
        "apiVersion": "ome.io/v1beta1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": name},
        "spec": {
            "disabled": False,
            "supportedModelFormats": [{**_FORMAT, "autoSelect": False, "priority": 1, "version": "1.0.0"}],
            "protocolVersions": ["openAI"],
            "modelSizeRange": {"min": "100M", "max": "10B"},
            "engineConfig": {"runner": runner, "volumes": parts.volumes},
        },
    }


def model_object(name: str, namespace: Any, storage_path: str | None) -> dict[str, Any]:
    """A ClusterBaseModel whose files are in the namespace's claim."""
    uri = f"pvc://{namespace.name}:{namespace.claim}/{namespace.subpath}"
    return {
        "apiVersion": "ome.io/v1beta1",
        "kind": "ClusterBaseModel",
        "metadata": {"name": name, "annotations": {"ome.io/skip-config-parsing": "true"}},
        "spec": {
            **_FORMAT,
            "vendor": "test",
            "modelType": "llama",
            "modelParameterSize": "1B",
            "maxTokens": 4096,
            "modelCapabilities": ["TEXT_TO_TEXT"],
            "storage": {"storageUri": uri, **({"path": storage_path} if storage_path else {})},
        },
    }


def trials(run: Path) -> list[dict[str, Any]]:
    """The ended deployments of a run."""
    return whole_runs.lines(run / "trials.jsonl")


def only_run(site: Site, beginning: str = "") -> Path:
    """The one run directory (of the experiment whose name it ends with)."""
    (found,) = (path for path in site.lab.runs.iterdir() if path.name.endswith(beginning))
    return found
