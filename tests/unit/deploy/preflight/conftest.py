"""A cluster of dicts with the calls that the checks make, and admission as a function of the pod."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.wanted import Demand, Wanted
from tuner.spec import shipped
from tuner.spec.deploy import Deploy
from tuner.spec.model import Model, Storage
from tuner.trial.ports import Phase, TrialConfig

PATH = "/raid/models/tiny"
OME_KINDS = [
    *("inferenceservices", "servingruntimes", "clusterservingruntimes"),
    *("basemodels", "clusterbasemodels"),
]


def _refused(status: int, said: str) -> ApiRefused:
    return ApiRefused(f"HTTP {status}: {said}", status=status, reason="", said=said)


def _node(name: str, *, gpus: int = 8, taint: str = "", **labels: str) -> dict[str, Any]:
    """A node that is ready; a taint as kubectl writes it: key:NoSchedule."""
    key, _, effect = taint.partition(":")
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "spec": {"taints": [{"key": key, "effect": effect}]} if taint else {},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"nvidia.com/gpu": str(gpus), "cpu": "32", "memory": "64Gi"},
        },
    }


LISTED = """place m
files 3
bytes 2471645608
config yes
beside config.json model.safetensors
"""
_GUARD = "ValidatingAdmissionPolicy 'ome-pvc-guard' with binding 'ome-pvc-guard' denied request: "


def _guard(pod: dict[str, Any]) -> dict[str, Any]:
    """The part of the real guard that the checks rest on."""
    annotations = pod["metadata"]["annotations"]
    if "ome.io/pvc-name" in annotations and annotations.get("ome.io/storage-type") != "pvc":
        raise _refused(422, _GUARD + "annotation ome.io/pvc-name is set but ome.io/storage-type is not pvc")
    for volume in pod["spec"].get("volumes", []):
        if "hostPath" in volume:
            raise _refused(422, _GUARD + f"volume {volume['name']} is still a hostPath, not claim c")
    return pod


def _mount(pod: dict[str, Any]) -> dict[str, Any]:
    """What policy and webhook make of a pod of OME's."""
    annotations = pod["metadata"]["annotations"]
    if annotations.get("ome.io/storage-type") != "pvc":
        return pod
    container = pod["spec"]["containers"][0]
    path = annotations.get("ome.io/mount-path") or container["volumeMounts"][0]["mountPath"]
    claim = {"claimName": annotations["ome.io/pvc-name"], "readOnly": True}
    pod["spec"]["volumes"] = [{"name": annotations["ome.io/base-model-name"], "persistentVolumeClaim": claim}]
    mounted = {"name": annotations["ome.io/base-model-name"], "mountPath": path, "readOnly": True}
    if subpath := annotations.get("ome.io/pvc-subpath"):
        mounted["subPath"] = subpath
    container["volumeMounts"], container["env"] = [mounted], [{"name": "MODEL_PATH", "value": path}]
    pod["spec"].pop("nodeSelector")
    return pod


