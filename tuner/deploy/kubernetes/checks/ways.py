"""The ways of mounting, one function each: whether this cluster has it, and what it comes to.

Each returns the mount or raises `NotHere`. What was seen on the way is noted in `Place.notes`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.checks.admission import GUARD, Outcome, Shown, annotated_pod, guards
from tuner.deploy.kubernetes.checks.finding import Finding, ok, warning
from tuner.deploy.kubernetes.checks.look import look
from tuner.deploy.kubernetes.checks.model import KnownModel, known_model, model_uri, mounts_itself
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import NAMESPACE, NODE
from tuner.deploy.kubernetes.wanted import MOUNT, Mount, Wanted, Way
from tuner.errors import WorldError
from tuner.spec.model import Storage

NATIVE_PATH = "/opt/ml/model"
_LABELLED_WHOLE = 32  # OME hashes longer model names in its node labels


class NotHere(WorldError):
    """This way does not work on this cluster.

    Attributes:
        remedy: what would make it work.
        final: it was meant to, so that `auto` goes no further.
    """

    def __init__(self, text: str, remedy: str, *, final: bool = False) -> None:
        super().__init__(f"{text}; would be right: {remedy}")
        self.text = text
        self.remedy = remedy
        self.final = final


@dataclass(kw_only=True)
class Place:
    """Where a claim is to be mounted, looked at when first asked.

    Attributes:
        subpath: within the claim, of the configuration that is looked at.
        tuned: the sub-path is a parameter.
    """

    cluster: Cluster
    wanted: Wanted
    storage: Storage
    subpath: str | None
    tuned: bool = False
    notes: list[Finding] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        """Of the trials."""
        return self.cluster.namespace

    @property
    def claim(self) -> str:
        """The claim's name."""
        return self.storage.pvc_name or ""

    @property
    def subject(self) -> str:
        """How findings name it."""
        return f"mount of {self.claim}"

    @cached_property
    def model(self) -> KnownModel:
        """The model as the cluster knows it."""
        return known_model(self.cluster, self.wanted.model.name)

    @cached_property
    def path(self) -> str:
        """Where the model is to be: as the person says, else where OME puts it."""
        name = self.wanted.model.name
        known = self.storage.mount_path or self.model.path or self.wanted.model.storage_path
        if known is None and self.model.unseen and not self.model.kind:
            missing = " and ".join(self.model.unseen)
            self.notes.append(
                warning(
                    self.subject,
                    f"taken to be /raid/models/{name}: OME's own may not be read ({missing})",
                    "storage.mount_path",
                )
            )
        return known or f"/raid/models/{name}"

    @cached_property
    def label(self) -> str | None:
        """What the namespace says of who mounts; "" for nothing, None where it may not be read."""
        seen = look(self.cluster, NAMESPACE, self.namespace)
        if seen.found is None:
            return None
        return str((seen.found["metadata"].get("labels") or {}).get(MOUNT, ""))

    @cached_property
    def shown(self) -> Shown:
        """What admission makes of an annotated pod."""
        return annotated_pod(
            self.cluster, self.storage, model=self.wanted.model.name, subpath=self.subpath, path=self.path
        )

    def note(self, text: str, remedy: str = "") -> None:
        """Something that could not be shown, or is not as it might be."""
        self.notes.append(warning(self.subject, text, remedy))


def at_admission(place: Place, asked: Way | None) -> Mount:
    """The API server's own policy, or a webhook: whichever acts on this namespace's pods."""
    labelled = Way(place.label) if place.label in (Way.POLICY, Way.WEBHOOK) else None
    way = labelled or asked or Way.POLICY
    outcome, words = place.shown.outcome, place.shown.words
    meant = asked is not None or labelled is not None
    if outcome is Outcome.MOUNTED:
        by = f"the {way}" if labelled or asked else "admission, policy or webhook"
        place.notes.append(ok(place.subject, f"by {by}, at {place.path}, shown by a dry run"))
        _note_guard(place)
    elif outcome is Outcome.UNREACHABLE:
        text = f"an admission webhook does not answer, so no annotated pod is admitted: {words}"
        raise NotHere(text, "its pods ready and its certificate valid, see cluster/README.md", final=True)
    elif outcome in (Outcome.WRONG, Outcome.WRONG_ANNOTATIONS):
        text, _, remedy = words.partition("; would be right: ")
        raise NotHere(f"an annotated pod would be wrong: {text}", remedy or "what storage says", final=True)
    elif outcome in (Outcome.UNTOUCHED, Outcome.GUARDED):
        raise _nothing_acts(place, labelled or asked, meant=meant or place.label is None)
    elif not meant:
        remedy = "the right to create pods, or storage.mount: policy or webhook"
        raise NotHere(f"it could not be shown that admission mounts: {words}", remedy)
    else:
        place.note(
            f"by the {way}, not shown: the dry-run pod was refused ({words})", "a trial's pod shows it"
        )
    return Mount(way, place.path, annotate=True)


