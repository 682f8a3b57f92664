"""The webhook as an operator installs it, in a namespace of the tests' own: two pods behind a Service."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from admission_parts import ADMISSION, Pods, account_kubeconfig, install_policies
from kubernetes import client
from mount_pods import engine, host, pod

from tuner.webhook.command import main

_SERVE = "import sys; from tuner.webhook.command import main; sys.exit(main(sys.argv[1:]))"
_CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration")
ANNOTATED = pod(engine(), volumes=[host()])


@dataclass(frozen=True)
class Installed:
    """The webhook's pods, and a namespace whose pods they see."""

    api: client.ApiClient
    namespace: str
    configuration: str
    kubeconfig: Path
    trials: Any
    pods: Pods

    def certs(self, *more: str) -> None:
        """`tuner webhook certs --apply`, with the rights of the account that the CronJob has."""
        names = ["--namespace", self.namespace, "--configuration", self.configuration]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(self.kubeconfig))
            assert main(["certs", "--apply", *names, *more]) == 0

    def deployment(self) -> Any:
        return client.AppsV1Api(self.api).read_namespaced_deployment("ome-pvc-mount", self.namespace)

    def rolled_out(self) -> bool:
        found = self.deployment()
        status = found.status
        current = status.observed_generation == found.metadata.generation
        return current and status.updated_replicas == status.available_replicas == status.replicas == 2

    def replicas(self) -> list[Any]:
        found = client.CoreV1Api(self.api).list_namespaced_pod(
            self.namespace, label_selector="app.kubernetes.io/name=ome-pvc-mount"
        )
        return list(found.items)

    def shown(self) -> set[str]:
        """The certificates that the running replicas show, by their digests."""
        addresses = [(each.status.pod_ip, 8443) for each in self.replicas()]
        pems = [ssl.get_server_certificate(address, timeout=5) for address in addresses]
        return {hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() for pem in pems}


@contextlib.contextmanager
def installed_webhook(
    admin_api: client.ApiClient,
    *,
    apply: Callable[..., Any],
    remove: Callable[..., Any],
    until: Callable[..., Any],
    new_namespace: Callable[..., Any],
    engine_parts: Any,
    trials: Any,
    folder: Path,
) -> Iterator[Installed]:
    """With the guard, a certificate and two ready replicas that see the pods of the namespace `trials`.

    Args:
        folder: for a kubeconfig.
    """
    install_policies(admin_api, apply)
    with new_namespace("webhook") as own:
        documents = moved(own.name, trials.name, engine_parts)
        apply(documents)
        try:
            made = Installed(
                admin_api,
                own.name,
                f"ome-pvc-mount-{own.name}",
                account_kubeconfig(admin_api, own.name, "ome-pvc-mount-certs", folder),
                trials,
                Pods(admin_api, trials.name),
            )
            made.certs()
            until(
                made.rolled_out,
                seconds=120,
                what=lambda: f"two replicas are ready: {made.deployment().status}",
            )
            until(lambda: made.pods.mounts(ANNOTATED), seconds=10, what="the webhook acts")
            yield made
        finally:
            for document in documents:
                if document["kind"] in _CLUSTER_WIDE:
                    remove(document)


def moved(namespace: str, trials: str, parts: Any) -> list[dict[str, Any]]:
    """webhook.yaml in another namespace, for the pods of `trials` alone, with programs of the host."""
    documents = list(yaml.safe_load_all((ADMISSION / "webhook.yaml").read_text()))
    documents = [each for each in documents if each["kind"] != "Namespace"]
    for each in documents:
        if each["kind"] in _CLUSTER_WIDE:
            each["metadata"]["name"] += f"-{namespace}"
        else:
            each["metadata"]["namespace"] = namespace
        for subject in each.get("subjects", []):
            subject["namespace"] = namespace
    by_kind = {each["kind"]: each for each in documents}
    by_kind["ClusterRole"]["rules"][0]["resourceNames"] = [f"ome-pvc-mount-{namespace}"]
    by_kind["ClusterRoleBinding"]["roleRef"]["name"] += f"-{namespace}"
    (webhook,) = by_kind["MutatingWebhookConfiguration"]["webhooks"]
    webhook["clientConfig"]["service"]["namespace"] = namespace
    webhook["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] = trials
    spec = by_kind["Deployment"]["spec"]["template"]["spec"]
    spec["volumes"] += parts.volumes
    (container,) = spec["containers"]
    runs = parts.container()
    container["image"] = runs["image"]
    container["imagePullPolicy"] = runs["imagePullPolicy"]
    container["command"] = [sys.executable, "-c", _SERVE, "serve"]
    container["env"] = parts.env
    container["volumeMounts"] += parts.mounts
    return documents
