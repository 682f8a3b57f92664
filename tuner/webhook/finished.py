"""What an annotated pod has to be once it is patched: the guard's rules (cluster/admission/guard.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.webhook.contract import Contract, Pod, PodRefused

ENGINE_CONTAINER = "ome-container"
MODEL_PATH = "MODEL_PATH"
READY_SELECTOR = "models.ome.io/"  # node labels of OME's model agent: a claim needs none


def listed(where: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The list of that name; empty where there is none."""
    return where.get(name) or []


def claim_of(volume: Mapping[str, Any]) -> str:
    """The claim that the volume is; "" where it is something else."""
    return str((volume.get("persistentVolumeClaim") or {}).get("claimName", ""))


def is_router(pod: Pod) -> bool:
    """Whether it is OME's router: it carries the model's volume and mounts nothing."""
    return (pod["metadata"].get("labels") or {}).get("component") == "router"


def refuse_unfinished(pod: Pod, asked: Contract) -> None:
    """Hold `pod` against what its annotations ask for.

    Raises:
        PodRefused: with the first of the guard's rules that it breaks; causes come before effects.
    """
    spec = pod["spec"]
    volumes = listed(spec, "volumes")
    ours = [volume for volume in volumes if claim_of(volume) == asked.claim]
    names = [volume["name"] for volume in ours]
    for volume in volumes:
        if volume["name"] == asked.model and volume not in ours:
            raise PodRefused(f"volume {asked.model} is neither a hostPath nor claim {asked.claim}")
    containers = spec["containers"]
    engines = [one for one in containers if one["name"] == ENGINE_CONTAINER] or containers
    if not is_router(pod) and not any(_mounts(engine, names) for engine in engines):
        raise PodRefused(f"claim {asked.claim} is not mounted in the engine container")
    if not all(volume["persistentVolumeClaim"].get("readOnly") for volume in ours):
        raise PodRefused(f"claim {asked.claim} must be readOnly in volumes: {', '.join(names)}")
    for container in (*containers, *listed(spec, "initContainers")):
        mounts = _mounts(container, names)
        if not all(_right(mount, asked) for mount in mounts):
            place = f" at {asked.mount_path}" if asked.mount_path else ""
            raise PodRefused(
                f'every mount of claim {asked.claim} must be readOnly with subPath "{asked.subpath}"{place}'
            )
        if mounts and not _model_paths_within(container, mounts):
            raise PodRefused("MODEL_PATH points outside the mounted claim")


def _mounts(container: Mapping[str, Any], names: list[str]) -> list[dict[str, Any]]:
    return [mount for mount in listed(container, "volumeMounts") if mount["name"] in names]


def _right(mount: Mapping[str, Any], asked: Contract) -> bool:
    return (
        bool(mount.get("readOnly"))
        and mount.get("subPath", "") == asked.subpath
        and "subPathExpr" not in mount
        and asked.mount_path in ("", mount["mountPath"])
    )


def _model_paths_within(container: Mapping[str, Any], mounts: list[dict[str, Any]]) -> bool:
    folders = [mount["mountPath"] for mount in mounts]
    return all(
        any(
            entry.get("value", "") == folder or entry.get("value", "").startswith(folder + "/")
            for folder in folders
        )
        for entry in listed(container, "env")
        if entry["name"] == MODEL_PATH
    )
