"""The few calls that the stand-in for OME makes of an API server; objects are plain dicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config
from ome_merge import Json

_WHERE = {
    "BaseModel": "apis/ome.io/v1beta1 basemodels",
    "ClusterBaseModel": "apis/ome.io/v1beta1 clusterbasemodels",
    "ServingRuntime": "apis/ome.io/v1beta1 servingruntimes",
    "ClusterServingRuntime": "apis/ome.io/v1beta1 clusterservingruntimes",
    "InferenceService": "apis/ome.io/v1beta1 inferenceservices",
    "Deployment": "apis/apps/v1 deployments",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2 horizontalpodautoscalers",
    "PodDisruptionBudget": "apis/policy/v1 poddisruptionbudgets",
    "ConfigMap": "api/v1 configmaps",
    "Event": "api/v1 events",
    "Pod": "api/v1 pods",
    "Service": "api/v1 services",
}


class CallRefused(Exception):
    """The API server said no; `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """An API server, with the rights of a kubeconfig. May be used from several threads."""

    def __init__(self, kubeconfig: Path) -> None:
        client: ApiClient = new_client_from_config(config_file=str(kubeconfig))
        self._host = client.configuration.host.rstrip("/")
        self._pool = client.rest_client.pool_manager  # its certificates are the kubeconfig's
        self._headers = {
            setting["key"]: setting["value"] for setting in client.configuration.auth_settings().values()
        }

    def get(self, kind: str, name: str, namespace: str = "") -> Json | None:
        """The object, or None where there is none (of that kind at all, also)."""
        try:
            return self._call("GET", _path(kind, namespace, name))
        except CallRefused as refusal:
            if refusal.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str = "", labels: str = "") -> tuple[list[Json], str]:
        """All objects of a kind, and the version of the list."""
        query = {"labelSelector": labels} if labels else {}
        found = self._call("GET", _path(kind, namespace), query=query)
        return found["items"], found["metadata"]["resourceVersion"]

    def create(self, kind: str, manifest: Json) -> Json:
        """Create an object in the namespace that it names."""
        return self._call("POST", _path(kind, manifest["metadata"]["namespace"]), manifest)

    def apply(self, manifest: Json) -> Json:
        """Make the object be as the manifest says, or leave it where it is so already (server-side apply)."""
        meta, query = manifest["metadata"], {"fieldManager": "ome-stand-in", "force": "true"}
        path = _path(manifest["kind"], meta["namespace"], meta["name"])
        return self._call("PATCH", path, manifest, query=query, content="application/apply-patch+yaml")

    def merge(self, kind: str, name: str, namespace: str, patch: Json) -> Json:
        """Change an object by a merge patch."""
        return self._call(
            "PATCH", _path(kind, namespace, name), patch, content="application/merge-patch+json"
        )

    def replace(self, kind: str, manifest: Json, *, part: str = "") -> Json:
        """Replace an object, or its `part` (status), as long as nobody else has changed it since."""
        meta = manifest["metadata"]
        path = _path(kind, meta["namespace"], meta["name"]) + (f"/{part}" if part else "")
        return self._call("PUT", path, manifest)

    def watch(self, kind: str, version: str) -> Iterator[Json]:
        """Every object of the kind added, changed or deleted after the version; ends with the stream."""
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        url = f"{self._host}{_path(kind)}?{urlencode(query)}"
        with self._pool.request("GET", url, headers=self._headers, preload_content=False) as answer:
            for line in answer:
                event = json.loads(line) if line.strip() else {}
                if event.get("type") == "ERROR" or "type" not in event:
                    return
                if event["type"] != "BOOKMARK":
                    yield event["object"]

    def _call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Json | None = None,
        content: str = "",
    ) -> Json:
        url = f"{self._host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {
            **self._headers,
            "Content-Type": content or "application/json",
            "Accept": "application/json",
        }
        sent = json.dumps(body) if body is not None else None
        answer = self._pool.request(method, url, body=sent, headers=headers, timeout=30)
        if answer.status >= 400:
            raise CallRefused(answer.status, _message(answer.data))
        found: Json = json.loads(answer.data)
        return found


def _path(kind: str, namespace: str = "", name: str = "") -> str:
    group, plural = _WHERE[kind].split()
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/{group}{within}/{plural}" + (f"/{name}" if name else "")


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace")[:300]
