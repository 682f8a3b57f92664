"""What several checks look at, each of it asked for once: runtime, trial's pod, nodes, claim, volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from tuner.deploy.kubernetes import placement
from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.capacity import allocatable, requests
from tuner.deploy.kubernetes.checks.look import Seen, listed, look
from tuner.deploy.kubernetes.checks.model import KnownModel, known_model, mounts_itself
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.manifests import deployment, inference_service
from tuner.deploy.kubernetes.offline import labels_of
from tuner.deploy.kubernetes.resources import (
    CLAIM,
    CLUSTER_SERVING_RUNTIME,
    NODE,
    POD,
    SERVING_RUNTIME,
    VOLUME,
)
from tuner.deploy.kubernetes.runtime import Runtime
from tuner.deploy.kubernetes.trial_pod import trial_pod
from tuner.deploy.kubernetes.wanted import Demand, Identity, Manifest, Mount, Wanted
from tuner.errors import UserError
from tuner.trial.ports import TrialConfig


@dataclass(frozen=True, slots=True)
class FoundRuntime:
    """A look for OME's runtime; the namespace's own wins.

    Attributes:
        found: the object; None where none was seen.
        unseen: the rights that were missing, such as "get servingruntimes".
    """

    kind: str = ""
    found: Manifest | None = None
    unseen: tuple[str, ...] = ()


@dataclass
class Site:
    """One cluster as one experiment sees it.

    Every attribute raises `ApiRefused` or `Unreachable` for another reason than a missing object or right.

    Attributes:
        trial: the first; the baseline.
        now: a monotonic clock, in seconds.
        sleep: waits for seconds.
    """

    cluster: Cluster
    wanted: Wanted
    trial: TrialConfig
    now: Callable[[], float]
    sleep: Callable[[float], None]

    @property
    def demand(self) -> Demand:
        """Of the search; of the one trial where no search is known."""
        place = self.wanted.storage.pvc_subpath if self.wanted.storage else None
        alone = Demand(1, self.trial.accelerators, self.trial, (place,) if place else ())
        return self.wanted.demand or alone

    @cached_property
    def runtime(self) -> FoundRuntime:
        """OME's runtime as the cluster has it."""
        unseen: list[str] = []
        for resource in (SERVING_RUNTIME, CLUSTER_SERVING_RUNTIME):
            seen = look(self.cluster, resource, self.wanted.deploy.runtime or "")
            if seen.found is not None:
                return FoundRuntime(resource.kind, seen.found, tuple(unseen))
            if seen.forbidden:
                unseen.append(f"get {resource.plural}")
        return FoundRuntime(unseen=tuple(unseen))

    @cached_property
    def model(self) -> KnownModel:
        """The model as OME knows it."""
        return known_model(self.cluster, self.wanted.model.name)

    @cached_property
    def mounts_itself(self) -> bool | None:
        """Whether OME is one that mounts claims (1.2 and later); None where it cannot be shown."""
        return mounts_itself(self.cluster)

    @cached_property
    def pod(self) -> Manifest | None:
        """Of the widest trial, as controllers make it, without the model; None where it cannot be told."""
        objects = self.objects(self.demand.widest, mount=None)
        found = self.runtime.found if self.wanted.deploy.backend == "ome" else None
        return trial_pod(objects, (found or {}).get("spec") or {}) if objects else None

    def objects(self, trial: TrialConfig, *, mount: Mount | None) -> list[Manifest]:
        """What is created for `trial`; empty where it does not render, which another check tells."""
        identity = Identity(trial.name, labels_of(self.wanted, trial))
        try:
            if self.wanted.deploy.backend != "ome":
                return deployment(self.wanted, trial, identity=identity)
            found = self.runtime.found
            runtime = Runtime.from_object(found, self.runtime.kind) if found else None
            return [inference_service(self.wanted, trial, identity=identity, mount=mount, runtime=runtime)]
        except UserError:
            return []

    @cached_property
    def admitted(self) -> Manifest | ApiRefused | None:
        """That pod as admission lets it in, which may tolerate more, or the refusal; nothing is stored."""
        if self.pod is None:
            return None
        named = {**self.pod, "metadata": {**self.pod["metadata"], "generateName": "tuner-preflight-"}}
        try:
            return self.cluster.create(POD, named, dry_run=True, strict=False)
        except ApiRefused as refused:
            return refused

    @property
    def spec(self) -> Manifest:
        """Of the pod, as far as it is known: where it may run."""
        if isinstance(self.admitted, dict):
            found: Manifest = self.admitted["spec"]
            return found
        if self.pod is not None:
            return dict(self.pod["spec"])
        return {"nodeSelector": dict(self.wanted.deploy.pod.node_selector)}

    @cached_property
    def claim(self) -> Seen:
        """The claim of the model."""
        name = self.wanted.storage.pvc_name if self.wanted.storage else None
        return look(self.cluster, CLAIM, name) if name else Seen()

    @cached_property
    def volume(self) -> Manifest | None:
        """The volume behind the claim; None where there is none yet, or it may not be read."""
        name = ((self.claim.found or {}).get("spec") or {}).get("volumeName")
        return look(self.cluster, VOLUME, name).found if name else None

    @cached_property
    def nodes(self) -> list[Manifest] | None:
        """Those that are ready and take pods; None where they may not be listed."""
        found = listed(self.cluster, NODE)
        return None if found is None else [node for node in found if placement.usable(node)]

    @property
    def fewest(self) -> int:
        """Accelerators of the narrowest trial as nodes advertise them; 0 where pods ask by other means."""
        resource = self.wanted.deploy.gpu_resource
        counted = self.pod is not None and requests(self.pod).get(resource)
        return self.demand.fewest if counted else 0

    @cached_property
    def candidates(self) -> list[Manifest]:
        """Nodes that take a trial's pods, by labels, taints and the accelerators that they have at all."""
        spec, resource, least = self.spec, self.wanted.deploy.gpu_resource, self.fewest
        return [
            node
            for node in self.nodes or ()
            if placement.labels_match(node, spec)
            and not (self.pod and placement.taint_in_the_way(node, spec))
            and allocatable(node, resource) >= least
        ]

    @cached_property
    def places(self) -> list[Manifest]:
        """Those of the candidates that reach the claim's volume, as far as it is known."""
        volume = self.volume
        return [node for node in self.candidates if volume is None or placement.reaches(node, volume)]
