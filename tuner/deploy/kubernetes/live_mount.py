"""Looks at a live pod: whether the model's claim is mounted in it as it is to be. Pure.

Whoever mounts (a policy, a webhook, OME, the manifest itself), this is the last word: a trial served from a
wrong place would be measured, and believed.
"""

from __future__ import annotations

from typing import Any

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.wanted import Mount
from tuner.spec.model import Storage

Json = dict[str, Any]

MODEL_PATH = "MODEL_PATH"
_MODEL_LABEL = "models.ome.io/"


def wrong_mount(
    pod: Json, *, storage: Storage | None, subpath: str | None, mount: Mount | None, container: str
) -> str:
    """What is wrong with the pod, and what would be right, in one line; "" where nothing is.

    Args:
        subpath: of this trial, which may have one of its own.
        mount: None where the model comes from the node.
        container: the name of the one that serves; the pod's first where it has none of that name.
    """
    served = view.serving_container(pod, container)
    if storage is None or storage.type != "pvc" or mount is None:
        return _of_claim(pod, served)
    claim = storage.pvc_name or ""
    right = f"claim {claim} read-only at {mount.path}" + (f" with sub-path {subpath}" if subpath else "")
    found = _fault(pod, served, claim=claim, subpath=subpath or "", mount=mount)
    return f"pod {view.name(pod)}: {found}; would be right: {right}" if found else ""


def _fault(pod: Json, served: Json, *, claim: str, subpath: str, mount: Mount) -> str:
    volumes = {
        volume["name"]: volume["persistentVolumeClaim"]
        for volume in pod["spec"].get("volumes") or ()
        if volume.get("persistentVolumeClaim", {}).get("claimName") == claim
    }
    if not volumes:
        return f"claim {claim} is not among its volumes ({_volumes(pod)})"
    mounts = [m for m in served.get("volumeMounts") or () if m["name"] in volumes]
    at = next((m for m in mounts if m["mountPath"] == mount.path), None)
    if at is None:
        where = ", ".join(m["mountPath"] for m in mounts) or "nowhere"
        return f"claim {claim} is mounted in {served['name']} at {where}"
    said = _variable(served, MODEL_PATH)
    inside = said is None or said == mount.path or said.startswith(mount.path.rstrip("/") + "/")
    kept = [key for key in pod["spec"].get("nodeSelector") or {} if key.startswith(_MODEL_LABEL)]
    faults = (
        (not volumes[at["name"]].get("readOnly"), f"volume {at['name']} is writable"),
        (not at.get("readOnly"), f"the mount at {mount.path} is writable"),
        (
            (at.get("subPath") or "") != subpath or "subPathExpr" in at,
            f"the mount at {mount.path} has sub-path {at.get('subPathExpr') or at.get('subPath')!r}",
        ),
        (not inside, f"{MODEL_PATH} is {said or 'not a plain value'}"),
        (mount.annotate and bool(kept), f"its node selector still has {', '.join(kept)}"),
    )
    return next((text for wrong, text in faults if wrong), "")


def _of_claim(pod: Json, served: Json) -> str:
    """A model that is to come from the node comes from a claim."""
    claims = {
        volume["name"]: volume["persistentVolumeClaim"].get("claimName")
        for volume in pod["spec"].get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    }
    path = _variable(served, MODEL_PATH)
    for mount in served.get("volumeMounts") or ():
        at = str(mount["mountPath"])
        if path and mount["name"] in claims and (path == at or path.startswith(at.rstrip("/") + "/")):
            return (
                f"pod {view.name(pod)}: the model at {path} comes from claim {claims[mount['name']]}; "
                "would be right: from the node, as storage says"
            )
    return ""


def _variable(container: Json, name: str) -> str | None:
    """Its value, the last of several; "" for one that comes from elsewhere, None for none."""
    found = [one for one in container.get("env") or () if one["name"] == name]
    return str(found[-1].get("value", "")) if found else None


def _volumes(pod: Json) -> str:
    told = []
    for volume in pod["spec"].get("volumes") or ():
        kind = next((key for key in volume if key != "name"), "nothing")
        if not volume["name"].startswith("kube-api-access"):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            told.append(f"{volume['name']}: {kind}" + (f" {claim}" if claim else ""))
    return ", ".join(told) or "there are none"
