"""The events that the stand-in for OME puts on an InferenceService; a repeat counts up the first one."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from ome_api import Api, CallRefused
from ome_merge import Json


class EventLog:
    """Writes events on InferenceServices. An event that cannot be written is dropped, as by client-go."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[tuple[str, str, str], tuple[str, int]] = {}

    def tell(self, isvc: Json, reason: str, message: str) -> None:
        """An event of type Normal."""
        self._write(isvc, "Normal", reason, message)

    def warn(self, isvc: Json, reason: str, message: str) -> None:
        """An event of type Warning."""
        self._write(isvc, "Warning", reason, message)

    def _write(self, isvc: Json, kind: str, reason: str, message: str) -> None:
        meta, now = isvc["metadata"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        key = (meta["uid"], reason, message)
        try:
            if key in self._known:
                name, count = self._known[key]
                self._known[key] = (name, count + 1)
                self._api.merge("Event", name, meta["namespace"], {"count": count + 1, "lastTimestamp": now})
                return
            name = f"{meta['name']}.{uuid.uuid4().hex[:16]}"
            about = {"apiVersion": isvc["apiVersion"], "kind": "InferenceService", "uid": meta["uid"],
                     "name": meta["name"], "namespace": meta["namespace"]}  # fmt: skip
            self._api.create("Event", {
                "metadata": {"name": name, "namespace": meta["namespace"]},
                "involvedObject": about, "type": kind, "reason": reason, "message": message, "count": 1,
                "source": {"component": "v1beta1Controllers"}, "firstTimestamp": now, "lastTimestamp": now,
            })  # fmt: skip
            self._known[key] = (name, 1)
        except CallRefused:
            self._known.pop(key, None)
