"""What an annotated pod needs to mount its model from the claim, as a JSON patch.

The same table of cases (tests/conformance/mount_cases.py) holds for this and for the policy in
cluster/admission/policy.yaml: change them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tuner.webhook.contract import Contract, Pod, contract_of
from tuner.webhook.finished import (
    ENGINE_CONTAINER,
    MODEL_PATH,
    READY_SELECTOR,
    claim_of,
    is_router,
    listed,
    refuse_unfinished,
)
from tuner.webhook.recorder import Operation, Recorder

_VOLUME_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_OTHER_VOLUME_NAME = "ome-model"  # a model's name may hold dots, a volume's may not
_DEFAULT_FOLDER = "/raid/models/"  # where OME puts a model that says no path

_Place = tuple[str, int]  # ("containers" or "initContainers", index)


def patch_pod(pod: Pod) -> list[Operation]:
    """The JSON patch (RFC 6902) that mounts the claim in `pod`; empty where nothing is to be done.

    Pure, and idempotent: the patch of a pod that was patched is empty. A pod without the annotations gets
    none. `pod` is JSON as the API server sends it, with its defaults filled in.

    Raises:
        PodRefused: the pod would not serve from the claim as its annotations ask, patched or not.
    """
    asked = contract_of(pod)
    if asked is None:
        return []
    recorder = Recorder(pod)
    _Mount(recorder, asked).edit()
    refuse_unfinished(recorder.edited, asked)
    return recorder.operations


class _Mount:
    """The edits, from what the pod is like before them."""

    def __init__(self, recorder: Recorder, asked: Contract) -> None:
        self._recorder = recorder
        self._asked = asked
        self._spec: dict[str, Any] = recorder.edited["spec"]
        names = [volume["name"] for volume in listed(self._spec, "volumes")]
        self._index = names.index(asked.model) if asked.model in names else None
        self._router = is_router(recorder.edited)
        # Mounted already under a volume of another name, as an InferenceService's own volumes do it.
        self._inline = any(
            volume["name"] != asked.model
            and claim_of(volume) == asked.claim
            and self._mounted(volume["name"])
            for volume in listed(self._spec, "volumes")
        )

    def edit(self) -> None:
        folder = self._asked.mount_path or self._usual_folder()
        if name := self._claim_volume():
            if not self._mounted(name) and not self._inline and not self._router:
                for place in self._engines():
                    self._add_mount(place, name, folder)
            for place, container in self._containers():
                self._correct_mounts(place, container, name)
        for key in sorted(self._spec.get("nodeSelector") or {}):
            if key.startswith(READY_SELECTOR):
                self._recorder.remove("spec", "nodeSelector", key)

    def _claim_volume(self) -> str:
        """The name of the model's volume, made the claim; "" where it is not ours to change."""
        asked = self._asked
        source = {"claimName": asked.claim, "readOnly": True}
        if self._index is None:
            if self._inline or self._router:
                return ""
            name = asked.model if _VOLUME_NAME.fullmatch(asked.model) else _OTHER_VOLUME_NAME
            volume = {"name": name, "persistentVolumeClaim": source}
            self._recorder.insert(volume, "spec", "volumes", len(listed(self._spec, "volumes")))
            return name
        found = self._spec["volumes"][self._index]
        if "hostPath" not in found and claim_of(found) != asked.claim:
            return ""
        volume = {"name": asked.model, "persistentVolumeClaim": source}
        self._recorder.put(volume, "spec", "volumes", self._index)
        return asked.model

    def _usual_folder(self) -> str:
        """Where OME mounts the model, for a volume that nothing mounts."""
        if self._index is not None:
            host_path = self._spec["volumes"][self._index].get("hostPath") or {}
            if path := host_path.get("path"):
                return str(path)
        return _DEFAULT_FOLDER + self._asked.model

    def _engines(self) -> list[_Place]:
        """The engine's container; each of them where none has its name."""
        containers = self._spec["containers"]
        named = [i for i, container in enumerate(containers) if container["name"] == ENGINE_CONTAINER]
        return [("containers", i) for i in named or range(len(containers))]

    def _containers(self) -> Iterator[tuple[_Place, dict[str, Any]]]:
        for kind in ("containers", "initContainers"):
            for i, container in enumerate(listed(self._spec, kind)):
                yield (kind, i), container

    def _mounted(self, name: str) -> bool:
        return any(
            mount["name"] == name
            for _, container in self._containers()
            for mount in listed(container, "volumeMounts")
        )

    def _add_mount(self, place: _Place, name: str, folder: str) -> None:
        mount = {"name": name, "readOnly": True, "mountPath": folder}
        if self._asked.subpath:
            mount["subPath"] = self._asked.subpath
        mounts = listed(self._spec[place[0]][place[1]], "volumeMounts")
        self._recorder.insert(mount, "spec", *place, "volumeMounts", len(mounts))

    def _correct_mounts(self, place: _Place, container: dict[str, Any], name: str) -> None:
        """The mounts of volume `name` in one container, and its MODEL_PATH."""
        asked = self._asked
        folder = ""
        for i, mount in enumerate(listed(container, "volumeMounts")):
            if mount["name"] != name:
                continue
            folder = folder or asked.mount_path or mount["mountPath"]
            if mount.get("subPath", "") not in ("", asked.subpath):
                continue  # somebody's own: refused below, not overwritten
            at = ("spec", *place, "volumeMounts", i)
            self._recorder.put(True, *at, "readOnly")
            if asked.subpath:
                self._recorder.put(asked.subpath, *at, "subPath")
            if asked.mount_path:
                self._recorder.put(asked.mount_path, *at, "mountPath")
        if folder:
            self._set_model_path(place, container, folder)

    def _set_model_path(self, place: _Place, container: dict[str, Any], folder: str) -> None:
        entry = {"name": MODEL_PATH, "value": folder}
        found = [i for i, item in enumerate(listed(container, "env")) if item["name"] == MODEL_PATH]
        for i in found:
            self._recorder.put(entry, "spec", *place, "env", i)
        if not found:  # first, so that variables after it can use it
            self._recorder.insert(entry, "spec", *place, "env", 0)
