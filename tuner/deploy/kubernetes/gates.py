"""A pod that may not be scheduled yet: by which gate, for which queue, what the queue says of it. Pure."""

from __future__ import annotations

from typing import Any

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.watching import Seen

Json = dict[str, Any]

QUEUE = "kueue.x-k8s.io/queue-name"  # the label by which Kueue knows what it queues
_WORKLOAD = "Workload"  # Kueue's own object for a pod, pod-NAME-HASH: on it Kueue says why it waits


def held_back(pod: Json) -> str:
    """What has to happen before the pod may be scheduled, behind "waiting "; "" where nothing has to."""
    gates = ", ".join(str(gate["name"]) for gate in pod["spec"].get("schedulingGates") or ())
    if not gates and view.condition(pod, "PodScheduled").get("reason") != "SchedulingGated":
        return ""
    queue = (pod["metadata"].get("labels") or {}).get(QUEUE)
    if queue:
        return f"to be admitted to queue {queue}" + (f" (gate {gates})" if gates else "")
    return f"for its scheduling gate to be taken away{f': {gates}' if gates else ''}"


def said_by_queue(seen: Seen, pod: Json) -> str:
    """Why the queue does not admit the pod, as Kueue last said; "" where it did not."""
    for arrived in reversed(seen.events):
        about = arrived.found.get("involvedObject", {})
        of_pod = str(about.get("name", "")).startswith(f"pod-{view.name(pod)}-")
        if about.get("kind") == _WORKLOAD and of_pod and arrived.found.get("reason") == "Pending":
            return str(arrived.found.get("message") or "")
    return ""


def is_of_queue(event: Json, deployment: str) -> bool:
    """Whether an event may be Kueue's, about a pod of the deployment."""
    about = event.get("involvedObject", {})
    return about.get("kind") == _WORKLOAD and str(about.get("name", "")).startswith(f"pod-{deployment}-")
