"""Creates and changes Kubernetes objects from manifests, of any kind the API server knows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

Manifest = dict[str, Any]
FIELD_MANAGER = "tuner-tests"
_METADATA_ALONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


def manifests(source: str | Path | Manifest | Iterable[Manifest]) -> list[Manifest]:
    """The objects in a YAML text, a YAML file, a mapping or several; a List is taken apart."""
    if isinstance(source, Path):
        source = source.read_text()
    if isinstance(source, str):
        source = yaml.safe_load_all(source)
    elif isinstance(source, dict):
        source = [source]
    found: list[Manifest] = []
    for manifest in source:
        if manifest:
            found += manifest["items"] if manifest["kind"] == "List" else [manifest]
    return found


def apply(api: client.ApiClient, source: str | Path | Manifest | Iterable[Manifest]) -> list[Manifest]:
    """Apply them on the server's side with strict validation, in their order; what the server made of them.

    Raises:
        client.ApiException: one was refused; those before it stay.
    """
    return [
        _request(
            api,
            "PATCH",
            object_path(api, manifest),
            {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"},
            json.dumps(manifest),
        )
        for manifest in manifests(source)
    ]


def delete(api: client.ApiClient, manifest: Manifest) -> None:
    """Delete it, if it is there, with all that it owns; does not wait."""
    try:
        _request(api, "DELETE", object_path(api, manifest), {"propagationPolicy": "Background"})
    except client.ApiException as error:
        if error.status != 404:
            raise


def object_path(api: client.ApiClient, manifest: Manifest) -> str:
    """Where the API server has the object.

    Raises:
        LookupError: it knows no such kind.
    """
    version, kind = manifest["apiVersion"], manifest["kind"]
    for resource in _resources(api, version):
        if resource["kind"] == kind:
            metadata = manifest["metadata"]
            namespace = f"/namespaces/{metadata['namespace']}" if resource["namespaced"] else ""
            return f"{_prefix(version)}{namespace}/{resource['name']}/{metadata['name']}"
    raise LookupError(f"the API server has no {kind} in {version}")


def knows(api: client.ApiClient, version: str, kind: str) -> bool:
    """Whether the API server serves the kind; `version` as in a manifest's apiVersion."""
    return any(resource["kind"] == kind for resource in _resources(api, version))


def metadata_of(api: client.ApiClient, path: str) -> dict[str, Any] | None:
    """An object's metadata without the object, which may be large; None where there is none."""
    try:
        return _request(api, "GET", path, {}, accept=_METADATA_ALONE)["metadata"]
    except client.ApiException as error:
        if error.status != 404:
            raise
        return None


def _prefix(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _resources(api: client.ApiClient, version: str) -> list[dict[str, Any]]:
    """The kinds of a group's version, without their subresources."""
    try:
        found = _request(api, "GET", _prefix(version), {})["resources"]
    except client.ApiException as error:
        if error.status != 404:
            raise
        return []
    return [resource for resource in found if "/" not in resource["name"]]


def _request(
    api: client.ApiClient,
    method: str,
    path: str,
    query: dict[str, str],
    body: str | None = None,
    *,
    accept: str = "application/json",
) -> Any:
    headers = {"Accept": accept}
    if body is not None:
        headers["Content-Type"] = "application/apply-patch+yaml"  # JSON is YAML
    request = api.param_serialize(
        method,
        path,
        query_params=list(query.items()),
        header_params=headers,
        body=body,
        auth_settings=["BearerToken"],
    )
    answer = api.call_api(*request, _request_timeout=30)
    content = answer.read()
    if answer.status >= 300:
        raise client.ApiException(http_resp=answer, body=content.decode(), data=None)
    return json.loads(content)


def until(condition: Callable[[], Any], *, seconds: float, what: str | Callable[[], str]) -> Any:
    """What `condition` returned once it was true.

    Args:
        what: what is waited for, for the error; called where it is made from what was found.

    Raises:
        AssertionError: it was not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.1)
