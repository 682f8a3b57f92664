"""The claim that holds the model: there, bound or waiting for its first pod, and mountable as asked."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.deploy.kubernetes.checks.finding import Finding, fault, mistake, not_looked, ok, warning
from tuner.deploy.kubernetes.checks.look import look
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.rights import STORAGE_CLASS
from tuner.deploy.kubernetes.wanted import Manifest

_MANY_NODES = ("ReadOnlyMany", "ReadWriteMany")
_ONE_POD = "ReadWriteOncePod"


def claim(site: Site) -> Iterator[Finding]:
    """What is to be said of the claim; nothing where the model comes from the nodes."""
    cluster, wanted = site.cluster, site.wanted
    if wanted.storage is None or wanted.storage.pvc_name is None:
        return
    name, stands = wanted.storage.pvc_name, wanted.model.namespace
    subject = f"claim {name}"
    if stands and stands != cluster.namespace:
        yield mistake(
            subject,
            f"model.namespace says {stands}, and trials run in {cluster.namespace}; a pod mounts claims of "
            "its own namespace only",
            f"deploy.namespace: {stands}",
        )
        return
    seen = site.claim
    if seen.forbidden:
        yield not_looked(subject, "get persistentvolumeclaims")
        return
    if seen.found is None:
        yield mistake(
            subject,
            f"it is not in namespace {cluster.namespace}",
            "storage.pvc_name of a claim there, with the model's files in it",
        )
        return
    yield _bound(cluster, subject, seen.found)
    yield from _modes(site, subject, seen.found)


def _bound(cluster: Cluster, subject: str, found: Manifest) -> Finding:
    phase = found.get("status", {}).get("phase", "Pending")
    if found["metadata"].get("deletionTimestamp"):
        return fault(subject, "it is being deleted", "a claim that stays")
    if phase == "Bound":
        return ok(subject, "is bound")
    if phase != "Pending":
        return fault(subject, f"it is {phase}: its volume is gone", "a bound claim")
    return _pending(cluster, subject, found)


def _pending(cluster: Cluster, subject: str, found: Manifest) -> Finding:
    class_name = found["spec"].get("storageClassName") or ""
    remedy = f"kubectl describe pvc {found['metadata']['name']} -n {cluster.namespace} says what it waits for"
    if not class_name:
        return fault(subject, "it is Pending: no volume fits it", remedy)
    seen = look(cluster, STORAGE_CLASS, class_name)
    if seen.forbidden:
        text = f"it is Pending; the right to get {STORAGE_CLASS.plural} is not given, which would tell why"
        return warning(subject, text, remedy)
    if (seen.found or {}).get("volumeBindingMode") == "WaitForFirstConsumer":
        return ok(subject, "waits for its first pod")
    return fault(subject, f"it is Pending: storage class {class_name} gave it no volume", remedy)


def _modes(site: Site, subject: str, found: Manifest) -> Iterator[Finding]:
    modes = found.get("status", {}).get("accessModes") or found["spec"].get("accessModes") or []
    if any(mode in _MANY_NODES for mode in modes):
        yield ok(subject, f"{', '.join(modes)}: any node mounts it")
    elif "ReadWriteOnce" in modes:
        yield _on_one_node(site, subject)
    elif _ONE_POD in modes:
        yield mistake(
            subject,
            f"{_ONE_POD}: one pod at a time mounts it, and a trial would wait for the last one's end",
            "a claim that is ReadOnlyMany or ReadWriteMany, or ReadWriteOnce for trials on one node",
        )


def _on_one_node(site: Site, subject: str) -> Finding:
    text = "ReadWriteOnce: the pods of one node mount it at a time"
    if site.nodes is None:
        remedy = "one node only, else ReadOnlyMany or ReadWriteMany"
        return warning(subject, f"{text}; how many there are was not checked: no right to list nodes", remedy)
    if len(site.places) <= 1:
        return ok(subject, f"{text}, and trials have one node only")
    return warning(
        subject,
        f"{text}, so trials wait for each other on the {len(site.places)} nodes that they may run on",
        "ReadOnlyMany or ReadWriteMany, or one node by deploy.pod.node_selector",
    )
