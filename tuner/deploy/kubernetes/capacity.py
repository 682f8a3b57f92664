"""Accelerators on the nodes: how many are free, who waits for some, what no node could ever take. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.symptoms import shortened
from tuner.deploy.kubernetes.wanted import EXPERIMENT_ID

Json = dict[str, Any]


def quantity(given: object) -> Decimal:
    """A number in Kubernetes' notation: 8, "500m", "64Gi"."""
    found: Decimal = parse_quantity(given)  # type: ignore[no-untyped-call]
    return found


def requests(pod: Json) -> dict[str, Decimal]:
    """What a pod asks of its node: its containers together, or one of its init containers if that is more."""
    together: dict[str, Decimal] = defaultdict(Decimal)
    most: dict[str, Decimal] = defaultdict(Decimal)
    for container in pod["spec"]["containers"]:
        for key, value in _asked(container).items():
            together[key] += value
    for container in pod["spec"].get("initContainers") or ():
        for key, value in _asked(container).items():
            if container.get("restartPolicy") == "Always":
                together[key] += value
            else:
                most[key] = max(most[key], value)
    return {key: max(together[key], most[key]) for key in {*together, *most}}


def free(nodes: Iterable[Json], pods: Iterable[Json], *, resource: str, ours: Callable[[Json], bool]) -> int:
    """Accelerators that trials may take: allocatable on nodes in use, less what others' pods hold."""
    left = {view.name(node): _allocatable(node, resource) for node in nodes if _usable(node)}
    for pod in pods:
        over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if view.node(pod) in left and not over and not ours(pod):
            left[view.node(pod)] -= requests(pod).get(resource, Decimal())
    return int(sum(max(value, Decimal()) for value in left.values()))


def too_large(pod: Json, nodes: Iterable[Json]) -> str:
    """Why no node could take the pod even if it were empty, in one line; "" where one could."""
    asked = requests(pod)
    usable = [node for node in nodes if _usable(node)]
    for key, value in sorted(asked.items()):
        most = max((_allocatable(node, key) for node in usable), default=Decimal())
        if usable and value > most:
            return f"it asks for {_text(value)} {key}, and no node has more than {_text(most)}"
    return ""


def room_wanted(pods: Iterable[Json], resource: str) -> str:
    """Which pod waits for accelerators, and on what; "" for none."""
    for pod in pods:
        scheduled = view.condition(pod, "PodScheduled")
        message = str(scheduled.get("message", ""))
        gated = scheduled.get("reason") == "SchedulingGated"
        if not view.node(pod) and not view.ending(pod) and (gated or f"Insufficient {resource}" in message):
            waits = "to be admitted to its queue" if gated else f"for {resource}"
            reasons = message.split(" preemption:", maxsplit=1)[0].split(" no new claims", maxsplit=1)[0]
            labels = pod["metadata"].get("labels") or {}
            name = labels.get(EXPERIMENT_ID, view.name(pod))
            return shortened(f"{name} waits {waits}: {reasons}".rstrip(": "))
    return ""


def _asked(container: Json) -> Mapping[str, Decimal]:
    resources = container.get("resources") or {}
    return {
        key: quantity(value)
        for key, value in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}.items()
    }


def _allocatable(node: Json, resource: str) -> Decimal:
    return quantity((node.get("status", {}).get("allocatable") or {}).get(resource, 0))


def _usable(node: Json) -> bool:
    return view.holds(node, "Ready") and not node["spec"].get("unschedulable")


def _text(value: Decimal) -> str:
    return f"{value.normalize():f}"
