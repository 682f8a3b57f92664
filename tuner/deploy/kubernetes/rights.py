"""Every right on the API server that the tuner uses, and what for: the one list.

`cluster/rbac.yaml` and `cluster/rbac-optional.yaml` grant exactly these; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tuner.deploy.kubernetes import resources as known
from tuner.deploy.kubernetes.resources import Resource

SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")
STORAGE_CLASS = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
PRIORITY_CLASS = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False)

_OME = ("ome",)
_PLAIN = ("kubernetes",)


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one kind of object, and what they are for.

    Attributes:
        lost: what is not without it.
        part: the subresource; "" for the object itself.
        backends: those of `deploy.backend` that use it.
        everywhere: on the whole cluster; else in the trials' namespace.
        essential: without it trials cannot run; else only a check goes without.
    """

    resource: Resource
    verbs: tuple[str, ...]
    lost: str
    part: str = ""
    backends: tuple[str, ...] = field(default=(*_OME, *_PLAIN), kw_only=True)
    everywhere: bool = field(default=False, kw_only=True)
    essential: bool = field(default=True, kw_only=True)

    @property
    def plural(self) -> str:
        """As a Role names it: pods/log."""
        return "/".join(word for word in (self.resource.plural, self.part) if word)


def _check(
    resource: Resource, verb: str, lost: str, *, backends: tuple[str, ...] = (*_OME, *_PLAIN)
) -> Right:
    return Right(
        resource, (verb,), lost, backends=backends, everywhere=not resource.namespaced, essential=False
    )


_WATCH = ("get", "list", "watch")
RIGHTS = (
    Right(known.INFERENCE_SERVICE, ("create", "delete", *_WATCH), "no trial is deployed", backends=_OME),
    Right(known.DEPLOYMENT, ("create", "delete"), "no trial is deployed", backends=_PLAIN),
    Right(known.SERVICE, ("create", "delete", "list"), "no trial is reached", backends=_PLAIN),
    Right(known.DEPLOYMENT, _WATCH, "a refused pod is not seen"),
    Right(known.POD, _WATCH, "no failure is seen"),
    Right(known.POD, ("get",), "a failure has no log tail", "log"),
    Right(known.EVENT, ("list", "watch"), "a refusal is not seen"),
    Right(known.SERVICE, ("get",), "the address of a trial is not found"),
    Right(
        known.LEASE,
        ("create", "delete", "get", "list", "update"),
        "what a dead driver left is not told from what a live one holds",
    ),
    _check(known.RAY_CLUSTER, "get", "trials do not go with the RayCluster that the driver runs in"),
    _check(known.CLAIM, "get", "the claim is not looked at"),
    _check(SERVICE_ACCOUNT, "get", "deploy.pod's service account is not looked at"),
    _check(known.POD, "create", "no dry run shows that the claim gets mounted, and no pod lists its files"),
    _check(known.POD, "delete", "no pod lists the model's files: it could not be taken away again"),
    _check(known.RESOURCE_QUOTA, "list", "a quota that allows too little is not seen"),
    _check(known.BASE_MODEL, "get", "a model of the namespace is not found", backends=_OME),
    _check(known.BASE_MODEL, "create", "no dry run shows whether OME mounts claims itself", backends=_OME),
    _check(known.SERVING_RUNTIME, "get", "a runtime of the namespace is not found", backends=_OME),
    _check(known.CLUSTER_BASE_MODEL, "get", "a missing model is not noticed", backends=_OME),
    _check(known.CLUSTER_SERVING_RUNTIME, "get", "the runtime's own flags are not known", backends=_OME),
    _check(known.NODE, "list", "free accelerators and the model's node labels are not seen"),
    Right(
        known.POD,
        ("list",),
        "accelerators that other namespaces hold are not counted",
        everywhere=True,
        essential=False,
    ),
    _check(known.VOLUME, "get", "a volume that nodes with accelerators do not reach is not seen"),
    _check(STORAGE_CLASS, "get", "a claim that waits for its first consumer looks like one that never binds"),
    _check(PRIORITY_CLASS, "get", "deploy.pod's priority class is not looked at"),
)
# `get` of the own namespace is in the Role too, and seen to be there by looking at the namespace.
NAMESPACE_VERBS = ("get",)


def needed(backend: str) -> tuple[Right, ...]:
    """The rights that `deploy.backend` uses, those on Secrets apart: these are given by name."""
    return tuple(right for right in RIGHTS if backend in right.backends)


def granted(*, everywhere: bool) -> Iterator[tuple[str, str, str]]:
    """(group, resource, verb) of all that the Role, or the ClusterRole, has to grant."""
    for right in RIGHTS:
        if right.everywhere == everywhere:
            for verb in right.verbs:
                yield right.resource.group, right.plural, verb
    if not everywhere:
        for verb in NAMESPACE_VERBS:
            yield known.NAMESPACE.group, known.NAMESPACE.plural, verb
