"""A look at objects, which may also not be there or not be ours to see."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import Resource
from tuner.deploy.kubernetes.wanted import Manifest


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look gave.

    Attributes:
        found: the object; None where there is none, or where it may not be seen.
        forbidden: the account may not look.
    """

    found: Manifest | None = None
    forbidden: bool = False


def look(cluster: Cluster, resource: Resource, name: str) -> Seen:
    """Get one object of the cluster's namespace, or of the whole cluster.

    Raises:
        ApiRefused, Unreachable: for another reason than that it is not there or not to be seen.
    """
    try:
        return Seen(found=cluster.get(resource, name))
    except ApiRefused as refused:
        if refused.status == 403:
            return Seen(forbidden=True)
        raise


def listed(cluster: Cluster, resource: Resource, *, everywhere: bool = False) -> list[Manifest] | None:
    """All of a kind; None where they may not be listed."""
    try:
        found: list[Manifest] = cluster.list(resource, everywhere=everywhere)["items"]
    except ApiRefused as refused:
        if refused.status == 403:
            return None
        raise
    return found


def served(cluster: Cluster, like: Resource) -> frozenset[str] | None:
    """Plurals of all kinds that the API server knows of the group and version; None where it does not say."""
    try:
        found = cluster.list(replace(like, plural="", namespaced=False))
    except ApiRefused as refused:
        if refused.status in (403, 404):
            return frozenset() if refused.status == 404 else None
        raise
    return frozenset(each["name"] for each in found["resources"])
