"""OME: its definitions, its version by what it does, and the model's storageUri as that version takes it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.checks.finding import Finding, fault, mistake, ok, warning
from tuner.deploy.kubernetes.checks.look import served
from tuner.deploy.kubernetes.checks.site import Site
from tuner.deploy.kubernetes.resources import (
    BASE_MODEL,
    CLUSTER_BASE_MODEL,
    CLUSTER_SERVING_RUNTIME,
    INFERENCE_SERVICE,
    POD_MONITOR,
    SERVING_RUNTIME,
)

_KINDS = (INFERENCE_SERVICE, SERVING_RUNTIME, CLUSTER_SERVING_RUNTIME, BASE_MODEL, CLUSTER_BASE_MODEL)
_ABSENT = "tuner-preflight-absent"
_CLAIM = re.compile(r"pvc://(?:(?P<namespace>[^/:]*):)?(?P<claim>[^/]*)/?(?P<subpath>.*)")
_OF_CLAIM = ("PVCNotFound", "PVCNotBound", "PVCInvalid", "PVCConfigMissing", "PVCMetadataExtractionFailed")


def ome(site: Site) -> Iterator[Finding]:
    """Whether the API server knows all of OME's kinds, and what OME does with claims."""
    known = served(site.cluster, INFERENCE_SERVICE)
    missing = [kind.plural for kind in _KINDS if known is not None and kind.plural not in known]
    if missing:
        yield fault(
            "OME",
            f"the API server knows no {', '.join(missing)}.ome.io in {INFERENCE_SERVICE.version}",
            "OME 0.1.5 or later, installed whole, or deploy.backend: kubernetes",
        )
        return
    version = _version(site)
    yield ok("OME", f"its kinds are known; {version}")
    if version.startswith("1.3") and POD_MONITOR.plural not in (served(site.cluster, POD_MONITOR) or ()):
        yield warning(
            "OME",
            "it is 1.3 or later, which as far as is known deploys nothing without the kind PodMonitor",
            "Prometheus operator's definition of podmonitors.monitoring.coreos.com",
        )


def storage_uri(site: Site) -> Iterator[Finding]:
    """Whether OME 1.2 and later take the model's storageUri, and what they say of its claim."""
    model, name = site.model, site.wanted.model.name
    match = _CLAIM.fullmatch(model.uri)
    if not match or not site.mounts_itself:
        return
    subject, short = f"model {name}", match["namespace"] is None
    claim, subpath = match["claim"], match["subpath"]
    storage = site.wanted.storage
    if not subpath:
        given = (storage.pvc_subpath if storage else None) or "FOLDER"
        text = f"its storageUri {model.uri} has no sub-path, and OME 1.2 asks for one"
        yield mistake(subject, text, f"storageUri: {model.uri.rstrip('/')}/{given}")
    elif model.kind == CLUSTER_BASE_MODEL.kind and short:
        text = f"its storageUri {model.uri} names no namespace, which OME 1.2 asks of a ClusterBaseModel"
        yield mistake(subject, text, f"storageUri: pvc://{site.cluster.namespace}:{claim}/{subpath}")
    elif model.kind == BASE_MODEL.kind and not short:
        text = f"its storageUri {model.uri} names a namespace, which OME 1.2 refuses of a BaseModel"
        yield mistake(subject, text, f"storageUri: pvc://{claim}/{subpath}")
    elif model.not_ready[0] in _OF_CLAIM:
        reason, said = model.not_ready
        remedy = f"the claim bound, with config.json in {subpath}; then `kubectl get {model.kind} {name}`"
        yield fault(subject, f"OME does not get it ready: {reason}: {said or 'no more is said'}", remedy)


def _version(site: Site) -> str:
    if site.mounts_itself is None:
        return "which version it is could not be shown"
    if not site.mounts_itself:
        return "0.1.5 to 1.1 by what it does: it leaves claims to admission"
    return f"{'1.3 or later' if _looks_at_creation(site) else '1.2'} by what it does: it mounts claims itself"


def _looks_at_creation(site: Site) -> bool:
    """Whether it refuses an InferenceService whose model is missing when it is created: 1.3 does."""
    named = {"name": _ABSENT}
    engine = {"minReplicas": 1, "maxReplicas": 1}
    body = {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {"generateName": "tuner-preflight-"},
        "spec": {"model": named, "runtime": named, "engine": engine},
    }
    try:
        site.cluster.create(INFERENCE_SERVICE, body, dry_run=True)
    except ApiRefused as refused:
        return refused.of_admission and "not found" in refused.said
    return False
