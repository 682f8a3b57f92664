"""Remembers on a run's Lease which node has read which model files: the first start there is a cold one."""

from __future__ import annotations

import json

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import LEASE
from tuner.deploy.kubernetes.run_lease import lease_name

READ_BY = "autotuner.io/read-by"
_TRIES = 5  # other actors and the driver write to the same Lease


def first_on_node(cluster: Cluster, run: str, *, node: str, files: str) -> bool | None:
    """Whether this run has read `files` on `node` for the first time; remembers it.

    Two that start there together are both the first. None where there is no Lease, or it may not be written.
    """
    key = f"{node}:{files}"
    for _ in range(_TRIES):
        try:
            lease = cluster.get(LEASE, lease_name(run))
            if lease is None:
                return None
            annotations = lease["metadata"].setdefault("annotations", {})
            known = json.loads(annotations.get(READ_BY, "[]"))
            if key in known:
                return False
            annotations[READ_BY] = json.dumps([*known, key])
            cluster.replace(LEASE, lease)
            return True
        except ApiRefused as refused:
            if refused.status != 409:
                return None
        except Unreachable:
            return None
    return None
