"""A trial's own objects and its pod, sent as a dry run: what the API server and admission say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.checks.finding import Finding, fault, mistake, ok, warning
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.resources import of_manifest
from tuner.deploy.kubernetes.symptoms import shortened
from tuner.deploy.kubernetes.wanted import Mount

_POD = "pod of a trial"
_REMEDIES = (  # of what admission says of a pod, in the API server's words
    (
        "violates PodSecurity",
        "deploy.pod.security_context and deploy.pod.container_security_context as the namespace asks, "
        "or its label pod-security.kubernetes.io/enforce",
    ),
    ("must specify", "deploy.pod.resources, with what is named, for requests or limits"),
    ("usage per", "deploy.pod.resources within the namespace's LimitRange"),
    ("limit to request ratio", "deploy.pod.resources within the namespace's LimitRange"),
    ("error looking up service account", "a runtime, or deploy.pod.service_account, with one that is there"),
    ("no PriorityClass", "a runtime, or deploy.pod.priority_class, with one that is there"),
    ("RuntimeClass", "a runtime, or deploy.pod.runtime_class, with one that is there"),
)


def objects(site: Site, mount: Mount | None) -> Iterator[Finding]:
    """Whether the API server takes the first trial's objects, field by field; nothing is stored."""
    for manifest in site.objects(site.trial, mount=mount):
        subject = f"{manifest['kind']} of a trial"
        try:
            site.cluster.create(of_manifest(manifest), manifest, dry_run=True)
        except ApiRefused as refused:
            found = _refused(subject, refused)
            if found is not None:
                yield found
            continue
        yield ok(subject, "is taken as it is, shown by a dry run")


def pod(site: Site) -> Iterator[Finding]:
    """Whether admission lets the widest trial's pod in; nothing is stored."""
    admitted = site.admitted
    if isinstance(admitted, ApiRefused):
        found = _refused_pod(admitted)
        if found is not None:
            yield found
    elif admitted is not None:
        yield ok(_POD, "is admitted, shown by a dry run")


def _refused(subject: str, refused: ApiRefused) -> Finding | None:
    said = shortened(refused.said)
    if refused.of_webhook:
        return fault(subject, f"an admission webhook does not answer: {said}", "its pods ready")
    if refused.of_quota:  # the quota's own line says whether it passes
        return warning(subject, f"not taken at this moment: {said}", "to wait, or a larger quota")
    if refused.of_admission:
        return fault(subject, f"admission refuses it: {said}", "what it asks for, in deploy or its template")
    if refused.status in (400, 422):
        right = "deploy.template without it, or definitions of OME 0.1.5 or later"
        return mistake(subject, f"the API server does not take it: {said}", right)
    return None  # a right that is missing, or an object of that name: told elsewhere, or no obstacle


def _refused_pod(refused: ApiRefused) -> Finding | None:
    said = shortened(
        re.sub(r'^pods? "[^"]*" is (forbidden|invalid): ', "", refused.said, flags=re.IGNORECASE)
    )
    if refused.of_quota:
        return None
    for words, remedy in _REMEDIES:
        if words in refused.said:
            return mistake(_POD, f"it would be refused: {said}", remedy)
    if refused.of_webhook:
        return fault(_POD, f"an admission webhook does not answer: {said}", "its pods ready")
    if refused.of_admission:
        return fault(_POD, f"admission refuses it: {said}", "what it asks for, in deploy.pod")
    if refused.status == 422:
        return mistake(_POD, f"the API server does not take it: {said}", "deploy.pod as Kubernetes takes it")
    return None
