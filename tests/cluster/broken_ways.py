"""Ways to break a set-up on a real cluster, each a context: broken inside, sound again after it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import objects
from admission_parts import ADMISSION, Pods, certificates, configured, install_policies
from broken_ground import Break, Changes, Ground, Manifest, saying
from kubernetes import client
from mount_pods import engine, host, pod

from tuner.webhook.certs_files import write_certificates

HOST = "kubernetes.io/hostname"


@contextmanager
def pending(ground: Ground) -> Iterator[Changes]:
    """A claim that no volume fits."""
    _, claim = ground.claim("pending")
    del claim["spec"]["volumeName"]
    with ground.with_objects(claim):
        yield {"storage": {"pvc_name": "pending"}}


@contextmanager
def lost(ground: Ground) -> Iterator[Changes]:
    """A claim whose volume somebody deleted."""
    with ground.bound("lost") as changes:
        name = f"{ground.name}-lost"
        ground.core.delete_persistent_volume(name)
        ground.core.patch_persistent_volume(name, {"metadata": {"finalizers": None}})
        ground.until_claim("lost", "Lost")
        yield changes


@contextmanager
def going(ground: Ground) -> Iterator[Changes]:
    """A claim that is being deleted and held by somebody."""
    with ground.bound("going") as changes:
        held = {"metadata": {"finalizers": ["tuner-tests/held"]}}
        ground.core.patch_namespaced_persistent_volume_claim("going", ground.name, held)
        ground.core.delete_namespaced_persistent_volume_claim("going", ground.name)
        try:
            yield changes
        finally:
            free = {"metadata": {"finalizers": None}}
            ground.core.patch_namespaced_persistent_volume_claim("going", ground.name, free)


@contextmanager
def closing_namespace(ground: Ground) -> Iterator[Changes]:
    """A namespace on its way out, held by an object in it."""
    name = f"{ground.name}-closing"
    space = ground.object("v1", "Namespace", name, of_cluster=True)
    held = {"name": "held", "namespace": name, "finalizers": ["tuner-tests/held"]}
    ground.apply([space, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": held}])
    ground.core.delete_namespace(name)
    try:
        yield {"deploy": {"namespace": name}}
    finally:
        ground.core.patch_namespaced_config_map("held", name, {"metadata": {"finalizers": None}})


@contextmanager
def not_served(ground: Ground) -> Iterator[Changes]:
    """OME's InferenceService is no longer served."""
    extensions, name = client.ApiextensionsV1Api(ground.api), "inferenceservices.ome.io"

    def serve(served: bool) -> None:
        spec = extensions.read_custom_resource_definition(name).spec.versions
        versions = [ground.api.sanitize_for_serialization(each) | {"served": served} for each in spec]
        extensions.patch_custom_resource_definition(name, {"spec": {"versions": versions}})
        listed = client.CustomObjectsApi(ground.api).get_api_resources
        ground.until(
            lambda: (
                any(r.name == "inferenceservices" for r in listed("ome.io", "v1beta1").resources) == served
            ),
            seconds=60,
            what=f"served: {served}",
        )

    serve(False)
    try:
        yield {}
    finally:
        serve(True)


def patched(kind: str, spec: Manifest, *, undo: Manifest) -> Break:
    """OME's runtime or model of the place with another spec."""
    plural = {"runtime": "clusterservingruntimes", "model": "clusterbasemodels"}[kind]

    @contextmanager
    def broken(ground: Ground) -> Iterator[Changes]:
        objects, name = client.CustomObjectsApi(ground.api), getattr(ground.place, kind)
        objects.patch_cluster_custom_object("ome.io", "v1beta1", plural, name, {"spec": spec})
        try:
            yield {}
        finally:
            objects.patch_cluster_custom_object("ome.io", "v1beta1", plural, name, {"spec": undo})

    return broken


@dataclass(frozen=True)
class OtherRuntime:
    """A runtime like the place's with another runner."""

    name: str
    runner: Manifest = field(default_factory=dict)
    engine: Manifest = field(default_factory=dict)

    @contextmanager
    def __call__(self, ground: Ground) -> Iterator[Changes]:
        objects = client.CustomObjectsApi(ground.api)
        spec = objects.get_cluster_custom_object(
            "ome.io", "v1beta1", "clusterservingruntimes", ground.place.runtime
        )["spec"]
        spec["engineConfig"]["runner"] |= self.runner
        spec["engineConfig"] |= self.engine
        name = f"{ground.name}-{self.name}"
        made = ground.object("ome.io/v1beta1", "ClusterServingRuntime", name, of_cluster=True, spec=spec)
        with ground.with_objects(made):
            yield {"deploy": {"runtime": name}}


