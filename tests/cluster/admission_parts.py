"""Pods as the API server takes or refuses them, and the webhook's configuration for one namespace."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from tuner.webhook.certs import Certificates, issued
from tuner.webhook.server import MUTATE_PATH

ADMISSION = Path(__file__).parents[2] / "cluster" / "admission"


@dataclass(frozen=True)
class Refusal:
    """The API server's no."""

    code: int
    message: str


@dataclass(frozen=True)
class Pods:
    """Creates pods in one namespace."""

    api: client.ApiClient
    namespace: str

    def create(self, one: dict[str, Any], *, dry_run: bool = True) -> dict[str, Any] | Refusal:
        """The pod as the API server would store it, or stored it."""
        try:
            answer = client.CoreV1Api(self.api).create_namespaced_pod(
                self.namespace, one, dry_run="All" if dry_run else None, _preload_content=False
            )
        except client.ApiException as error:
            return Refusal(error.status, json.loads(error.body)["message"])
        made: dict[str, Any] = json.loads(answer.read())
        return made

    def made(self, one: dict[str, Any]) -> Any:
        """What matters of a pod that is taken; a refusal as it is."""
        got = self.create(one)
        if isinstance(got, Refusal):
            return got
        metadata = {key: got["metadata"].get(key) for key in ("labels", "annotations")}
        return {"metadata": metadata, "spec": got["spec"]}

    def mounts(self, one: dict[str, Any]) -> bool:
        """Whether the first volume of `one`, a hostPath, becomes a claim."""
        got = self.create(one)
        return not isinstance(got, Refusal) and "persistentVolumeClaim" in got["spec"]["volumes"][0]


def install_policies(api: client.ApiClient, apply: Callable[..., Any]) -> None:
    """Guard and policy, in the version that the cluster knows; they stay, for they act by label alone."""
    apply(ADMISSION / "guard.yaml")
    for group, name in (
        (client.AdmissionregistrationV1Api, "policy.yaml"),
        (client.AdmissionregistrationV1beta1Api, "policy-v1beta1.yaml"),
    ):
        try:
            known = [each.name for each in group(api).get_api_resources().resources]
        except client.ApiException:  # 404: not this version
            continue
        if "mutatingadmissionpolicies" in known:
            apply(ADMISSION / name)
            return
    pytest.skip("the API server has no MutatingAdmissionPolicy: 1.36, or 1.34 with the flags in policy.yaml")


def account_kubeconfig(api: client.ApiClient, namespace: str, account: str, folder: Path) -> Path:
    """Of a service account, for an hour."""
    request = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=3600)
    )
    token = client.CoreV1Api(api).create_namespaced_service_account_token(account, namespace, request)
    cluster = {"server": api.configuration.host}
    if api.configuration.ssl_ca_cert:
        authority = Path(api.configuration.ssl_ca_cert).read_bytes()
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    path = folder / "kubeconfig"
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": account, "user": {"token": token.status.token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": account}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(made))
    return path


def certificates() -> Certificates:
    """For this machine, for a day."""
    return issued(["127.0.0.1"], now=datetime.now(UTC), lifetime=timedelta(days=1))


@contextmanager
def configured(
    pods: Pods, folder: Path, *, port: int, name: str = "ome-pvc-mount", **changes: Any
) -> Iterator[None]:
    """The shipped MutatingWebhookConfiguration, for one namespace alone and led to this machine."""
    documents = yaml.safe_load_all((ADMISSION / "webhook.yaml").read_text())
    (made,) = [each for each in documents if each["kind"] == "MutatingWebhookConfiguration"]
    made["metadata"]["name"] = f"{name}-{pods.namespace}"
    (webhook,) = made["webhooks"]
    webhook["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] = pods.namespace
    webhook["clientConfig"] = {
        "url": f"https://127.0.0.1:{port}{MUTATE_PATH}",
        "caBundle": base64.b64encode((folder / "ca.crt").read_bytes()).decode(),
    }
    webhook.update(changes)
    admission = client.AdmissionregistrationV1Api(pods.api)
    admission.create_mutating_webhook_configuration(made)
    try:
        yield
    finally:
        admission.delete_mutating_webhook_configuration(made["metadata"]["name"])
