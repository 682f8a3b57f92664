"""Plain Kubernetes: one Deployment and one Service for each deployment."""

from __future__ import annotations

from dataclasses import replace

from tuner.deploy.kubernetes.backend import KubernetesBackend
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.demand import demand_of
from tuner.deploy.kubernetes.manifests import wanted_of
from tuner.deploy.kubernetes.plain_kind import PlainKind
from tuner.spec import Experiment


def make_backend(experiment: Experiment) -> KubernetesBackend:
    """See `backend_for`."""
    wanted = replace(wanted_of(experiment), demand=demand_of(experiment))
    return KubernetesBackend(cluster=Cluster(experiment.deploy.namespace), wanted=wanted, kind=PlainKind())
