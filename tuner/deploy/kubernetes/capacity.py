"""Accelerators on the nodes: how many are free, who waits for some, what no node could ever take. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.gates import held_back
from tuner.deploy.kubernetes.placement import labels_match, usable
from tuner.deploy.kubernetes.symptoms import shortened
from tuner.deploy.kubernetes.wanted import EXPERIMENT_ID

Json = dict[str, Any]


def quantity(given: object) -> Decimal:
    """A number in Kubernetes' notation: 8, "500m", "64Gi"."""
    found: Decimal = parse_quantity(given)  # type: ignore[no-untyped-call]
    return found


def requests(pod: Json) -> dict[str, Decimal]:
    """What a pod asks of its node: its containers together, or one of its init containers if that is more."""
    return _of_pod(pod, _asked)


def limits(pod: Json) -> dict[str, Decimal]:
    """What it may take at most, counted in the same way; what a container has no limit for is left out."""
    return _of_pod(pod, _limited)


def _of_pod(pod: Json, of: Callable[[Json], Mapping[str, Decimal]]) -> dict[str, Decimal]:
    together: dict[str, Decimal] = defaultdict(Decimal)
    most: dict[str, Decimal] = defaultdict(Decimal)
    for container in pod["spec"]["containers"]:
        for key, value in of(container).items():
            together[key] += value
    for container in pod["spec"].get("initContainers") or ():
        for key, value in of(container).items():
            if container.get("restartPolicy") == "Always":
                together[key] += value
            else:
                most[key] = max(most[key], value)
    return {key: max(together[key], most[key]) for key in {*together, *most}}


def free(nodes: Iterable[Json], pods: Iterable[Json], *, resource: str, ours: Callable[[Json], bool]) -> int:
    """Accelerators that trials may take: allocatable on nodes in use, less what others' pods hold."""
    left = {view.name(node): allocatable(node, resource) for node in nodes if usable(node)}
    for pod in pods:
        over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if view.node(pod) in left and not over and not ours(pod):
            left[view.node(pod)] -= requests(pod).get(resource, Decimal())
    return int(sum(max(value, Decimal()) for value in left.values()))


def too_large(pod: Json, nodes: Iterable[Json]) -> str:
    """Why no node of those it may use could take the pod even if it were empty; "" where one could."""
    asked = requests(pod)
    taking = [node for node in nodes if usable(node) and labels_match(node, pod["spec"])]
    for key, value in sorted(asked.items()):
        most = max((allocatable(node, key) for node in taking), default=Decimal())
        if taking and value > most:
            return f"it asks for {shown(value)} {key}, and no node has more than {shown(most)}"
    return ""


def at_once(asked: Mapping[str, Decimal], nodes: Iterable[Json]) -> int | None:
    """How many pods that ask for so much `nodes` take together while they are empty; None for any number."""
    limits = {key: value for key, value in asked.items() if value > 0}
    if not limits:
        return None
    return sum(min(int(allocatable(node, key) // value) for key, value in limits.items()) for node in nodes)


def allocatable(node: Json, resource: str) -> Decimal:
    """What of it the node has for pods."""
    return quantity((node.get("status", {}).get("allocatable") or {}).get(resource, 0))


def room_wanted(pods: Iterable[Json], resource: str) -> str:
    """Which pod waits for accelerators, and on what; "" for none."""
    for pod in pods:
        scheduled = view.condition(pod, "PodScheduled")
        message = str(scheduled.get("message", ""))
        gated = held_back(pod)
        waits = gated or _lacking(message, resource)
        if not view.node(pod) and not view.ending(pod) and waits:
            reasons = message.split(" preemption:", maxsplit=1)[0].split(" no new claims", maxsplit=1)[0]
            labels = pod["metadata"].get("labels") or {}
            name = labels.get(EXPERIMENT_ID, view.name(pod))
            return shortened(f"{name} waits {waits}" if gated else f"{name} waits {waits}: {reasons}")
    return ""


def _lacking(message: str, resource: str) -> str:
    """Which accelerators the scheduler finds too few of, behind "waits "; "" for none."""
    if f"Insufficient {resource}" in message:
        return f"for {resource}"
    return "for accelerators to claim" if "cannot allocate all claims" in message else ""


def _asked(container: Json) -> Mapping[str, Decimal]:
    resources = container.get("resources") or {}
    return {
        key: quantity(value)
        for key, value in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}.items()
    }


def _limited(container: Json) -> Mapping[str, Decimal]:
    given = (container.get("resources") or {}).get("limits") or {}
    return {key: quantity(value) for key, value in given.items()}


def shown(value: Decimal) -> str:
    """Without trailing noughts."""
    return f"{value.normalize():f}"


def amount(key: str, value: Decimal) -> str:
    """Of a resource or a quota's key, as a person writes it: 4, 512Mi, 1.5Gi."""
    if key.endswith(("memory", "storage")):
        for unit, size in (("Gi", 2**30), ("Mi", 2**20)):
            if value >= size:
                return f"{value / size:.4g}{unit}"
    return shown(value)
