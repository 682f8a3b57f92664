"""Where a deployment is reached: its Service's address or its pod's, with token and CA from Secrets."""

from __future__ import annotations

import base64
import binascii
import json
import socket
import ssl
import urllib.request
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tuner.deploy.kubernetes import pod_view as view
from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.resources import SECRET, SERVICE
from tuner.errors import TunerError, UserError, WorldError
from tuner.spec.deploy import Deploy
from tuner.spec.pod import SecretKey
from tuner.trial.ports import Endpoint

Json = dict[str, Any]

_ASK_SECONDS = 1.0
_CONNECT_SECONDS = 0.5
_LONGEST_ANSWER = 65_536


def endpoint_of(
    cluster: Cluster, deploy: Deploy, pod: Json, *, service: str, container: str, model: str
) -> Endpoint:
    """The endpoint of a Ready pod, without what only a serving engine can tell.

    Args:
        service: the name of the Service in front of it.
        container: the one that serves.
        model: the name in requests.

    Raises:
        UserError: a Secret or its key is not there.
        WorldError: pod or Service tell no address.
    """
    scheme = "https" if deploy.tls else "http"
    if deploy.endpoint == "pod":
        place = f"{_bracketed(_pod_ip(pod))}:{_container_port(pod, container)}"
    else:
        place = f"{service}.{cluster.namespace}.svc:{_service_port(cluster, service)}"
    status = view.status_of(pod, str(view.serving_container(pod, container)["name"]))
    return Endpoint(
        url=f"{scheme}://{place}",
        model=model,
        token=_secret(cluster, deploy.token, "deploy.token") if deploy.token else None,
        ca_pem=_secret(cluster, deploy.tls, "deploy.tls") if deploy.tls else None,
        node=view.node(pod),
        serving=f"pod {view.uid(pod)} restarts {view.restarts(status)}",
    )


def described(endpoint: Endpoint, times: dict[str, float]) -> Endpoint:
    """The endpoint with what its engine tells of itself."""
    metrics = _ask(endpoint, "/metrics") is not None
    return replace(
        endpoint,
        metrics_url=f"{endpoint.url}/metrics" if metrics else None,
        engine_version=_version(endpoint),
        times=times,
    )


def connection_fault(endpoint: Endpoint) -> OSError | None:
    """Why nothing listens at its address; None where something does."""
    parts = urlsplit(endpoint.url)
    try:
        place = (parts.hostname or "", parts.port or 443)
        socket.create_connection(place, timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return error
    return None


def no_way_to(endpoint: Endpoint) -> str:
    """Why nothing on this machine can reach the address, though its pod is Ready; "" where it can.

    A refused connection is an answer: the engine may not listen yet.
    """
    parts = urlsplit(endpoint.url)
    host, port = parts.hostname or "", parts.port or 443
    here = f"from {socket.gethostname()}"
    right = "would be right: deploy.endpoint: pod, or a driver in the cluster"
    try:
        socket.create_connection((host, port), timeout=_ASK_SECONDS).close()
    except socket.gaierror:
        return f"{host} has no address {here}: Services are not known there; {right}"
    except ConnectionRefusedError:
        return ""
    except OSError as error:
        return f"{host}:{port} cannot be reached {here} ({error}); would be right: a network that routes it"
    return ""


def _pod_ip(pod: Json) -> str:
    found = pod.get("status", {}).get("podIP")
    if not found:
        raise WorldError(f"pod {view.name(pod)} is Ready and has no IP")
    return str(found)


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _container_port(pod: Json, container: str) -> int:
    ports = view.serving_container(pod, container).get("ports") or ()
    if not ports:
        raise WorldError(
            f"pod {view.name(pod)}: container {container} names no port; would be right: one in the runtime"
        )
    return int(ports[0]["containerPort"])


def _service_port(cluster: Cluster, name: str) -> int:
    found = cluster.get(SERVICE, name)
    if found is None:
        raise WorldError(f"Service {name} is not there, though its pod is Ready")
    return int(found["spec"]["ports"][0]["port"])


def _secret(cluster: Cluster, reference: SecretKey, where: str) -> str:
    """The value; it goes into no message."""
    found = cluster.get(SECRET, reference.secret)
    if found is None:
        raise UserError(f"{where}: Secret {reference.secret} is not in namespace {cluster.namespace}")
    encoded = (found.get("data") or {}).get(reference.key)
    if encoded is None:
        raise UserError(f"{where}: Secret {reference.secret} has no key {reference.key}")
    try:
        return base64.b64decode(encoded, validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        raise UserError(f"{where}: Secret {reference.secret}, key {reference.key}: no text") from None


def secrets_of(cluster: Cluster, deploy: Deploy) -> tuple[str, ...]:
    """The values that an engine was given from Secrets, as far as they may be read; for no message."""
    given = [one for one in (deploy.token, *(deploy.env_secrets or {}).values()) if one is not None]
    found = []
    for reference in given:
        with suppress(TunerError):
            found.append(_secret(cluster, reference, ""))
    return tuple(found)


def _ask(endpoint: Endpoint, path: str) -> str | None:
    """What a path answers with 200; None for anything else."""
    request = urllib.request.Request(endpoint.url + path)
    if endpoint.token:
        request.add_header("Authorization", f"Bearer {endpoint.token}")
    context = ssl.create_default_context(cadata=endpoint.ca_pem) if endpoint.ca_pem else None
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_ASK_SECONDS) as answer:
            text: bytes = answer.read(_LONGEST_ANSWER)
    except (OSError, ValueError):
        return None
    return text.decode("utf-8", "replace")


def _version(endpoint: Endpoint) -> str:
    """As llama-server (/props), vLLM (/version) or SGLang (/get_server_info) tell it; "" where none does."""
    for path, field in (("/props", "build_info"), ("/version", "version"), ("/get_server_info", "version")):
        try:
            told = json.loads(_ask(endpoint, path) or "null")
        except ValueError:
            continue
        if isinstance(told, dict) and told.get(field):
            return str(told[field])
    return ""
