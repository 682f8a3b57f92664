"""What became of a deployment that had served: from its pods to a failure, or to none. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tuner.deploy import diagnosis
from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.evidence import Log, how_it_ended, lost
from tuner.errors import Failure, FailureClass
from tuner.trial.ports import Endpoint

Json = dict[str, Any]


def fate(
    pods: Sequence[Json], *, was: Json, container: str, log: Log, seconds_since_ready: float
) -> Failure | None:
    """Why it no longer serves as it did; None while it does.

    Args:
        pods: all that carry its label.
        was: its pod as it was when it served.
        container: the name of the one that serves.
    """
    pod = next((found for found in pods if view.uid(found) == view.uid(was)), None)
    kind = FailureClass.NODE_FAULT
    if pod is None:
        others = ", ".join(view.name(found) for found in pods)
        instead = f"; in its place: {others}" if others else ""
        return Failure(kind, f"pod {view.name(was)} is gone from {view.node(was)}{instead}")
    name = str(view.serving_container(pod, container)["name"])
    status, before = view.status_of(pod, name), view.status_of(was, name)
    if gone := lost(pod):
        return gone.raised(log=log(pod, name, False)).failure
    if view.restarts(status) > view.restarts(before) or (status.get("state") or {}).get("terminated"):
        return _ended(pod, name, status, log, seconds_since_ready)
    if view.ending(pod):
        return Failure(kind, f"pod {view.name(pod)} was deleted by somebody else")
    if status.get("ready") and not view.holds(pod, "Ready"):
        # the kubelet would have changed both: the node controller has not heard of it for a while
        return Failure(kind, f"node {view.node(pod)} no longer tells how its pods are")
    return None


def unreached(endpoint: Endpoint, fault: OSError) -> Failure | None:
    """What it is that nothing listens where a pod is said to serve; a refusal is the engine's own matter."""
    if isinstance(fault, ConnectionRefusedError):
        return None
    text = f"nothing answers at {endpoint.url} ({fault}), though its pod is said to run on {endpoint.node}"
    return Failure(FailureClass.NODE_FAULT, text)


def _ended(pod: Json, container: str, status: Json, log: Log, seconds_since_ready: float) -> Failure:
    ended = replace(how_it_ended(pod, container, status, log), seconds=seconds_since_ready)
    found = diagnosis.died_under_load(ended)
    if ended.exit_code is not None or not view.restarts(status):
        return found
    text = "the engine was started again, and how the one before ended is not told"
    return replace(found, kind=FailureClass.CRASH_UNDER_LOAD, message=text)
