"""Nodes without a machine: what a kubelet tells of itself and its pods is told here; thousands can run.

Such a pod never was: it is Running and Ready at once, at an address of this machine, and gone when it is
deleted. Scheduling, owners, collection and watches are the real ones. Pods come here by a toleration alone.
"""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import UTC, datetime
from typing import Any

from kubernetes import client, watch

LABEL = TAINT = "tuner-tests/fake"
ADDRESS = "127.0.0.1"
_HEARTBEAT_SECONDS = 10.0  # a node that was silent for 40 s is taken for lost
_WATCH_SECONDS = 300

Json = dict[str, Any]


def toleration() -> Json:
    """For pods that may run here."""
    return {"key": TAINT, "operator": "Exists"}


def selector() -> Json:
    """For pods that must."""
    return {LABEL: "true"}


class FakeNodes:
    """A context with `count` nodes; they are gone afterwards.

    Args:
        accelerators: of each node.
    """

    def __init__(
        self, api: client.ApiClient, *, count: int, accelerators: int, gpu: str = "nvidia.com/gpu"
    ) -> None:
        self.names = [f"fake-{number + 1}" for number in range(count)]
        self.most_at_once = 0
        self._capacity = {"cpu": "1000", "memory": "1Ti", "pods": "2000", gpu: str(accelerators)}
        self._api = api
        self._core = client.CoreV1Api(api)
        self._leases = client.CoordinationV1Api(api)
        self._running: set[str] = set()
        self._over = threading.Event()
        self._watches: list[watch.Watch] = []
        self._threads = [threading.Thread(target=self._beat, name="heartbeats", daemon=True)]
        self._threads += [
            threading.Thread(target=self._keep_pods, args=(name,), name=f"pods of {name}", daemon=True)
            for name in self.names
        ]

    def __enter__(self) -> FakeNodes:
        for name in self.names:
            self._make(name)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._watches:
            each.stop()
        for name in self.names:
            with contextlib.suppress(client.ApiException):
                self._core.delete_node(name)
            with contextlib.suppress(client.ApiException):
                self._leases.delete_namespaced_lease(name, "kube-node-lease")

    def _make(self, name: str) -> None:
        labels = {LABEL: "true", "kubernetes.io/hostname": name}
        node = {
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": [{"key": TAINT, "value": "true", "effect": "NoSchedule"}]},
        }
        self._core.create_node(node)
        self._renew(name)
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it is a stand-in"}
        times = {"lastHeartbeatTime": _now(), "lastTransitionTime": _now()}
        addresses = [{"type": "InternalIP", "address": ADDRESS}]
        status = {
            "capacity": self._capacity,
            "allocatable": self._capacity,
            "conditions": [ready | times],
            "addresses": addresses,
        }
        self._core.patch_node_status(name, {"status": status})

    def _beat(self) -> None:
        while not self._over.wait(_HEARTBEAT_SECONDS):
            for name in self.names:
                with contextlib.suppress(client.ApiException, OSError):
                    self._renew(name)

    def _renew(self, name: str) -> None:
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": _now(micro=True)}
        body = {"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": spec}
        try:
            self._leases.patch_namespaced_lease(name, "kube-node-lease", body)
        except client.ApiException as error:
            if error.status != 404:
                raise
            self._leases.create_namespaced_lease("kube-node-lease", body)

    def _keep_pods(self, node: str) -> None:
        """Answer for the pods of one node until the context ends."""
        while not self._over.is_set():
            stream = watch.Watch()
            self._watches.append(stream)
            with contextlib.suppress(Exception):  # a watch that was cut off is begun again, and lists first
                for event in stream.stream(
                    self._core.list_pod_for_all_namespaces,
                    field_selector=f"spec.nodeName={node}",
                    timeout_seconds=_WATCH_SECONDS,
                ):
                    self._attend(event["type"], event["raw_object"])
            self._watches.remove(stream)

    def _attend(self, kind: str, pod: Json) -> None:
        metadata, status = pod["metadata"], pod.get("status", {})
        if kind == "DELETED":
            self._running.discard(metadata["uid"])
        elif metadata.get("deletionTimestamp"):
            self._running.discard(metadata["uid"])
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
            with contextlib.suppress(client.ApiException):
                self._core.delete_namespaced_pod(metadata["name"], metadata["namespace"], body=options)
        elif status.get("phase") == "Pending":
            self._running.add(metadata["uid"])
            self.most_at_once = max(self.most_at_once, len(self._running))
            with contextlib.suppress(client.ApiException):
                self._core.patch_namespaced_pod_status(
                    metadata["name"], metadata["namespace"], {"status": _running(pod)}
                )


def _running(pod: Json) -> Json:
    """The status of a pod whose containers serve."""
    conditions = [
        {"type": name, "status": "True", "lastTransitionTime": _now()}
        for name in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    containers = [
        {
            "name": each["name"],
            "image": each["image"],
            "imageID": each["image"],
            "containerID": f"fake://{pod['metadata']['uid']}",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": _now()}},
        }
        for each in pod["spec"]["containers"]
    ]
    return {
        "phase": "Running",
        "conditions": conditions,
        "containerStatuses": containers,
        "hostIP": ADDRESS,
        "podIP": ADDRESS,
        "podIPs": [{"ip": ADDRESS}],
        "startTime": _now(),
    }


def _now(*, micro: bool = False) -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime(
        "%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ"
    )
