"""What differs between the kinds of deployment on Kubernetes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import Resource
from tuner.deploy.kubernetes.symptoms import Symptom
from tuner.deploy.kubernetes.wanted import Identity, Manifest, Mount, Wanted
from tuner.spec.cluster_checks import SUBPATH
from tuner.trial.ports import TrialConfig


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deployment is made from.

    Attributes:
        mount: how the claim gets into the pods; None for a model that is on the nodes.
        avoid: nodes that an earlier attempt failed on.
    """

    wanted: Wanted
    trial: TrialConfig
    identity: Identity
    mount: Mount | None
    avoid: Collection[str] = ()


def subpath_of(wanted: Wanted, trial: TrialConfig) -> str | None:
    """Where in the claim the trial's model is: a parameter may say so."""
    given = trial.places.get(SUBPATH)
    if given is not None:
        return str(given)
    return wanted.storage.pvc_subpath if wanted.storage else None


class Kind(Protocol):
    """A kind of deployment; may be pickled."""

    @property
    def made(self) -> tuple[Resource, ...]:
        """What it creates, the one that owns the pods first."""
        ...

    @property
    def service(self) -> bool:
        """Whether that is an InferenceService, on which OME says things."""
        ...

    @property
    def container(self) -> str:
        """The name of the one that serves; its pod's first where none has it."""
        ...

    def manifests(self, plan: Plan) -> list[Manifest]:
        """The objects, in the order of their creation.

        Raises:
            UserError: the template does not render.
        """
        ...

    def behind_silence(self, cluster: Cluster, plan: Plan) -> Symptom | None:
        """What may be found out where nothing was made, and nothing said; None for nothing.

        Raises:
            ApiRefused, Unreachable: it may not, or cannot, be asked.
        """
        ...

    def refused(self, error: ApiRefused) -> Symptom:
        """What it means that the API server does not take the objects."""
        ...
