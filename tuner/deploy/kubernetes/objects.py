"""Finds and removes what the tuner made in a namespace, by its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import DEPLOYMENT, INFERENCE_SERVICE, POD, SERVICE, Resource
from tuner.deploy.kubernetes.wanted import DRIVER, EXPERIMENT_ID, RUN

Json = dict[str, Any]

EVERY_KIND = (INFERENCE_SERVICE, DEPLOYMENT, SERVICE)  # owners before what they make


@dataclass(frozen=True, slots=True)
class Made:
    """An object of a deployment.

    Attributes:
        driver: who made it.
        created: Unix time.
        going: whether it is being deleted already.
    """

    resource: Resource
    name: str
    run: str
    driver: str
    created: float
    going: bool


def made_by_tuner(cluster: Cluster, *, run: str | None = None) -> Iterator[Made]:
    """What was created for trials, of one run or of all; not what controllers made of it.

    Kinds that the cluster does not have, or that may not be listed, are left out.

    Raises:
        Unreachable: the API server does not answer.
    """
    for resource in EVERY_KIND:
        try:
            found = cluster.list(resource, labels=RUN if run is None else f"{RUN}={run}")["items"]
        except ApiRefused as refused:
            if refused.status in (403, 404):
                continue
            raise
        yield from (_made(resource, item) for item in found if not _controlled(item))


def remove(
    cluster: Cluster, found: Iterable[Made], *, done: Callable[[Made], None] = lambda made: None
) -> None:
    """Have them deleted; waits for nothing."""
    for made in found:
        if not made.going and cluster.delete(made.resource, made.name):
            done(made)


def anything_left(cluster: Cluster, made: Iterable[Resource], name: str, *, doomed: bool) -> bool:
    """Whether an object or a pod of a deployment is still there, owners looked at before what they make.

    Args:
        made: the kinds that were created for it.
        doomed: it is to go: what is not going yet is deleted once more.
    """
    for resource in made:
        if found := cluster.get(resource, name):
            if doomed and not view.ending(found):  # deleting it failed
                cluster.delete(resource, name)
            return True
    labels = f"{EXPERIMENT_ID}={name}"
    return any(cluster.list(resource, labels=labels, limit=1)["items"] for resource in (DEPLOYMENT, POD))


def unix_time(text: str) -> float:
    """Of a timestamp as the API writes it."""
    return datetime.fromisoformat(text).timestamp()


def _made(resource: Resource, item: Json) -> Made:
    metadata = item["metadata"]
    labels = metadata.get("labels") or {}
    return Made(
        resource=resource,
        name=metadata["name"],
        run=labels.get(RUN, ""),
        driver=labels.get(DRIVER, ""),
        created=unix_time(metadata["creationTimestamp"]),
        going=view.ending(item),
    )


def _controlled(item: Json) -> bool:
    """Whether some controller made it; it goes with its owner, and would come back without that."""
    return any(owner.get("controller") for owner in item["metadata"].get("ownerReferences") or ())
