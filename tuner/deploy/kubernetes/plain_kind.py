"""One Deployment and one Service for each deployment, on a cluster without OME."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.kind import Plan
from tuner.deploy.kubernetes.manifests import ENGINE_CONTAINER, deployment
from tuner.deploy.kubernetes.resources import DEPLOYMENT, SERVICE, Resource
from tuner.deploy.kubernetes.symptoms import Symptom, of_creation
from tuner.deploy.kubernetes.wanted import Manifest


@dataclass(frozen=True, slots=True)
class PlainKind:
    """See `Kind`."""

    made: ClassVar[tuple[Resource, ...]] = (DEPLOYMENT, SERVICE)
    service: ClassVar[bool] = False
    container: ClassVar[str] = ENGINE_CONTAINER

    def manifests(self, plan: Plan) -> list[Manifest]:
        """The Deployment and the Service."""
        return deployment(plan.wanted, plan.trial, identity=plan.identity, avoid_nodes=plan.avoid)

    def behind_silence(self, cluster: Cluster, plan: Plan) -> Symptom | None:
        """There is nobody who could be silent."""
        return None

    def refused(self, error: ApiRefused) -> Symptom:
        """As the API server says."""
        return of_creation(error)
