"""Questions to a pod's JSON."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from datetime import datetime
from typing import Any

Json = dict[str, Any]


def uid(found: Json) -> str:
    """Of any object."""
    return str(found["metadata"]["uid"])


def name(found: Json) -> str:
    """Of any object."""
    return str(found["metadata"]["name"])


def ending(found: Json) -> bool:
    """Whether somebody has deleted the object."""
    return "deletionTimestamp" in found["metadata"]


def condition(found: Json, kind: str) -> Json:
    """The condition of that type of any object; empty where it has none."""
    for one in found.get("status", {}).get("conditions") or ():
        if one.get("type") == kind:
            return dict(one)
    return {}


def holds(found: Json, kind: str) -> bool:
    """Whether that condition is True."""
    return bool(condition(found, kind).get("status") == "True")


def node(pod: Json) -> str:
    """Where it runs; "" while it is nowhere."""
    return str(pod.get("spec", {}).get("nodeName") or "")


def serving_container(pod: Json, preferred: str) -> Json:
    """The spec of the container that serves: the one of that name, else the first."""
    containers: list[Json] = pod["spec"]["containers"]
    return next((c for c in containers if c["name"] == preferred), containers[0])


def status_of(pod: Json, container: str) -> Json:
    """The status of that container, init containers too; empty where there is none yet."""
    for one in statuses(pod, "containerStatuses", "initContainerStatuses"):
        if one["name"] == container:
            return one
    return {}


def statuses(pod: Json, *fields: str) -> Iterable[Json]:
    """All statuses under these fields."""
    for field in fields:
        yield from pod.get("status", {}).get(field) or ()


def restarts(status: Json) -> int:
    """How often the container was started again."""
    return int(status.get("restartCount") or 0)


def terminated(status: Json) -> Json:
    """How the container ended last; empty where it never did."""
    for field in ("state", "lastState"):
        if found := (status.get(field) or {}).get("terminated"):
            return dict(found)
    return {}


def waiting(status: Json) -> Json:
    """Why the container does not run; empty where it does or has ended."""
    return dict((status.get("state") or {}).get("waiting") or {})


def running(status: Json) -> bool:
    """Whether it runs now."""
    return bool((status.get("state") or {}).get("running"))


def exit_code(ended: Json) -> int:
    """Negative for a signal, as everywhere here; Kubernetes has 128 and the signal."""
    code = int(ended.get("exitCode") or 0)
    if 128 < code <= 128 + signal.SIGRTMAX:
        return 128 - code
    return code


def seconds_run(ended: Json) -> float:
    """From start to end; 0 where that is not told. Kubernetes tells whole seconds."""
    try:
        begun, over = (datetime.fromisoformat(str(ended[key])) for key in ("startedAt", "finishedAt"))
    except (KeyError, ValueError):
        return 0.0
    return max(0.0, (over - begun).total_seconds())
