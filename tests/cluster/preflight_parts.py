"""Namespaces, objects and experiments for the tests of preflight."""

from __future__ import annotations

from tuner.deploy.kubernetes.client import Access, Cluster
from tuner.deploy.kubernetes.mounting import settle
from tuner.deploy.kubernetes.preflight import findings
from tuner.deploy.kubernetes.wanted import Wanted
from tuner.errors import WorldError
from tuner.spec import shipped
from tuner.spec.deploy import Deploy
from tuner.spec.model import Model, Storage
from tuner.trial.ports import Phase, TrialConfig

PATH = "/raid/models/tiny"
TRIAL = TrialConfig(
    run="preflight", trial=0, phase=Phase.SEARCH, attempt=1, params={}, arguments=("--n-parallel", "4")
)
FORMAT = {"name": "safetensors", "version": "1.0.0"}
FRAMEWORK = {"name": "transformers", "version": "4.36.0"}


def cluster_of(namespace, *, name: str = "") -> Cluster:
    return Cluster(name or namespace.name, access=Access(str(namespace.kubeconfig), "", namespace.name))


def wanted_in(namespace, *, model: str = "tiny", kind: str = "BaseModel", deploy=None, **storage) -> Wanted:
    given = {"backend": "ome", "runtime": "rt", **(deploy or {})}
    names = {"ome": "inference_service.yaml.j2", "kubernetes": "deployment.yaml.j2"}
    return Wanted(
        task="t",
        model=Model.model_validate({"name": model, "kind": kind}),
        storage=Storage.model_validate(
            {"type": "pvc", "pvc_name": namespace.claim, "pvc_subpath": namespace.subpath, **storage}
        ),
        deploy=Deploy.model_validate(given),
        template=shipped.template(names[given["backend"]]),
    )


def base_model(namespace, name: str = "tiny", *, kind: str = "BaseModel", path: str | None = PATH) -> dict:
    storage = {
        "storageUri": f"pvc://{namespace.claim}/{namespace.subpath}",
        **({"path": path} if path else {}),
    }
    metadata = {"name": name, **({"namespace": namespace.name} if kind == "BaseModel" else {})}
    return {
        "apiVersion": "ome.io/v1beta1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"modelFormat": FORMAT, "modelFramework": FRAMEWORK, "storage": storage},
    }


def serving_runtime(namespace, parts) -> dict:
    runner = parts.container()
    del runner["args"]
    return {
        "apiVersion": "ome.io/v1beta1",
        "kind": "ServingRuntime",
        "metadata": {"name": "rt", "namespace": namespace.name},
        "spec": {
            "supportedModelFormats": [{"modelFormat": FORMAT, "modelFramework": FRAMEWORK}],
            "engineConfig": {"runner": runner, "volumes": parts.volumes},
        },
    }


def lines(
    namespace, level: str, wanted: Wanted | None = None, *, cluster: Cluster | None = None
) -> list[str]:
    found = findings(cluster or cluster_of(namespace), wanted or wanted_in(namespace), TRIAL)
    assert all("\n" not in finding.line for finding in found)
    return [finding.line for finding in found if finding.level == level]


def failure(namespace) -> str:
    try:
        settle(cluster_of(namespace), wanted_in(namespace), places={})
    except WorldError as error:
        return str(error)
    return ""