@contextmanager
def elsewhere(ground: Ground) -> Iterator[Changes]:
    """The volume is the first node's, and trials are to run on the second."""
    rule = {"key": HOST, "operator": "In", "values": [ground.nodes[0]]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
    with ground.bound("elsewhere", nodeAffinity={"required": required}) as changes:
        yield changes | {"deploy": {"pod": {"node_selector": {HOST: ground.nodes[1]}}}}


@contextmanager
def without_policy(ground: Ground) -> Iterator[Changes]:
    """The policy's binding is deleted, as somebody who tidies up would."""
    documents = [
        each
        for file in ("policy.yaml", "policy-v1beta1.yaml")
        for each in objects.manifests(ADMISSION / file)
        if each["kind"] == "MutatingAdmissionPolicyBinding"
        and objects.knows(ground.api, each["apiVersion"], each["kind"])
    ]
    pods = Pods(ground.api, ground.name)
    try:
        for binding in documents:
            ground.remove(binding)
        ground.until(lambda: not acts(pods), seconds=30, what="the policy acts no more")
        yield {}
    finally:
        install_policies(ground.api, ground.apply)
        ground.until(lambda: acts(pods), seconds=30, what="the policy acts again")


def acts(pods: Pods) -> bool:
    """Whether the claim is mounted in an annotated pod."""
    return pods.mounts(pod(engine(), volumes=[host()]))


@contextmanager
def webhook_down(ground: Ground) -> Iterator[Changes]:
    """A webhook for this namespace that nobody serves."""
    pods = Pods(ground.api, ground.name)
    here = {"matchLabels": {"kubernetes.io/metadata.name": ground.name}}
    with tempfile.TemporaryDirectory() as folder:
        write_certificates(Path(folder), certificates())
        with configured(pods, Path(folder), port=9, namespaceSelector=here):
            ground.until(lambda: not acts(pods), seconds=10, what="the webhook is asked")
            yield {}


@contextmanager
def labelled(ground: Ground) -> Iterator[Changes]:
    """The namespace refuses pods that mount what is the node's."""
    key = "pod-security.kubernetes.io/enforce"
    ground.core.patch_namespace(ground.name, {"metadata": {"labels": {key: "baseline"}}})
    try:
        yield {}
    finally:
        ground.core.patch_namespace(ground.name, {"metadata": {"labels": {key: None}}})


def quota(hard: dict[str, str], **changes: Any) -> Break:
    """A ResourceQuota, counted by its controller."""

    @contextmanager
    def broken(ground: Ground) -> Iterator[Changes]:
        made = ground.object("v1", "ResourceQuota", "small", spec={"hard": hard})
        with ground.with_objects(made):
            ground.until(
                lambda: ground.core.read_namespaced_resource_quota("small", ground.name).status.used,
                seconds=30,
                what="the quota is counted",
            )
            yield changes

    return broken


@contextmanager
def limit_range(ground: Ground) -> Iterator[Changes]:
    """Containers may have little memory."""
    rule = {"type": "Container", "max": {"memory": "64Mi"}}
    made = ground.object("v1", "LimitRange", "small", spec={"limits": [rule]})
    with ground.with_objects(made):
        yield {"deploy": {"pod": {"resources": {"limits": {"memory": "1Gi"}}}}}


@contextmanager
def tainted(ground: Ground) -> Iterator[Changes]:
    """Every node is some other team's."""
    taint = {"key": "team", "value": "other", "effect": "NoSchedule"}
    for node in ground.nodes:
        ground.core.patch_node(node, {"spec": {"taints": [taint]}})
    try:
        yield {}
    finally:
        for node in ground.nodes:
            ground.core.patch_node(node, {"spec": {"taints": None}})


def files(name: str, **content: bytes) -> Break:
    """A folder of the claim with these files alone."""
    return saying(storage=lambda ground: {"pvc_subpath": ground.folder(name, **content)})


@contextmanager
def closed(ground: Ground) -> Iterator[Changes]:
    """A folder that its owner alone may open, and an engine that runs as somebody else."""
    name = ground.folder("closed", config_json=b"{}")
    (ground.place.namespace.models / name).chmod(0o700)
    with OtherRuntime("user", {"securityContext": {"runAsUser": 65532}})(ground) as changes:
        yield changes | {"storage": {"pvc_subpath": name}}
