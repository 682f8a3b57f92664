"""Watches one deployment's objects in threads of their own, into one immutable snapshot.

A watch goes on from where it was cut off, lists again where the server has forgotten that place (410), and
tries again, ever more slowly, while the server is away; how long it has been away stands in the snapshot.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from tuner.deploy.kubernetes.api_errors import (
    AWAY_SECONDS,
    ApiRefused,
    Unreachable,
    patience_seconds,
)
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import Resource
from tuner.deploy.kubernetes.stream import Broken, Expired, Stream
from tuner.errors import TunerError

Json = dict[str, Any]

_WATCH_SECONDS = 30.0  # a connection that died without a word is noticed after so long, and a while
_PAUSE_SECONDS = 0.1
_PAUSE_SECONDS_MAX = 2.0
_JOIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Source:
    """What one thread watches.

    Attributes:
        role: under which the objects stand in the snapshot.
        only_new: for events: what was there before is not read.
        keep: which of the objects matter.
    """

    role: str
    resource: Resource
    labels: str = ""
    fields: str = ""
    only_new: bool = False
    keep: Callable[[Json], bool] = lambda found: True


@dataclass(frozen=True, slots=True)
class Arrived:
    """An object as it was last seen.

    Attributes:
        since: monotonic time at which it was first seen.
    """

    found: Json
    since: float


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is known at one moment.

    Attributes:
        service: the InferenceService; None while there is none, and for plain Kubernetes.
        deployments, pods: by age, oldest first.
        events: of these objects, by arrival.
        listed: whether every kind has been listed once.
        away_since: monotonic time since which a watch has had no answer; None while all have.
        away_why: the last error of it.
        patience_seconds: how long that may last before it is believed.
        refused: a watch that the server does not let us have; no use in trying again.
    """

    service: Json | None = None
    deployments: tuple[Json, ...] = ()
    pods: tuple[Json, ...] = ()
    events: tuple[Arrived, ...] = ()
    listed: bool = False
    away_since: float | None = None
    away_why: str = ""
    patience_seconds: float = AWAY_SECONDS
    refused: TunerError | None = None


SERVICE, DEPLOYMENTS, PODS, EVENTS = "service", "deployments", "pods", "events"


class Watching:
    """A context: the threads run inside it. `seen` is replaced, never changed.

    Args:
        now: monotonic seconds.
    """

    def __init__(
        self, cluster: Cluster, sources: Sequence[Source], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._sources = tuple(sources)
        self._now = now
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._objects: dict[str, dict[str, Arrived]] = {s.role: {} for s in sources}
        self._listed: set[str] = set()
        self._away: dict[str, tuple[float, str, float]] = {}
        self._refused: TunerError | None = None
        self._streams: dict[str, Stream] = {}
        self._seen = Seen()
        self._threads = [
            threading.Thread(target=self._follow, args=(source,), name=f"watch {source.role}", daemon=True)
            for source in self._sources
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with self._changed:
            streams = list(self._streams.values())
        for stream in streams:
            stream.close()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def seen(self) -> Seen:
        """The snapshot of this moment."""
        return self._seen

    def wait(self, known: Seen, *, seconds: float) -> Seen:
        """The next snapshot after `known`; the same one where nothing changes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._seen is not known, timeout=seconds)
            return self._seen

    def _follow(self, source: Source) -> None:
        """One source, for as long as the context lasts."""
        version, pause = "", _PAUSE_SECONDS
        while not self._over.is_set():
            try:
                if not version:
                    version = self._list(source)
                version = self._stream(source, version)
                pause = _PAUSE_SECONDS
                continue
            except Expired:
                version = ""
                continue
            except ApiRefused as error:
                if error.status == 410:
                    version = ""
                    continue
                if not (patience := patience_seconds(error)):
                    return self._give_up(error)
                self._note_away(source, str(error), patience)
            except (Unreachable, Broken) as error:
                self._note_away(source, str(error), AWAY_SECONDS)
            except Exception as error:
                return self._give_up(TunerError(f"watch of {source.resource.plural}: {error}"))
            self._over.wait(pause)
            pause = min(pause * 2, _PAUSE_SECONDS_MAX)
        return None

    def _list(self, source: Source) -> str:
        """Read what there is; the version to watch from."""
        found = self._cluster.list(
            source.resource,
            labels=source.labels,
            fields=source.fields,
            limit=1 if source.only_new else None,
        )
        now = self._now()
        with self._changed:
            if not source.only_new:
                known = self._objects[source.role]
                self._objects[source.role] = {
                    uid: Arrived(item, known[uid].since if uid in known else now)
                    for item in found["items"]
                    if source.keep(item)
                    for uid in (item["metadata"]["uid"],)
                }
            self._listed.add(source.role)
            self._away.pop(source.role, None)
            self._publish()
        return str(found["metadata"]["resourceVersion"])

    def _stream(self, source: Source, version: str) -> str:
        """Take in changes until the server's time limit; the version reached."""
        stream = self._cluster.watch(
            source.resource,
            version=version,
            labels=source.labels,
            fields=source.fields,
            seconds=_WATCH_SECONDS,
        )
        with self._changed:
            self._streams[source.role] = stream
            if self._away.pop(source.role, None):
                self._publish()
        if self._over.is_set():
            stream.close()
        for kind, found in stream:
            version = str(found["metadata"]["resourceVersion"])
            if kind != "BOOKMARK" and source.keep(found):
                self._take(source.role, kind, found)
        return version

    def _take(self, role: str, kind: str, found: Json) -> None:
        uid = found["metadata"]["uid"]
        with self._changed:
            known = self._objects[role].pop(uid, None)
            if kind != "DELETED":
                self._objects[role][uid] = Arrived(found, known.since if known else self._now())
            self._publish()

    def _note_away(self, source: Source, why: str, patience: float) -> None:
        with self._changed:
            since, *_ = self._away.get(source.role, (self._now(),))
            self._away[source.role] = (since, why, patience)
            self._publish()

    def _give_up(self, error: TunerError) -> None:
        with self._changed:
            self._refused = self._refused or error
            self._publish()

    def _publish(self) -> None:
        """Make the next snapshot; the lock is held."""
        services = self._in_order(SERVICE)
        since, why, patience = min(self._away.values(), default=(None, "", AWAY_SECONDS))
        self._seen = replace(
            Seen(),
            service=services[-1] if services else None,
            deployments=self._in_order(DEPLOYMENTS),
            pods=self._in_order(PODS),
            events=tuple(self._objects.get(EVENTS, {}).values()),
            listed=len(self._listed) == len(self._sources),
            away_since=since,
            away_why=why,
            patience_seconds=patience,
            refused=self._refused,
        )
        self._changed.notify_all()

    def _in_order(self, role: str) -> tuple[Json, ...]:
        found = [arrived.found for arrived in self._objects.get(role, {}).values()]
        return tuple(
            sorted(found, key=lambda o: (o["metadata"].get("creationTimestamp", ""), o["metadata"]["name"]))
        )