def native(place: Place, *, asked: bool) -> Mount:
    """OME 1.2 and later mounts a model whose storageUri names the claim, at a path of its own."""
    given = place.storage.mount_path
    if given not in (None, NATIVE_PATH):
        raise NotHere(f"native mounting is at {NATIVE_PATH}, not at {given}", "without storage.mount_path")
    if place.tuned or place.subpath is None:
        why = "is a parameter" if place.tuned else "is not given"
        raise NotHere(
            f"native mounting takes the sub-path from the model, and pvc_subpath {why}", "one sub-path"
        )
    acts = mounts_itself(place.cluster)
    if acts is False:
        raise NotHere("OME does not mount claims by itself", "OME 1.2 or later, with its webhooks on")
    if acts is None and not asked:
        raise NotHere("it could not be shown that OME mounts claims itself", "the right to create basemodels")
    if acts is None:
        place.note(
            "by OME itself, not shown: a dry-run BaseModel was refused", "the right to create basemodels"
        )
    model, name = place.model, place.wanted.model.name
    right = model_uri(model.kind, namespace=place.namespace, claim=place.claim, subpath=place.subpath)
    if model.kind and model.uri.rstrip("/") != right.rstrip("/"):
        raise NotHere(f"{model.kind} {name} has storageUri {model.uri or 'none'}", f"storageUri: {right}")
    if not model.kind:
        place.note(f"model {name} was not seen", f"storageUri: {right}")
    place.notes.append(ok(place.subject, f"by OME itself, at {NATIVE_PATH}"))
    return Mount(Way.NATIVE, NATIVE_PATH, annotate=False)


def inline(place: Place) -> Mount:
    """Claim and mount stand in the InferenceService; the model itself must bring no volume there."""
    name, model = place.wanted.model.name, place.model
    if model.path == place.path:
        raise NotHere(
            f"{model.kind} {name} has storage.path {model.path}, and two mounts at one path are refused",
            "a model without storage.path, or another storage.mount_path",
        )
    seen_without = bool(model.kind) and model.path is None
    annotate = seen_without and place.shown.outcome is Outcome.MOUNTED  # it drops the selector
    if not annotate:
        _need_labelled_node(place)
    if not model.kind:
        place.note(f"model {name} was not seen; it must have no storage.path at {place.path}")
    place.notes.append(ok(place.subject, f"inline, in the InferenceService itself, at {place.path}"))
    return Mount(Way.INLINE, place.path, annotate=annotate)


def external(place: Place) -> Mount:
    """A controller that nothing here knows; the first trial's live pod decides."""
    place.notes.append(ok(place.subject, f"external, at {place.path}: the first trial's pod shows it"))
    return Mount(Way.EXTERNAL, place.path, annotate=True)


def _note_guard(place: Place) -> None:
    guarded = guards(place.cluster)
    if guarded:
        place.notes.append(ok(place.subject, f"{GUARD} refuses a pod whose claim is not mounted"))
        return
    text = "nothing guards" if guarded is False else f"it could not be shown that {GUARD} guards"
    remedy = f"{_policy_applied(place)}; kubectl label namespace {place.namespace} {MOUNT}=..."
    place.note(f"{text}: a pod whose claim is not mounted would serve from its node", remedy)


def _nothing_acts(place: Place, way: Way | None, *, meant: bool) -> NotHere:
    guarded = place.shown.outcome is Outcome.GUARDED
    text = f"nothing at admission mounts the claim in namespace {place.namespace}"
    if place.label in (Way.POLICY, Way.WEBHOOK):
        text += f", which is labelled {MOUNT}={place.label}"
    text += f" ({GUARD} refused the pod)" if guarded else " (a dry-run pod kept the node's path)"
    steps = [_policy_applied(place) if way is not Way.WEBHOOK else "the webhook of cluster/README.md"]
    if place.label not in (Way.POLICY, Way.WEBHOOK):
        steps.append(f"kubectl label namespace {place.namespace} {MOUNT}={way or Way.POLICY}")
    return NotHere(text, ", then ".join(steps), final=meant and (guarded or bool(place.label)))


def _policy_applied(place: Place) -> str:
    """The command that installs guard and policy, in the version that this API server has."""
    try:
        older = re.match(r"v1\.(2\d|3[0-5])\b", place.cluster.server_version())
    except ApiRefused:
        older = None
    if older:
        return "kubectl apply -f cluster/admission/guard.yaml -f cluster/admission/policy-v1beta1.yaml"
    return "kubectl apply -k cluster/admission"


def _need_labelled_node(place: Place) -> None:
    """OME 0.1.5 selects nodes by the model's label for every model, and nothing here takes that off.

    Raises:
        NotHere: no node has it.
    """
    name = place.wanted.model.name
    key = f"models.ome.io/clusterbasemodel.{name}"
    if place.model.kind == "BaseModel" or len(name) > _LABELLED_WHOLE:
        place.note("OME 0.1.5 runs it only on nodes with the model's label, which was not checked")
        return
    try:
        nodes = place.cluster.list(NODE, labels=f"{key}=Ready", limit=1)["items"]
    except ApiRefused as refused:
        if refused.status != 403:
            raise
        place.note(
            f"OME 0.1.5 runs it only on nodes labelled {key}=Ready; the right to list nodes is not given"
        )
        return
    if not nodes:
        raise NotHere(
            f"OME 0.1.5 runs model {name} only on nodes labelled {key}=Ready, and no node is",
            f"kubectl label node NODE {key}=Ready",
        )
