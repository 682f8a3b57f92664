"""A short-lived pod that reads the claim as the engine will: its image, user and nodes. It lists and goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.objects import unix_time
from tuner.deploy.kubernetes.resources import EVENT, POD
from tuner.deploy.kubernetes.symptoms import Symptom, of_event, of_scheduler, of_start, of_waiting, shortened
from tuner.deploy.kubernetes.wanted import MANAGED, Manifest
from tuner.errors import FailureClass

READS = "autotuner.io/reads"  # the label of such pods
CONTAINER = "reader"
WAIT_SECONDS = 60.0
_DEADLINE_SECONDS = 120  # of the pod itself, should whoever made it be killed
_POLL_SECONDS = 0.25
_EVENT_SECONDS = 3.0  # between looks at what the kubelet says of its mounts
_IMAGE_SECONDS = 8.0  # a registry may fail once
_OLD_SECONDS = 300.0
_HELD = "Multi-Attach"  # by a pod on another node, or not yet given back by the last one
_AT = "/tuner-claim"
_MODEL_LABEL = "models.ome.io/"
_KEPT = (
    *("imagePullSecrets", "priorityClassName", "runtimeClassName", "securityContext", "serviceAccountName"),
    *("nodeSelector", "tolerations"),
)


@dataclass(frozen=True, slots=True)
class Read:
    """What came of it.

    Attributes:
        text: what the pod wrote; "" where it wrote nothing.
        symptom: why not, where a trial's pod would meet the same.
        unread: why not, where nothing is known; one line.
    """

    text: str = ""
    symptom: Symptom | None = None
    unread: str = ""


def reader(pod: Manifest, *, claim: str, places: Sequence[str], nodes: Sequence[str], gpu: str) -> Manifest:
    """The pod that lists `places` of a claim, made from a trial's.

    Args:
        pod: of a trial.
        nodes: names of those that trials may run on; where there are many, it goes where the scheduler likes.
        gpu: the accelerators' resource: nodes with some are often tainted by that name.
    """
    spec = pod["spec"]
    engine = spec["containers"][0]
    claimed = {v["name"] for v in spec.get("volumes") or () if v.get("persistentVolumeClaim")}
    mounts = [m for m in engine.get("volumeMounts") or () if m["name"] not in claimed]
    used = {mount["name"] for mount in mounts}
    volumes = [v for v in spec.get("volumes") or () if v["name"] in used]
    amounts = {"cpu": "100m", "memory": "128Mi"}
    script = files("tuner.deploy.kubernetes.checks").joinpath("list_model.sh").read_text()
    made = {
        "name": CONTAINER,
        "image": engine["image"],
        "command": ["/bin/sh", "-c", script, "list-model", _AT, *(places or (".",))],
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, {"name": "tuner-reads", "mountPath": _AT, "readOnly": True}],
    }
    made |= {key: engine[key] for key in ("imagePullPolicy", "securityContext") if key in engine}
    kept = {key: spec[key] for key in _KEPT if spec.get(key)}
    selector = {k: v for k, v in kept.pop("nodeSelector", {}).items() if not k.startswith(_MODEL_LABEL)}
    tolerated = [*kept.pop("tolerations", ()), {"key": gpu, "operator": "Exists"}]
    own = {"name": "tuner-reads", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {
            "generateName": "tuner-reads-",
            "labels": {READS: "model", **MANAGED},
            "annotations": {"sidecar.istio.io/inject": "false"},
        },
        "spec": {
            **kept,
            "nodeSelector": selector,
            "tolerations": tolerated,
            **({"affinity": _on_one_of(nodes)} if 0 < len(nodes) <= 100 else {}),
            "containers": [made],
            "volumes": [*volumes, own],
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _DEADLINE_SECONDS,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
        },
    }


def read(
    cluster: Cluster,
    manifest: Manifest,
    *,
    now: Callable[[], float],
    sleep: Callable[[float], None],
    wall: Callable[[], float] = time.time,
) -> Read:
    """Have the pod run to its end, for a minute at most, and take it away whatever happens.

    Args:
        now: a monotonic clock, in seconds.
        wall: Unix time: those of checks that were killed long ago are taken away too.

    Raises:
        Unreachable: the API server does not answer.
    """
    _sweep(cluster, wall())
    try:
        name = view.name(cluster.create(POD, manifest, strict=False))
    except ApiRefused as refused:
        return Read(unread=f"the pod that reads it was refused: {shortened(refused.said)}")
    try:
        return _Wait(cluster, name, now=now, sleep=sleep).outcome()
    finally:
        with suppress(ApiRefused, Unreachable):  # its own deadline ends it, and the next sweep takes it away
            cluster.delete(POD, name)


class _Wait:
    def __init__(
        self, cluster: Cluster, name: str, *, now: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._cluster = cluster
        self._name = name
        self._now = now
        self._sleep = sleep
        self._looked = self._now()
        self._seen: tuple[FailureClass, float] | None = None

    def outcome(self) -> Read:
        begun, pod = self._now(), {}
        while self._now() - begun < WAIT_SECONDS:
            found = self._cluster.get(POD, self._name)
            if found is None:
                return Read(unread="somebody deleted the pod that reads it")
            pod, status = found, view.status_of(found, CONTAINER)
            if ended := view.terminated(status):
                return _written(ended)
            if symptom := self._believed(self._obstacle(pod, status)):
                held = _HELD in symptom.message  # a moment's state, that trials too would wait out
                return Read(unread=symptom.message) if held else Read(symptom=symptom)
            if pod.get("status", {}).get("phase") == "Failed":
                return Read(unread=f"the pod that reads it ended: {_said(pod['status'])}")
            self._sleep(_POLL_SECONDS)
        waits = view.condition(pod, "PodScheduled").get("message") or _said(
            view.waiting(view.status_of(pod, CONTAINER))
        )
        return Read(unread=f"the pod that reads it did not start in {WAIT_SECONDS:.0f} s: {shortened(waits)}")

    def _obstacle(self, pod: Manifest, status: Manifest) -> Symptom | None:
        scheduled = view.condition(pod, "PodScheduled")
        if scheduled.get("reason") == "Unschedulable":
            return of_scheduler(str(scheduled.get("message", "")))
        waiting = view.waiting(status)
        found = of_waiting(str(waiting.get("reason", "")), str(waiting.get("message", "")))
        if found is not None or view.running(status) or not view.node(pod):
            return found
        if self._now() - self._looked > _EVENT_SECONDS or self._seen:
            self._looked = self._now()
            return self._of_events(pod)
        return None

    def _of_events(self, pod: Manifest) -> Symptom | None:
        try:
            events = self._cluster.list(EVENT, fields=f"involvedObject.uid={view.uid(pod)}")["items"]
        except ApiRefused:
            return None
        told = (of_event(str(e.get("reason")), str(e.get("message"))) for e in events)
        return next((symptom for symptom in told if symptom), None)

    def _believed(self, symptom: Symptom | None) -> Symptom | None:
        """The symptom once it has been there for as long as it needs to be."""
        if symptom is None:
            self._seen = None
            return None
        if self._seen is None or self._seen[0] is not symptom.kind:
            self._seen = (symptom.kind, self._now())
        image = _IMAGE_SECONDS if symptom.kind is FailureClass.IMAGE else 0.0
        lasted = self._now() - self._seen[1]
        return symptom if lasted >= max(symptom.grace_seconds, image) else None


def _written(ended: Manifest) -> Read:
    message = str(ended.get("message") or "")
    if view.exit_code(ended) == 0:
        return Read(text=message) if message else Read(unread="the pod that reads it wrote nothing")
    symptom = of_start(message)
    if symptom.kind is FailureClass.MOUNT:
        return Read(symptom=symptom)
    return Read(unread=f"the engine's image cannot list it: {_said(ended)}")


def _said(told: Manifest) -> str:
    words = [str(told[key]) for key in ("reason", "message") if told.get(key)]
    return shortened(": ".join(words) or "no more is said")


def _on_one_of(nodes: Sequence[str]) -> Manifest:
    rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _sweep(cluster: Cluster, at: float) -> None:
    """Those that were left by a check that was killed."""
    with suppress(ApiRefused):
        for pod in cluster.list(POD, labels=f"{READS}=model")["items"]:
            if at - unix_time(pod["metadata"]["creationTimestamp"]) > _OLD_SECONDS:
                cluster.delete(POD, view.name(pod))
