"""The API server, the namespace, the rights: what everything else rests on."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.checks.finding import Finding, fault, mistake, not_looked, ok, warning
from tuner.deploy.kubernetes.checks.look import look
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import NAMESPACE
from tuner.deploy.kubernetes.rights import Right, needed

ROLE = "kubectl apply -f cluster/rbac.yaml"
CLUSTER_ROLE = "kubectl apply -f cluster/rbac-optional.yaml"
_ENOUGH_SECONDS = 5.0
_CREDENTIALS = "credentials that the cluster knows, in KUBECONFIG"


def server(cluster: Cluster) -> Finding:
    """Whether the API server answers, and knows us."""
    try:
        version = cluster.server_version(seconds=_ENOUGH_SECONDS)
    except ApiRefused as refused:
        if refused.status == 403:
            return warning("API server", f"it answers, and does not tell its version: {refused.said}")
        return fault("API server", refused.said, _CREDENTIALS)
    try:
        cluster.may("get", NAMESPACE)  # the version is told to everybody
    except ApiRefused as refused:
        if refused.of_nobody:
            text = "it was asked without credentials; a plugin of the kubeconfig that fails gives none"
            return fault("API server", text, _CREDENTIALS)
    return ok("API server", f"Kubernetes {version}")


def namespace(cluster: Cluster) -> Finding:
    """Whether the trials' namespace is there, and to stay."""
    name = cluster.namespace
    subject = f"namespace {name}"
    seen = look(cluster, NAMESPACE, name)
    if seen.forbidden:
        return not_looked(subject, "get namespaces")
    if seen.found is None:
        return mistake(subject, "it is not there", f"kubectl create namespace {name}, or deploy.namespace")
    if seen.found["metadata"].get("deletionTimestamp"):
        return fault(subject, "it is being deleted", "another one, or to wait until it is gone")
    return ok(subject, "is there")


def rights(cluster: Cluster, backend: str) -> Iterator[Finding]:
    """Every verb that is used, as the API server answers for this account."""
    asked = needed(backend)
    missing = [(right, verbs) for right in asked if (verbs := _refused_verbs(cluster, right))]
    essential = [right for right in asked if right.essential]
    if all(any(right is one for one, _ in missing) for right in essential):
        where = f"rights in namespace {cluster.namespace}"
        yield fault(where, "this account lacks all of those that trials need", ROLE)
        missing = [(right, verbs) for right, verbs in missing if not right.essential]
    for right, verbs in missing:
        place = "everywhere" if right.everywhere else f"in namespace {cluster.namespace}"
        group = f".{right.resource.group}" if right.resource.group else ""
        subject = f"right to {', '.join(verbs)} {right.plural}{group} {place}"
        make = fault if right.essential else warning
        yield make(subject, f"not given, so {right.lost}", CLUSTER_ROLE if right.everywhere else ROLE)
    given = sum(len(right.verbs) for right in asked) - sum(len(verbs) for _, verbs in missing)
    if not missing:
        yield ok("rights", f"all {given} are given")


def _refused_verbs(cluster: Cluster, right: Right) -> list[str]:
    return [
        verb
        for verb in right.verbs
        if not cluster.may(verb, right.resource, part=right.part, everywhere=right.everywhere)
    ]
