"""What an experiment names and a cluster has to have: runtime, model, Secrets, accounts, classes."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.deploy.kubernetes.checks.finding import Finding, fault, mistake, not_looked, ok, warning
from tuner.deploy.kubernetes.checks.look import look
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import SECRET, Resource
from tuner.deploy.kubernetes.rights import PRIORITY_CLASS, SERVICE_ACCOUNT
from tuner.deploy.kubernetes.wanted import Wanted
from tuner.spec.pod import EnvSecret, SecretKey

_BY_NAME = "cluster/rbac-secrets.yaml with its name"


def model(site: Site) -> Finding:
    """Whether OME knows the model: 0.1.5 gives no sign at all of one that is missing."""
    cluster, wanted, known = site.cluster, site.wanted, site.model
    name = wanted.model.name
    subject = f"model {name}"
    if not known.kind and known.unseen:
        return not_looked(subject, " and ".join(known.unseen))
    if not known.kind:
        return mistake(
            subject,
            f"there is no ClusterBaseModel of that name, and no BaseModel in namespace {cluster.namespace}",
            "model.name of one, or what `tuner render SPEC` prints for an operator to apply",
        )
    if known.disabled:
        return mistake(subject, f"the {known.kind} is disabled", "spec.disabled: false")
    if known.kind != wanted.model.kind:
        text = f"it is a {known.kind}, and model.kind says {wanted.model.kind}"
        return warning(subject, text, f"model.kind: {known.kind}")
    return ok(subject, f"is a {known.kind}")


def secrets(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """Secrets that the deployment or the load refers to."""
    deploy = wanted.deploy
    given: list[tuple[str, SecretKey | None]] = [("deploy.token", deploy.token), ("deploy.tls", deploy.tls)]
    given += [(f"deploy.env_secrets.{name}", one) for name, one in (deploy.env_secrets or {}).items()]
    for key, reference in given:
        if reference is None:
            continue
        subject = f"Secret {reference.secret}"
        seen = look(cluster, SECRET, reference.secret)
        if seen.forbidden and isinstance(reference, EnvSecret):  # the kubelet reads it, not the tuner
            yield not_looked(subject, f"get secrets {reference.secret}")
        elif seen.forbidden:
            yield fault(subject, f"the right to get it is not given, and {key} refers to it", _BY_NAME)
        elif seen.found is None:
            yield mistake(
                subject, f"it is not in namespace {cluster.namespace}", f"{key}.secret of one there"
            )
        elif reference.key not in (seen.found.get("data") or {}):
            entries = ", ".join(seen.found.get("data") or {}) or "nothing"
            yield mistake(subject, f"it has {entries} and no {reference.key}", f"{key}.key of one of them")
        else:
            yield ok(subject, f"has {reference.key}")
    for name in deploy.pod.image_pull_secrets:
        seen = look(cluster, SECRET, name)
        if seen.forbidden:
            yield not_looked(f"Secret {name}", f"get secrets {name}")
        elif seen.found is None:  # a pod starts without it where the image can be had
            text = f"it is not in namespace {cluster.namespace}; images that need it are not pulled"
            yield warning(f"Secret {name}", text, "deploy.pod.image_pull_secrets of Secrets there")


def accounts_and_classes(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """The service account and the priority class of the pods, where they are named."""
    pod = wanted.deploy.pod
    named: tuple[tuple[str, Resource, str | None], ...] = (
        ("service_account", SERVICE_ACCOUNT, pod.service_account),
        ("priority_class", PRIORITY_CLASS, pod.priority_class),
    )
    for key, resource, name in named:
        if name is None:
            continue
        subject = f"{resource.kind} {name}"
        seen = look(cluster, resource, name)
        if seen.forbidden:
            yield not_looked(subject, f"get {resource.plural}")
        elif seen.found is None:
            where = f"namespace {cluster.namespace}" if resource.namespaced else "this cluster"
            yield mistake(subject, f"it is not in {where}", f"deploy.pod.{key} of one there")
        else:
            yield ok(subject, "is there")
