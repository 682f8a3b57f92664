"""The PVC annotations of a pod: what they ask for, and which of them are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tuner.errors import UserError
from tuner.spec.annotations import MOUNT_PATH, PVC_NAME, PVC_SUBPATH, STORAGE_TYPE

Pod = Mapping[str, Any]

BASE_MODEL_NAME = "ome.io/base-model-name"  # written by OME's controller

_ABSOLUTE = re.compile(r"/[^/:$]")
# ":" and "$" would be read by what expands MODEL_PATH; the policy splits its lists at line breaks.
_NOT_IN_A_PATH = re.compile(r"[:$\x00-\x1f\x7f]")


class PodRefused(UserError):
    """A pod that must not run: it would serve from the wrong place. One line, the guard's own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What an annotated pod asks for.

    Attributes:
        claim: the PersistentVolumeClaim, in the pod's namespace.
        model: OME's name for the model, which is also the name of its volume.
        subpath: within the claim, relative; "" for the whole of it.
        mount_path: absolute; "" leaves the model where OME mounts it.
    """

    claim: str
    model: str
    subpath: str
    mount_path: str


def contract_of(pod: Pod) -> Contract | None:
    """The annotations of `pod`, checked; None where it asks for no claim.

    Raises:
        PodRefused: they contradict each other, or a path could lead out of the claim.
    """
    annotations: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    if annotations.get(STORAGE_TYPE) != "pvc":
        if PVC_NAME in annotations:
            raise PodRefused(f"annotation {PVC_NAME} is set but {STORAGE_TYPE} is not pvc")
        return None
    asked = Contract(
        claim=annotations.get(PVC_NAME, ""),
        model=annotations.get(BASE_MODEL_NAME, ""),
        subpath=annotations.get(PVC_SUBPATH, ""),
        mount_path=annotations.get(MOUNT_PATH, ""),
    )
    if not asked.claim:
        raise PodRefused(f"{STORAGE_TYPE} is pvc but annotation {PVC_NAME} is missing")
    if not asked.model:
        raise PodRefused(
            f"{STORAGE_TYPE} is pvc but annotation {BASE_MODEL_NAME} is missing: is this pod made by OME?"
        )
    if asked.subpath.startswith("/") or ".." in asked.subpath.split("/"):
        raise PodRefused(
            f'annotation {PVC_SUBPATH} must be relative and without "..": {_shown(asked.subpath)}'
        )
    path = asked.mount_path
    if path and (not _ABSOLUTE.match(path) or _NOT_IN_A_PATH.search(path) or ".." in path.split("/")):
        raise PodRefused(
            f'annotation {MOUNT_PATH} must be an absolute path without "..", ":" and "$": {_shown(path)}'
        )
    return asked


def _shown(path: str) -> str:
    return path if path.isprintable() else repr(path)
