"""Whether admission mounts the claim, shown by dry-run pods: the objects' existence proves nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.live_mount import wrong_mount
from tuner.deploy.kubernetes.resources import POD
from tuner.deploy.kubernetes.runtime import CONTAINER
from tuner.deploy.kubernetes.wanted import Manifest, Mount, Way
from tuner.spec.annotations import PVC_NAME
from tuner.spec.annotations import annotations as storage_annotations
from tuner.spec.model import Storage

GUARD = "ome-pvc-guard"
_MOUNTER = "ome-pvc-mount"  # the policy and the webhook; the webhook refuses in the guard's words
_MODEL_NAME = "ome.io/base-model-name"
_VOLUME_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_STAYS_HOSTPATH = ("is still a hostPath", "is not mounted in the engine container")


class Outcome(Enum):
    """What became of an annotated pod."""

    MOUNTED = auto()
    UNTOUCHED = auto()  # it came back as it was sent: it would serve from the node
    GUARDED = auto()  # nothing mounted the claim, and the guard refused the pod for it
    WRONG = auto()  # the claim is in it, and not as asked
    UNREACHABLE = auto()  # a webhook does not answer, and its failurePolicy refuses the pod
    WRONG_ANNOTATIONS = auto()  # refused by what mounts, or by the guard, for what they say
    REFUSED = auto()  # by something else, or for want of the right to create pods


@dataclass(frozen=True, slots=True)
class Shown:
    """What the dry run gave; `words` are the server's, or what is wrong, one line."""

    outcome: Outcome
    words: str = ""


def annotated_pod(cluster: Cluster, storage: Storage, *, model: str, subpath: str | None, path: str) -> Shown:
    """What admission makes of a pod as OME would make it.

    Args:
        model: OME's name of it.
        subpath: of the configuration that is looked at.
        path: where the model is to be in the container.

    Raises:
        Unreachable: the API server does not answer.
    """
    written = storage_annotations(storage, pvc_subpath=subpath)
    try:
        pod = cluster.create(POD, _ome_pod(written, model=model, path=path), dry_run=True)
    except ApiRefused as refused:
        return Shown(_why(refused), refused.said)
    volumes = pod["spec"].get("volumes", [])
    if not any(v.get("persistentVolumeClaim", {}).get("claimName") == storage.pvc_name for v in volumes):
        return Shown(Outcome.UNTOUCHED, "the pod kept the node's path")
    mount = Mount(Way.POLICY, path, annotate=True)
    wrong = wrong_mount(pod, storage=storage, subpath=subpath, mount=mount, container=CONTAINER)
    return Shown(Outcome.WRONG, wrong) if wrong else Shown(Outcome.MOUNTED)


def guards(cluster: Cluster) -> bool | None:
    """Whether the guard refuses a wrongly annotated pod; None where it cannot be shown.

    The pod names a claim and no storage type: what mounts leaves such a pod alone, so that a refusal is
    the guard's own.
    """
    pod = _pod({PVC_NAME: "preflight"})
    try:
        cluster.create(POD, pod, dry_run=True)
    except ApiRefused as refused:
        return True if GUARD in refused.said else None
    return False


def _why(refused: ApiRefused) -> Outcome:
    message = refused.said
    if refused.of_webhook:
        return Outcome.UNREACHABLE
    if GUARD in message and any(words in message for words in _STAYS_HOSTPATH):
        return Outcome.GUARDED
    if "violates PodSecurity" in message and "hostPath" in message:
        return Outcome.UNTOUCHED
    if GUARD in message or _MOUNTER in message:
        return Outcome.WRONG_ANNOTATIONS
    return Outcome.REFUSED


def _ome_pod(written: dict[str, str], *, model: str, path: str) -> Manifest:
    pod = _pod({_MODEL_NAME: model, **written})
    pod["spec"]["nodeSelector"] = {"models.ome.io/clusterbasemodel.preflight": "Ready"}
    if _VOLUME_NAME.fullmatch(model):  # OME itself gets no pod past a name with dots in it
        container = pod["spec"]["containers"][0]
        pod["spec"]["volumes"] = [{"name": model, "hostPath": {"path": path, "type": ""}}]
        container["volumeMounts"] = [{"name": model, "mountPath": path, "readOnly": True}]
        container["env"] = [{"name": "MODEL_PATH", "value": path}]
    return pod


def _pod(written: dict[str, str]) -> Manifest:
    """A pod that any quota and any pod security standard lets through."""
    amounts = {"cpu": "10m", "memory": "16Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "tuner-preflight-", "annotations": written},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": CONTAINER,
                    "image": "preflight",
                    "resources": {"requests": dict(amounts), "limits": dict(amounts)},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "runAsNonRoot": True,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                }
            ],
        },
    }
