"""A sound set-up to break in one way at a time, and what a broken one is: its way, its line, its remedy.

A way is a context: inside it the set-up is broken, and it yields what the experiment says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from kubernetes import client

Manifest = dict[str, Any]
Changes = dict[str, Any]
GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class Ground:
    """What there is to break.

    Attributes:
        place: the Site of search_site.py.
        nodes: names.
    """

    place: Any
    api: client.ApiClient
    apply: Callable[..., Any]
    remove: Callable[..., Any]
    until: Callable[..., Any]
    nodes: list[str]

    @property
    def name(self) -> str:
        """The namespace."""
        return str(self.place.namespace.name)

    @property
    def core(self) -> client.CoreV1Api:
        """For a moment."""
        return client.CoreV1Api(self.api)

    def object(
        self, version: str, kind: str, name: str, *, of_cluster: bool = False, **content: Any
    ) -> Manifest:
        """A manifest in the namespace."""
        metadata = {"name": name} | ({} if of_cluster else {"namespace": self.name})
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}

    @contextmanager
    def with_objects(self, *manifests: Manifest) -> Iterator[None]:
        """While they are there."""
        try:
            self.apply(list(manifests))
            yield
        finally:
            for manifest in reversed(manifests):
                self.remove(manifest)

    def claim(
        self, name: str, *, mode: str = "ReadOnlyMany", path: str = "", **volume: Any
    ) -> list[Manifest]:
        """A volume on the model's folder, or on `path`, and the claim of it."""
        own = f"{self.name}-{name}"
        spec = {
            "capacity": {"storage": "1Mi"},
            "accessModes": [mode],
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": self.name, "name": name},
            "hostPath": {"path": path or str(self.place.namespace.models), "type": "Directory"},
            **volume,
        }
        wants = {
            "accessModes": [mode],
            "storageClassName": "",
            "volumeName": own,
            "resources": {"requests": {"storage": "1Mi"}},
        }
        return [
            self.object("v1", "PersistentVolume", own, of_cluster=True, spec=spec),
            self.object("v1", "PersistentVolumeClaim", name, spec=wants),
        ]

    @contextmanager
    def bound(self, name: str, **volume: Any) -> Iterator[Changes]:
        """With such a claim, bound."""
        with self.with_objects(*self.claim(name, **volume)):
            self.until_claim(name, "Bound")
            yield {"storage": {"pvc_name": name}}

    def until_claim(self, name: str, phase: str) -> None:
        """Wait until the claim is in that phase."""
        self.until(
            lambda: self.core.read_namespaced_persistent_volume_claim(name, self.name).status.phase == phase,
            seconds=30,
            what=f"claim {name} is {phase}",
        )

    def folder(self, name: str, **files: bytes) -> str:
        """A folder of the claim with these files; `_` in their names is a dot."""
        made = self.place.namespace.models / name
        made.mkdir(exist_ok=True)
        for file, content in files.items():
            (made / file.replace("_", ".")).write_bytes(content)
        return name


Break = Callable[[Ground], AbstractContextManager[Changes]]


@dataclass(frozen=True)
class Broken:
    """One way of being broken.

    Attributes:
        said: begins the line, or stands in it.
        remedy: stands in what would be right.
        level: of the finding; a search starts on a warning.
        admin: looked at as administrator: the account has no rights there.
    """

    name: str
    breaks: Break
    said: str
    remedy: str
    level: str = "error"
    admin: bool = False


def saying(**changes: Any) -> Break:
    """Nothing on the cluster is broken, but the experiment asks for what is not there."""

    @contextmanager
    def broken(ground: Ground) -> Iterator[Changes]:
        yield {key: value(ground) if callable(value) else value for key, value in changes.items()}

    return broken


def a_claim(name: str, **volume: Any) -> Break:
    """With a claim on such a volume."""
    return lambda ground: ground.bound(
        name, **{k: v(ground) if callable(v) else v for k, v in volume.items()}
    )
