"""Finds the nodes on which earlier attempts of a deployment had trouble, by the events left of them."""

from __future__ import annotations

import re

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import EVENT
from tuner.trial.ports import TrialConfig

_OF_NODE = {"Failed", "FailedMount", "FailedCreatePodSandBox", "Evicted", "NodeNotReady"}


def failed_nodes(cluster: Cluster, trial: TrialConfig) -> tuple[str, ...]:
    """Nodes on which earlier attempts of this deployment had trouble; none where that may not be asked."""
    stem = re.sub(r"\d+$", "", trial.name)
    names = re.compile(rf"{re.escape(stem)}(\d+)-")
    try:
        events = cluster.list(EVENT, fields="type=Warning,involvedObject.kind=Pod")["items"]
    except (ApiRefused, Unreachable):
        return ()
    nodes = set()
    for event in events:
        match = names.match(str(event["involvedObject"].get("name", "")))
        host = (event.get("source") or {}).get("host")
        if host and match and int(match[1]) < trial.attempt and event.get("reason") in _OF_NODE:
            nodes.add(str(host))
    return tuple(sorted(nodes))