def _as_it_came(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest


@dataclass
class FakeCluster:
    """`objects` by (plural, name); `forbidden` holds (verb, plural); `admit` gives the pod or raises."""

    namespace: str = "trials"
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    admit: Any = _as_it_came
    admit_model: Any = _as_it_came
    admit_service: Any = _as_it_came
    pods: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    kinds: bool = True
    listing: str = LISTED  # what the pod that reads the claim writes
    unread: dict[str, Any] = field(default_factory=dict)  # or its status, where it does not get so far
    gone: bool = False
    version: str = "v1.34.4"
    stored: list[dict[str, Any]] = field(default_factory=list)

    def put(self, plural: str, name: str, **content: Any) -> None:
        self.objects[plural, name] = {"metadata": {"name": name}, "spec": {}, **content}

    refused = staticmethod(_refused)
    node = staticmethod(_node)
    guarding = staticmethod(_guard)
    mounting = staticmethod(_mount)

    def server_version(self, *, seconds: float = 20) -> str:
        if self.gone:
            raise Unreachable("https://nowhere", "connection refused")
        return self.version

    def get(self, resource: Any, name: str) -> dict[str, Any] | None:
        self._allow("get", resource.plural)
        return self.objects.get((resource.plural, name))

    def list(
        self,
        resource: Any,
        *,
        labels: str = "",
        fields: str = "",
        limit: int | None = None,
        everywhere: bool = False,
    ) -> dict[str, Any]:
        if not resource.plural:  # what the group has
            kinds = OME_KINDS if resource.group == "ome.io" and self.kinds else ()
            return {"resources": [{"name": name} for name in kinds]}
        self._allow("list", resource.plural)
        if resource.plural == "nodes":
            pairs = [pair.split("=") for pair in labels.split(",") if pair]
            own = ((node, node["metadata"]["labels"]) for node in self.nodes)
            return {"items": [node for node, theirs in own if all(theirs.get(k) == v for k, v in pairs)]}
        items = [found for (plural, _), found in self.objects.items() if plural == resource.plural]
        if resource.plural == "pods":
            items = self.pods if everywhere else []
        return {"items": items}

    def create(
        self, resource: Any, manifest: dict[str, Any], *, dry_run: bool = False, strict: bool = True
    ) -> dict[str, Any]:
        self._allow("create", resource.plural)
        admit = {
            "pods": self.admit,
            "basemodels": self.admit_model,
            "inferenceservices": self.admit_service,
        }.get(resource.plural, _as_it_came)
        made = copy.deepcopy(manifest)
        made["metadata"].setdefault("name", made["metadata"].get("generateName", "") + "x")
        made = admit(made)
        if not dry_run:
            self.stored.append(manifest)
            ended = {"terminated": {"exitCode": 0, "message": self.listing}}
            made["metadata"]["uid"], made["spec"]["nodeName"] = "u", "n1"
            made["status"] = self.unread or {"containerStatuses": [{"name": "reader", "state": ended}]}
            self.objects[resource.plural, made["metadata"]["name"]] = made
        return made

    def delete(self, resource: Any, name: str) -> bool:
        self._allow("delete", resource.plural)
        return self.objects.pop((resource.plural, name), None) is not None

    def may(self, verb: str, resource: Any, *, part: str = "", everywhere: bool = False) -> bool:
        return (verb, resource.plural) not in self.forbidden

    def _allow(self, verb: str, plural: str) -> None:
        if (verb, plural) in self.forbidden:
            raise _refused(403, f'{plural} is forbidden: User "x" cannot {verb} resource "{plural}"')


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster on which all is well: policy and guard act, and everything that `wanted` names is there."""
    made = FakeCluster()
    made.put("namespaces", "trials")
    made.objects["namespaces", "trials"]["metadata"]["labels"] = {"autotuner.io/mount": "policy"}
    runner = {"image": "engine:1", "command": ["/engine"]}
    made.put("clusterservingruntimes", "rt", spec={"engineConfig": {"runner": runner}})
    made.nodes = [made.node("n1"), made.node("n2")]
    made.put("clusterbasemodels", "tiny", spec={"storage": {"storageUri": "pvc://c/m", "path": PATH}})
    made.put("persistentvolumeclaims", "c", status={"phase": "Bound", "accessModes": ["ReadOnlyMany"]})
    made.admit = lambda pod: made.guarding(made.mounting(pod))
    return made


@pytest.fixture
def wanted():
    """`wanted(mount="inline", deploy={...}, ...)`: an OME experiment of claim c; its storage keys by name."""

    def made(
        *,
        deploy: dict[str, Any] | None = None,
        model: dict[str, Any] | None = None,
        demand: Demand | None = None,
        **storage: Any,
    ) -> Wanted:
        return Wanted(
            task="t",
            model=Model.model_validate({"name": "tiny", **(model or {})}),
            storage=Storage.model_validate({"type": "pvc", "pvc_name": "c", "pvc_subpath": "m", **storage}),
            deploy=Deploy.model_validate({"backend": "ome", "runtime": "rt", **(deploy or {})}),
            template=shipped.template("inference_service.yaml.j2"),
            demand=demand,
        )

    return made


@pytest.fixture
def trial() -> TrialConfig:
    return TrialConfig(run="preflight", trial=0, phase=Phase.SEARCH, attempt=1, params={})
