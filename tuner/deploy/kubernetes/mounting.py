"""`storage.mount` settled: which way this cluster mounts the claim, shown where it can be shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tuner.deploy.kubernetes.checks import ways
from tuner.deploy.kubernetes.checks.finding import Finding, ok
from tuner.deploy.kubernetes.checks.ways import NotHere, Place
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.wanted import Mount, Wanted, Way
from tuner.errors import WorldError
from tuner.spec.cluster_checks import SUBPATH
from tuner.trial.ports import ParamValue


@dataclass(frozen=True, slots=True)
class Settled:
    """The mount, and what was seen on the way to it."""

    mount: Mount | None
    notes: tuple[Finding, ...] = ()


def settle(cluster: Cluster, wanted: Wanted, *, places: Mapping[str, ParamValue]) -> Settled:
    """The way in which the claim gets into the pods; no mount where the model comes from the nodes.

    Args:
        places: of the configuration that is looked at; the sub-path may be among them.

    Raises:
        WorldError: the cluster does not mount it; one line with what to apply.
        ApiRefused, Unreachable: see `Cluster`.
    """
    storage = wanted.storage
    if storage is None or storage.type != "pvc":
        return Settled(None)
    if wanted.deploy.backend != "ome":  # the Deployment has the mount itself
        path = storage.mount_path or f"/raid/models/{wanted.model.name}"
        note = ok(f"mount of {storage.pvc_name}", f"in the Deployment itself, at {path}")
        return Settled(Mount(Way.INLINE, path, annotate=False), (note,))
    place = Place(
        cluster=cluster,
        wanted=wanted,
        storage=storage,
        subpath=str(places.get(SUBPATH) or storage.pvc_subpath or "") or None,
        tuned=SUBPATH in places,
    )
    mount = _first(place) if storage.mount == "auto" else _asked(place, Way(storage.mount))
    return Settled(mount, tuple(place.notes))


def _asked(place: Place, way: Way) -> Mount:
    match way:
        case Way.NATIVE:
            return ways.native(place, asked=True)
        case Way.INLINE:
            return ways.inline(place)
        case Way.EXTERNAL:
            return ways.external(place)
        case Way.POLICY | Way.WEBHOOK:
            return ways.at_admission(place, way)


def _first(place: Place) -> Mount:
    """The first of admission, native and inline that the cluster has.

    Raises:
        WorldError: none, or one that was meant to work and does not.
    """
    missed: list[NotHere] = []
    _ = place.path  # what is noted of it stays, whichever way is taken
    attempts: tuple[Callable[[], Mount], ...] = (
        lambda: ways.at_admission(place, None),
        lambda: ways.native(place, asked=False),
        lambda: ways.inline(place),
    )
    for attempt in attempts:
        kept = len(place.notes)
        try:
            return attempt()
        except NotHere as reason:
            if reason.final:
                raise
            del place.notes[kept:]
            missed.append(reason)
    reasons = "; ".join(reason.text for reason in missed)
    raise WorldError(
        f"nothing mounts claim {place.claim} in namespace {place.namespace}: {reasons}; "
        f"would be right: {missed[0].remedy}"
    )
