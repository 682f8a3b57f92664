"""Namespaces for tests: a model on a claim that any node can mount, and the account that the tuner has."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client
from objects import Manifest, apply, delete, manifests, until

CLAIM = "model-storage-pvc"
MOUNT_LABEL = "autotuner.io/mount"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace of a test's own.

    Attributes:
        name: of the namespace.
        claim: a bound ReadOnlyMany claim in it, on the same files on every node.
        models: the folder on the host that the claim is of.
        subpath: of a model in the claim: a folder with one GGUF file.
        account: name of the service account.
        kubeconfig: of that account, which has the rights of the tuner and no others.
    """

    name: str
    claim: str
    models: Path
    subpath: str
    account: str
    kubeconfig: Path


@contextlib.contextmanager
def namespace_with_model(
    api: client.ApiClient,
    name: str,
    *,
    models: Path,
    subpath: str,
    rights: list[Path],
    folder: Path,
    mount: str | None = None,
) -> Iterator[Namespace]:
    """Make it, and remove it with all that is in it.

    Args:
        models: the folder on every node that becomes the claim.
        rights: files with the tuner's service account and its roles.
        folder: where the account's kubeconfig is written.
        mount: the way in which models are mounted in it, its label; None for no label.
    """
    labels = {} if mount is None else {MOUNT_LABEL: mount}
    own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    volume = _volume(name, models)
    granted = _granted(rights, name)
    try:
        apply(api, [own, volume, _claim(name), *granted])
        core = client.CoreV1Api(api)
        until(
            lambda: core.read_namespaced_persistent_volume_claim(CLAIM, name).status.phase == "Bound",
            seconds=30,
            what=f"claim {name}/{CLAIM} is bound",
        )
        until(
            lambda: core.list_namespaced_service_account(name, field_selector="metadata.name=default").items,
            seconds=30,
            what=f"namespace {name} has its default service account",  # before that, pods are refused
        )
        account = next(each["metadata"]["name"] for each in granted if each["kind"] == "ServiceAccount")
        path = folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(_kubeconfig(api, name, account)))
        path.chmod(0o600)
        yield Namespace(name, CLAIM, models, subpath, account, path)
    finally:
        _remove(api, name, [own, volume, *(each for each in granted if _is_of_cluster(each))])


def _remove(api: client.ApiClient, name: str, owned: list[Manifest]) -> None:
    for manifest in owned:
        delete(api, manifest)
    core = client.CoreV1Api(api)

    def found() -> Any:
        selected = core.list_namespace(field_selector=f"metadata.name={name}").items
        return selected[0].status if selected else None

    until(
        lambda: found() is None,
        seconds=90,
        what=lambda: f"namespace {name} is gone: {getattr(found(), 'conditions', None)}",
    )


def _volume(namespace: str, models: Path) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-models"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": namespace, "name": CLAIM},
            "hostPath": {"path": str(models), "type": "Directory"},
        },
    }


def _claim(namespace: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "volumeName": f"{namespace}-models",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def _is_of_cluster(manifest: Manifest) -> bool:
    return manifest["kind"] in ("ClusterRole", "ClusterRoleBinding")


def _granted(rights: list[Path], namespace: str) -> list[Manifest]:
    """The manifests of `rights` moved into `namespace`; those of the cluster get its name to their own."""
    moved = [manifest for file in rights for manifest in manifests(file)]
    of_cluster = {each["metadata"]["name"] for each in moved if each["kind"] == "ClusterRole"}
    for manifest in moved:
        metadata = manifest["metadata"]
        if _is_of_cluster(manifest):
            metadata["name"] = f"{metadata['name']}-{namespace}"
        else:
            metadata["namespace"] = namespace
        for subject in manifest.get("subjects", []):
            subject["namespace"] = namespace
        if (
            manifest.get("roleRef", {}).get("name") in of_cluster
            and manifest["roleRef"]["kind"] == "ClusterRole"
        ):
            manifest["roleRef"]["name"] += f"-{namespace}"
    return [manifest for manifest in moved if manifest["kind"] != "Namespace"]


def _kubeconfig(api: client.ApiClient, namespace: str, account: str) -> Manifest:
    request = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=24 * 3600)
    )
    token = client.CoreV1Api(api).create_namespaced_service_account_token(account, namespace, request)
    configuration = api.configuration
    cluster = {"server": configuration.host}
    if configuration.ssl_ca_cert:
        authority = Path(configuration.ssl_ca_cert).read_bytes()
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": account, "user": {"token": token.status.token}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "test", "user": account, "namespace": namespace}}
        ],
        "current-context": "test",
    }
