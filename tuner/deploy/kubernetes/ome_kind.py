"""One OME InferenceService for each deployment; OME makes Deployment, Service and pods of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from tuner.deploy.kubernetes.api_errors import ApiRefused
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.kind import Plan
from tuner.deploy.kubernetes.manifests import inference_service
from tuner.deploy.kubernetes.resources import (
    BASE_MODEL,
    CLUSTER_BASE_MODEL,
    CLUSTER_SERVING_RUNTIME,
    EVENT,
    INFERENCE_SERVICE,
    SERVING_RUNTIME,
    Resource,
)
from tuner.deploy.kubernetes.runtime import CONTAINER, Runtime
from tuner.deploy.kubernetes.symptoms import STOP, Symptom, of_creation, of_service_event
from tuner.deploy.kubernetes.wanted import Manifest
from tuner.errors import FailureClass, UserError


@dataclass(frozen=True, slots=True)
class OmeKind:
    """See `Kind`.

    Attributes:
        runtime: as the cluster has it; None where it was not looked at.
    """

    made: ClassVar[tuple[Resource, ...]] = (INFERENCE_SERVICE,)
    service: ClassVar[bool] = True

    runtime: Runtime | None = None

    @property
    def container(self) -> str:
        """As the runtime calls it."""
        return self.runtime.container if self.runtime else CONTAINER

    def manifests(self, plan: Plan) -> list[Manifest]:
        """The InferenceService."""
        found = inference_service(
            plan.wanted,
            plan.trial,
            identity=plan.identity,
            mount=plan.mount,
            runtime=self.runtime,
            avoid_nodes=plan.avoid,
        )
        return [found]

    def behind_silence(self, cluster: Cluster, plan: Plan) -> Symptom | None:
        """OME 0.1.5 says nothing of a missing model; an event on other things may have been missed."""
        if service := cluster.get(INFERENCE_SERVICE, plan.identity.name):
            about = f"involvedObject.uid={service['metadata']['uid']}"
            for event in cluster.list(EVENT, fields=about)["items"]:
                if found := of_service_event(str(event.get("reason")), str(event.get("message"))):
                    return found
        name = plan.wanted.model.name
        if cluster.get(CLUSTER_BASE_MODEL, name) or cluster.get(BASE_MODEL, name):
            return None
        right = "would be right: model.name of one that `kubectl get clusterbasemodels` lists"
        text = f"there is no ClusterBaseModel or BaseModel {name}; {right}"
        return Symptom(FailureClass.UNKNOWN_MODEL, STOP, text)

    def refused(self, error: ApiRefused) -> Symptom:
        """OME 1.3 looks for model and runtime when the object is created."""
        if error.of_admission and "not found" in error.said:
            if re.search(r"\bruntime\b", error.said, re.IGNORECASE):
                return Symptom(FailureClass.UNKNOWN_RUNTIME, STOP, error.said)
            if re.search(r"\bmodel\b", error.said, re.IGNORECASE):
                return Symptom(FailureClass.UNKNOWN_MODEL, STOP, error.said)
        return of_creation(error)


def read_runtime(cluster: Cluster, name: str) -> Runtime | None:
    """The runtime of that name, the namespace's own before the cluster's; None where none may be read.

    Raises:
        UserError: there is none, or it is of no use to a single engine.
    """
    unread = False
    for resource in (SERVING_RUNTIME, CLUSTER_SERVING_RUNTIME):
        try:
            found = cluster.get(resource, name)
        except ApiRefused as refused:
            if refused.status != 403:
                raise
            unread = True
            continue
        if found is not None:
            return Runtime.from_object(found, resource.kind)
    if unread:
        return None
    raise UserError(
        f"deploy.runtime: got {name}; would be right: a ServingRuntime of namespace {cluster.namespace} "
        "or a ClusterServingRuntime (`kubectl get clusterservingruntimes` lists them)"
    )
