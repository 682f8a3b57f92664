"""The last lines of a container's log, and those of containers that are gone."""

from __future__ import annotations

import threading
from typing import Any

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.client import Cluster

LINES = 60
_SECONDS = 5.0
_TAILS_KEPT = 200


def log_of(
    cluster: Cluster,
    pod: dict[str, Any],
    *,
    container: str,
    previous: bool = False,
    seconds: float = _SECONDS,
) -> str:
    """The tail of a container's log, oldest line first; "" where there is none, or none may be read.

    Args:
        container: its name; the pod's first container where it has none of that name.
        previous: of the process before the last restart; the present one's where that is not kept.
    """
    names = [str(c["name"]) for c in pod["spec"].get("initContainers") or ()]
    name = container if container in names else str(view.serving_container(pod, container)["name"])
    for earlier in (True, False) if previous else (False,):
        try:
            text = cluster.log(view.name(pod), name, previous=earlier, lines=LINES, seconds=seconds)
        except (ApiRefused, Unreachable):
            continue
        if text:
            return text.rstrip("\n")
    return ""


class Tails:
    """Logs' ends by the name of their deployment; the oldest are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tails: dict[str, str] = {}

    def keep(self, name: str, tail: str) -> None:
        """Remember it, in place of an earlier one; an empty one is none."""
        with self._lock:
            if tail:
                self._tails.pop(name, None)
                self._tails[name] = tail
            while len(self._tails) > _TAILS_KEPT:
                del self._tails[next(iter(self._tails))]

    def of(self, name: str) -> str:
        """What was kept; "" for nothing."""
        return self._tails.get(name, "")
