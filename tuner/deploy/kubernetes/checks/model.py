"""The model as OME knows it, and whether OME mounts claims by itself."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.checks.look import look
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import BASE_MODEL, CLUSTER_BASE_MODEL
from tuner.deploy.kubernetes.wanted import Manifest

_MUST_NOT_NAME = "must not specify a namespace"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What the cluster tells of a model.

    Attributes:
        kind: BaseModel or ClusterBaseModel; "" where neither was seen.
        unseen: the rights that were missing, such as "get clusterbasemodels"; with any of them, a model that
            was not seen may yet be there.
        spec: of the object; {} where none was seen.
        status: the same.
    """

    kind: str = ""
    unseen: tuple[str, ...] = ()
    spec: Manifest | None = None
    status: Manifest | None = None

    @property
    def path(self) -> str | None:
        """Where OME mounts it from and to; None for a model without files on the nodes."""
        return self._storage.get("path")

    @property
    def uri(self) -> str:
        """Its storageUri."""
        return str(self._storage.get("storageUri") or "")

    @property
    def disabled(self) -> bool:
        """Whether OME refuses to serve it."""
        return bool((self.spec or {}).get("disabled"))

    @property
    def not_ready(self) -> tuple[str, str]:
        """(reason, message) of its condition Ready where that is False; empty ones else."""
        for one in (self.status or {}).get("conditions") or ():
            if one.get("type") == "Ready" and one.get("status") == "False":
                return str(one.get("reason") or ""), " ".join(str(one.get("message") or "").split())
        return "", ""

    @property
    def _storage(self) -> Manifest:
        storage: Manifest = (self.spec or {}).get("storage") or {}
        return storage


def known_model(cluster: Cluster, name: str) -> KnownModel:
    """The BaseModel of the namespace, which wins, else the ClusterBaseModel.

    Raises:
        ApiRefused, Unreachable: see `look`.
    """
    unseen: list[str] = []
    for resource in (BASE_MODEL, CLUSTER_BASE_MODEL):
        seen = look(cluster, resource, name)
        if seen.found:
            spec, status = (seen.found.get(part) or {} for part in ("spec", "status"))
            return KnownModel(resource.kind, tuple(unseen), spec, status)
        if seen.forbidden:
            unseen.append(f"get {resource.plural}")
    return KnownModel(unseen=tuple(unseen))


def mounts_itself(cluster: Cluster) -> bool | None:
    """Whether OME (1.2 and later) mounts `pvc://` models; None where it cannot be shown.

    It refuses a BaseModel whose claim names a namespace; 0.1.5 takes any text there. Nothing is stored.

    Raises:
        Unreachable: the API server does not answer.
    """
    body = {
        "apiVersion": BASE_MODEL.api_version,
        "kind": BASE_MODEL.kind,
        "metadata": {"generateName": "tuner-preflight-"},
        "spec": {"modelFormat": {"name": "safetensors"}, "storage": {"storageUri": "pvc://x:y/z"}},
    }
    try:
        cluster.create(BASE_MODEL, body, dry_run=True)
    except ApiRefused as refused:
        return True if _MUST_NOT_NAME in refused.said else None
    return False


def model_uri(kind: str, *, namespace: str, claim: str, subpath: str | None) -> str:
    """The storageUri by which OME 1.2 mounts this claim."""
    place = claim if kind == "BaseModel" else f"{namespace}:{claim}"
    return f"pvc://{place}/{subpath or ''}"
