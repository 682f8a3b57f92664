"""The Ray that ships in cluster/ray as pods of a namespace, made as KubeRay would make them, without KubeRay.

What differs from the files: the programs are the host's and not an image's, requests are small, the run
directory is a folder of this machine, and where no Service is routed the API server is reached by the node's
address.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine_pod_parts import IMAGE
from kit_files import KIT, ROOT, documents

Manifest = dict[str, Any]
CLUSTER = "tuner"  # the RayCluster's name in the file
_TOKEN = "f" * 64


def ray_cluster(namespace: str) -> Manifest:
    """The RayCluster as it ships, in another namespace."""
    (made,) = documents(KIT / "ray" / "raycluster.yaml")
    made["metadata"]["namespace"] = namespace
    return made


def run_directory(namespace: str, folder: Path) -> list[Manifest]:
    """The claim as it ships, on a folder of this machine."""
    (claim,) = documents(KIT / "ray" / "run-directory.yaml")
    claim["metadata"]["namespace"] = namespace
    name = f"{namespace}-runs"
    claim["spec"] |= {"storageClassName": "", "volumeName": name}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": claim["spec"]["accessModes"],
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": claim["metadata"]["name"]},
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }
    return [volume, claim]


def experiment(namespace: str, text: str) -> Manifest:
    """The ConfigMap that the page has an operator make."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "experiment", "namespace": namespace},
        "data": {"experiment.yaml": text, "tune.sh": (KIT / "ray" / "tune.sh").read_text()},
    }


def head(namespace: str, parts: Any, *, api_server: str) -> Manifest:
    """The head's pod."""
    group = ray_cluster(namespace)["spec"]["headGroupSpec"]
    made = _pod(namespace, "head", group, parts, start="--head --port=6379", ray="127.0.0.1:6379")
    made["spec"]["containers"][0]["env"] += _route(api_server)
    return made


def worker(namespace: str, parts: Any, *, head_address: str) -> Manifest:
    """One worker's pod."""
    (group,) = ray_cluster(namespace)["spec"]["workerGroupSpecs"]
    return _pod(namespace, "worker", group, parts, start="--address=$RAY_ADDRESS", ray=f"{head_address}:6379")


def _pod(namespace: str, name: str, group: Manifest, parts: Any, *, start: str, ray: str) -> Manifest:
    template = group["template"]
    spec = template["spec"]
    (container,) = spec["containers"]
    resources = {key: float(value) for key, value in group["resources"].items()}
    cpus = int(resources.pop("CPU"))
    memory = group["rayStartParams"]["object-store-memory"]
    container["image"] = IMAGE
    container["command"] = ["/bin/bash", "-c", "--"]
    container["args"] = [
        f"ray start {start} --block --num-cpus={cpus} --object-store-memory={memory}"
        f" --resources='{json.dumps(resources)}'"
    ]
    container["env"] += _by_kuberay(ray) + programs(parts)
    container["resources"] = {"requests": {"cpu": "100m", "memory": "256Mi"}}
    volumes = [*parts.volumes, {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]
    mounts = [*parts.mounts, {"name": "shm", "mountPath": "/dev/shm"}]
    for folder in (
        "templates",
        "search_spaces",
    ):  # of an editable install; a wheel has them within the package
        volumes.append({"name": folder.replace("_", "-"), "hostPath": {"path": str(ROOT / folder)}})
        mounts.append({"name": folder.replace("_", "-"), "mountPath": str(ROOT / folder), "readOnly": True})
    spec["volumes"] += volumes
    container["volumeMounts"] += mounts
    labels = template["metadata"]["labels"] | {"ray.io/cluster": CLUSTER, "ray.io/node-type": name}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec | {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5},
    }


def _by_kuberay(ray: str) -> list[Manifest]:
    """What KubeRay 1.7 sets in the pods of a cluster with authOptions.mode token."""
    return [
        {"name": "RAY_CLUSTER_NAME", "valueFrom": _field("metadata.labels['ray.io/cluster']")},
        {"name": "RAY_CLUSTER_NAMESPACE", "valueFrom": _field("metadata.namespace")},
        {"name": "RAY_ADDRESS", "value": ray},
        {"name": "RAY_AUTH_MODE", "value": "token"},
        {"name": "RAY_AUTH_TOKEN", "value": _TOKEN},
    ]


def programs(parts: Any) -> list[Manifest]:
    """What the image's own environment says."""
    python = next(each["value"] for each in parts.env if each["name"] == "ENGINE_PYTHON")
    return [
        {"name": "PATH", "value": f"{Path(python).parent}:/usr/bin:/bin"},
        {"name": "PYTHONPATH", "value": str(ROOT)},
        {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        {"name": "USER", "value": "tuner"},
    ]


def _route(api_server: str) -> list[Manifest]:
    """Where the API server is on this machine alone: the way by the node's address."""
    where = urlsplit(api_server)
    if where.hostname not in ("127.0.0.1", "localhost"):
        return []
    return [
        {"name": "KUBERNETES_SERVICE_HOST", "valueFrom": _field("status.hostIP")},
        {"name": "KUBERNETES_SERVICE_PORT", "value": str(where.port)},
    ]


def _field(path: str) -> Manifest:
    return {"fieldRef": {"fieldPath": path}}
