"""A namespace of a test cluster, and what is in it of an InferenceService."""

from __future__ import annotations

from typing import Any

from kubernetes import client

GROUP = ("ome.io", "v1beta1")
Json = dict[str, Any]
_GROUPED = {
    "Deployment": ("apps", "v1", "deployments"),
    "HorizontalPodAutoscaler": ("autoscaling", "v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("policy", "v1", "poddisruptionbudgets"),
}


class Place:
    """A namespace, and what is in it of an InferenceService."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self._api = api
        self._custom = client.CustomObjectsApi(api)

    def create(self, isvc: Json) -> Json:
        isvc = {**isvc, "metadata": {**isvc["metadata"], "namespace": self.namespace}}
        return self._custom.create_namespaced_custom_object(*GROUP, self.namespace, "inferenceservices", isvc)

    def get(self, name: str) -> Json:
        return self._custom.get_namespaced_custom_object(*GROUP, self.namespace, "inferenceservices", name)

    def patch(self, name: str, patch: Json) -> Json:
        return self._custom.patch_namespaced_custom_object(
            *GROUP, self.namespace, "inferenceservices", name, patch
        )

    def delete(self, name: str) -> None:
        self._custom.delete_namespaced_custom_object(
            *GROUP, self.namespace, "inferenceservices", name, propagation_policy="Background"
        )

    def children(self, name: str) -> list[Json]:
        """All that the InferenceService owns."""
        found = []
        for kind, (group, version, plural) in _GROUPED.items():
            listed = self._custom.list_namespaced_custom_object(group, version, self.namespace, plural)
            found += [{**each, "kind": kind} for each in listed["items"]]
        core = client.CoreV1Api(self._api)
        for kind, listed in (
            ("Service", core.list_namespaced_service(self.namespace)),
            ("ConfigMap", core.list_namespaced_config_map(self.namespace)),
        ):
            found += [{**self._api.sanitize_for_serialization(each), "kind": kind} for each in listed.items]
        return [each for each in found if _is_owned_by(name, each)]

    def deployment(self, name: str) -> Json | None:
        return next((each for each in self.children(name) if each["kind"] == "Deployment"), None)

    def events(self, name: str) -> list[Json]:
        selected = f"involvedObject.kind=InferenceService,involvedObject.name={name}"
        listed = client.CoreV1Api(self._api).list_namespaced_event(self.namespace, field_selector=selected)
        return [self._api.sanitize_for_serialization(each) for each in listed.items]

    def is_starting(self, name: str) -> bool:
        """Whether its Deployment was seen to be made and not to be available yet, or more."""
        return condition(self.get(name), "EngineReady") is not None


def _is_owned_by(name: str, child: Json) -> bool:
    return any(owner["name"] == name for owner in child["metadata"].get("ownerReferences") or [])


def condition(isvc: Json, kind: str) -> Json | None:
    listed = (isvc.get("status") or {}).get("conditions") or []
    return next((each for each in listed if each["type"] == kind), None)


def is_ready(isvc: Json) -> bool:
    return (condition(isvc, "Ready") or {}).get("status") == "True"
