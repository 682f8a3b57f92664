"""What a pod, a Deployment or a serving runtime needs to run the embedded engine in a container.

The image is nearly empty: the programs are the host's, mounted read-only at their own paths, which are read
from the running interpreter. Imported by its path: tests are no package.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tuner

IMAGE = "local/engine:1"
PORT = 8080
CONTAINER = "ome-container"  # OME looks at the container of this name alone
_PROGRAM = Path(__file__).with_name("engine_program.py")
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin")


@dataclass(frozen=True, slots=True)
class EnginePodParts:
    """The parts, as Kubernetes spells them.

    Attributes:
        volumes: of the pod.
        mounts: of the container, one for each of the volumes.
        env: what /engine reads; MODEL_PATH is not among them, whoever mounts the model sets it.
        command: serves the model in $(MODEL_PATH) on every address of the pod, port 8080; flags appended to
            it, as `args`, win over its own.
        readiness: an HTTP probe, each second.
    """

    volumes: list[dict[str, Any]]
    mounts: list[dict[str, Any]]
    env: list[dict[str, str]]
    command: list[str]
    readiness: dict[str, Any]

    def container(
        self,
        *arguments: str,
        name: str = CONTAINER,
        env: dict[str, str] | None = None,
        mounts: list[dict[str, Any]] | None = None,
        accelerators: int = 0,
        memory: str | None = None,
    ) -> dict[str, Any]:
        """A container that runs the engine with `arguments` appended.

        Args:
            arguments: llama-server's flags, and --fail of engine_program.py.
            env: more variables; ENGINE_FAIL, ENGINE_IGNORE_UNKNOWN and MODEL_PATH are of use.
            mounts: more mounts, the model's for one.
            accelerators: nvidia.com/gpu.
            memory: its limit, such as "512Mi"; what --fail memory runs into.
        """
        limits = ({"nvidia.com/gpu": str(accelerators)} if accelerators else {}) | (
            {"memory": memory} if memory else {}
        )
        return {
            "name": name,
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": list(self.command),
            "args": list(arguments),
            "env": [*self.env, *({"name": key, "value": value} for key, value in (env or {}).items())],
            "ports": [{"containerPort": PORT, "name": "http"}],
            "readinessProbe": dict(self.readiness),
            "resources": {"limits": limits} if limits else {},
            "volumeMounts": [*self.mounts, *(mounts or [])],
        }

    def pod(
        self, *arguments: str, claim: str, subpath: str, mount_path: str = "/model", **container: Any
    ) -> dict[str, Any]:
        """A pod's spec that serves the model in a claim, mounted read-only and with its path in MODEL_PATH.

        Args:
            container: further arguments of `container`.
        """
        model = {"name": "model", "mountPath": mount_path, "subPath": subpath, "readOnly": True}
        container["env"] = {"MODEL_PATH": mount_path} | container.get("env", {})
        return {
            "containers": [self.container(*arguments, mounts=[model], **container)],
            "volumes": [
                *self.volumes,
                {"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}},
            ],
            "terminationGracePeriodSeconds": 5,
        }


def engine_pod_parts() -> EnginePodParts:
    """The parts for this interpreter, its environment and this checkout."""
    package = Path(tuner.__file__).parent
    base = Path(sys.base_prefix)
    places = [*map(Path, _SYSTEM), base, base.resolve(), Path(sys.prefix), package, _PROGRAM.parent]
    volumes, mounts, paths = [], [], []
    for path in places:
        if not path.exists() or any(path.is_relative_to(mounted) for mounted in paths):
            continue
        name = f"host-{len(paths)}"
        paths.append(path)
        volumes.append({"name": name, "hostPath": {"path": str(path), "type": "Directory"}})
        mounts.append({"name": name, "mountPath": str(path), "readOnly": True})
    env = {
        "ENGINE_PYTHON": sys.executable,
        "ENGINE_PROGRAM": str(_PROGRAM),
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return EnginePodParts(
        volumes=volumes,
        mounts=mounts,
        env=[{"name": name, "value": value} for name, value in env.items()],
        command=[
            *("/engine", "--model", "$(MODEL_PATH)", "--host", "0.0.0.0", "--port", str(PORT)),
            *("--metrics", "--threads", "1"),
        ],
        readiness={"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 5},
    )
