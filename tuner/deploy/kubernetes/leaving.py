"""Has deployments taken away, and follows them until nothing is left: pods are watched, little is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.objects import anything_left
from tuner.deploy.kubernetes.resources import POD, Resource
from tuner.deploy.kubernetes.wanted import EXPERIMENT_ID
from tuner.deploy.kubernetes.watching import PODS, Source, Watching

_DELETE_SECONDS = 5.0
_WAIT_SECONDS = 0.5  # for a deletion; it goes on by itself
_AGAIN_SECONDS = 1.0  # until one that did not get through is asked for once more
_PAUSE_SECONDS = 0.25
_PAUSE_SECONDS_MAX = 2.0


@dataclass(slots=True)
class _Followed:
    """One that goes; `ask_at` is when the API server may be asked next."""

    watching: Watching
    stack: ExitStack
    ask_at: float
    pause: float = _PAUSE_SECONDS


class Leaving:
    """Deployments by name, for the one thread that waits for them.

    Args:
        made: the kinds that were created for each, the one that owns the pods first.
        now: monotonic seconds.
    """

    def __init__(self, cluster: Cluster, made: tuple[Resource, ...], *, now: Callable[[], float]) -> None:
        self._cluster = cluster
        self._made = made
        self._now = now
        self._doomed: set[str] = set()
        self._unheard: dict[str, float] = {}  # deletions that did not get through yet -> when last asked
        self._followed: dict[str, _Followed] = {}

    def asked(self, name: str) -> bool:
        """Whether it is to go."""
        return name in self._doomed

    def ask(self, name: str) -> None:
        """Have it taken away; waits for nothing. Asked again only where that was not heard."""
        if name in self._doomed and name not in self._unheard:
            return
        self._doomed.add(name)
        asking = threading.Thread(target=self._delete, args=(name,), name=f"delete {name}", daemon=True)
        asking.start()
        asking.join(_WAIT_SECONDS)

    def stays(self, name: str) -> None:
        """It is deployed again."""
        self._doomed.discard(name)
        self._unheard.pop(name, None)
        self._forget(name)

    def gone(self, name: str) -> bool:
        """Whether no object and no pod of it is left; may be asked again and again."""
        asked = self._unheard.get(name)
        if asked is not None and self._now() - asked > _AGAIN_SECONDS:
            self._delete(name)
        followed = self._followed.get(name)
        if followed is None:
            if not self._left(name):
                return True
            self._followed[name] = self._follow(name)
            return False
        seen, now = followed.watching.seen, self._now()
        blind = seen.refused is not None  # then there is nothing but asking
        if not blind and (not seen.listed or seen.away_since is not None or seen.pods):
            return False
        if now < followed.ask_at:
            return False
        if self._left(name):
            followed.ask_at = now + followed.pause
            followed.pause = min(2 * followed.pause, _PAUSE_SECONDS_MAX)
            return False
        self._forget(name)
        return True

    def _left(self, name: str) -> bool:
        """Whether something is left, or nobody can tell."""
        try:
            return anything_left(self._cluster, self._made, name, doomed=name in self._doomed)
        except (ApiRefused, Unreachable):
            return True

    def _delete(self, name: str) -> None:
        self._unheard[name] = self._now()
        try:
            for resource in self._made:
                self._cluster.delete(resource, name, seconds=_DELETE_SECONDS)
        except (ApiRefused, Unreachable):
            return  # `gone` asks again
        self._unheard.pop(name, None)

    def _follow(self, name: str) -> _Followed:
        stack = ExitStack()
        source = Source(PODS, POD, labels=f"{EXPERIMENT_ID}={name}")
        watching = stack.enter_context(Watching(self._cluster, [source], now=self._now))
        return _Followed(watching, stack, self._now())

    def _forget(self, name: str) -> None:
        if followed := self._followed.pop(name, None):
            followed.stack.close()
