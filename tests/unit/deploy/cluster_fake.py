"""An API server in memory, for tests of what stands above the client: objects, watches, its own absence."""

from __future__ import annotations

import copy
import itertools
import queue

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.stream import Expired


class FakeStream:
    """What `watch` gives: ends when the server is down, or it is closed."""

    def __init__(self, server):
        self.changes = queue.Queue()
        self._server = server

    def __iter__(self):
        while (change := self.changes.get()) is not None:
            if isinstance(change, Exception):
                raise change
            yield change

    def close(self):
        self.changes.put(None)


class FakeCluster:
    """Holds objects by (plural, name); `down` makes every call fail."""

    def __init__(self, namespace="trials"):
        self.namespace = namespace
        self.down = False
        self.refuse = {}  # (verb, plural) -> HTTP status
        self.calls = []
        self.objects = {}
        self._versions = itertools.count(1)
        self._streams = []

    def put(self, plural, manifest):
        """Create or replace it, as somebody else would."""
        known = self.objects.get((plural, manifest["metadata"]["name"]))
        made = copy.deepcopy(manifest)
        version = str(next(self._versions))
        metadata = made["metadata"]
        metadata.setdefault("uid", known["metadata"]["uid"] if known else f"uid-{version}")
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        metadata["resourceVersion"] = version
        self.objects[plural, metadata["name"]] = made
        self._tell(plural, "MODIFIED" if known else "ADDED", made)
        return copy.deepcopy(made)

    def drop(self, plural, name):
        """Delete it, as somebody else would."""
        self._tell(plural, "DELETED", self.objects.pop((plural, name)))

    def end_watches(self, error=None):
        """End every watch, with an error or without."""
        for _, stream in self._streams:
            stream.changes.put(error)
        self._streams.clear()

    def get(self, resource, name, *, namespace=None):
        self._called("get", resource, name)
        return copy.deepcopy(self.objects.get((resource.plural, name)))

    def list(self, resource, *, labels="", fields="", limit=None, everywhere=False):
        self._called("list", resource, labels)
        items = [o for (plural, _), o in self.objects.items() if plural == resource.plural]
        version = str(next(self._versions))
        found = [copy.deepcopy(o) for o in items if _matches(o, labels)]
        return {"items": found[:limit], "metadata": {"resourceVersion": version}}

    def create(self, resource, manifest, *, dry_run=False, strict=True):
        self._called("create", resource, manifest["metadata"]["name"])
        if (resource.plural, manifest["metadata"]["name"]) in self.objects:
            raise refused(409, "AlreadyExists")
        return self.put(resource.plural, manifest)

    def replace(self, resource, manifest):
        self._called("replace", resource, manifest["metadata"]["name"])
        known = self.objects.get((resource.plural, manifest["metadata"]["name"]))
        if known is None:
            raise refused(404, "NotFound")
        if known["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise refused(409, "Conflict")
        return self.put(resource.plural, manifest)

    def delete(self, resource, name, *, seconds=0.0):
        self._called("delete", resource, name)
        if (resource.plural, name) not in self.objects:
            return False
        self.drop(resource.plural, name)
        return True

    def watch(self, resource, *, version, labels="", fields="", seconds):
        self._called("watch", resource, labels)
        stream = FakeStream(self)
        self._streams.append((resource.plural, stream))
        return stream

    def _called(self, verb, resource, what):
        self.calls.append((verb, resource.plural, what))
        if self.down:
            raise Unreachable("https://fake", "connection refused")
        if status := self.refuse.get((verb, resource.plural)):
            raise refused(status, "Refused")

    def _tell(self, plural, kind, found):
        for watched, stream in self._streams:
            if watched == plural:
                stream.changes.put((kind, copy.deepcopy(found)))


def refused(status, reason):
    return ApiRefused(f"HTTP {status}", status=status, reason=reason, said=reason)


def expired():
    return Expired()


def _matches(found, labels):
    theirs = found["metadata"].get("labels") or {}
    wanted = [part for part in labels.split(",") if part]
    return all(
        theirs.get(part.split("=")[0]) == part.split("=")[1] if "=" in part else part in theirs
        for part in wanted
    )
