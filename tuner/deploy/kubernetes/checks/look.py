"""A look at one object, which may also not be there or not be ours to see."""

from __future__ import annotations

from dataclasses import dataclass

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
