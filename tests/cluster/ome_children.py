"""What OME 0.1.5 makes of an InferenceService: its children as manifests. Nothing here calls the API."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ome_merge import Json, Refused, filled, merged

API_VERSION = "ome.io/v1beta1"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SERVICE_NAME_LENGTH = 63
_MODEL_LABEL_LENGTH = 49
_CONFIG_SUFFIX_LENGTH = 20
_CATEGORY = "models.ome.io/category"
# Fields of `engine` that are not the pod's.
_ENGINE_FIELDS = {
    "acceleratorOverride", "annotations", "canaryTrafficPercent", "containerConcurrency",
    "deploymentStrategy", "kedaConfig", "labels", "leader", "maxReplicas", "maxUnavailable", "minAvailable",
    "minReplicas", "runner", "scaleMetric", "scaleTarget", "timeoutSeconds", "worker",
}  # fmt: skip


def service_name(name: str) -> str:
    """The engine's Service and `app` label: NAME-engine; a hash and its end where that is too long."""
    short = _shortened(f"{name}-engine", _SERVICE_NAME_LENGTH)
    # the name of a Service begins with a letter
    return "a" + short[1:] if short != f"{name}-engine" and short[0].isdigit() else short


def _shortened(text: str, length: int) -> str:
    """The text; a hash of it and its end where it is longer."""
    if len(text) <= length:
        return text
    return f"{hashlib.sha256(text.encode()).hexdigest()[:8]}-{text[9 - length :]}"


def model_config(isvc: Json, model: Json) -> Json:
    """The ConfigMap modelconfig-(end of the name), the first child, which names the model."""
    spec, storage = model["spec"], model["spec"].get("storage") or {}
    parts = {
        "storageUri": storage.get("storageUri"),
        "path": storage.get("path"),
        "modelFormatName": spec["modelFormat"]["name"],
        "modelFormatVersion": spec["modelFormat"].get("version"),
        "modelType": spec.get("modelType"),
        "modelFrameworkName": (spec.get("modelFramework") or {}).get("name"),
        "modelFrameworkVersion": (spec.get("modelFramework") or {}).get("version"),
    }
    known = {key: value for key, value in parts.items() if value}
    models = [{"modelName": model["metadata"]["name"], "modelSpec": known}]
    name = isvc["metadata"]["name"]
    made = _child(isvc, "v1", "ConfigMap", f"modelconfig-{name[-_CONFIG_SUFFIX_LENGTH:]}", {})
    made["metadata"]["labels"] = {"ome.io/inferenceservice": name}
    return {**made, "data": {"models.json": json.dumps(models, separators=(",", ":"))}}


def engine_children(isvc: Json, model: Json, runtime: Json) -> list[Json]:
    """Deployment, Service, HorizontalPodAutoscaler (unless annotated), PodDisruptionBudget, in OME's order.

    Raises:
        Refused: OME builds none of them.
    """
    engine = _engine(isvc, runtime)
    name = isvc["metadata"]["name"]
    app, full = service_name(name), f"{name}-engine"
    labels, annotations = _labels(isvc, engine, model, runtime), _annotations(isvc, engine, model, runtime)
    pod = _pod(isvc, engine, model)
    chosen = {"matchLabels": {"app": app}}
    template = {"name": full, "namespace": isvc["metadata"]["namespace"]}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    deployment = {
        "selector": chosen,
        "template": {
            "metadata": {**template, "labels": labels, "annotations": annotations},
            "spec": pod,
        },
        "strategy": engine.get("deploymentStrategy") or rolling,
        "progressDeadlineSeconds": 600,
    }
    service = {"selector": {"app": app}, "ports": [_service_port(port) for port in _ports(pod)]}
    made = [
        _child(isvc, "apps/v1", "Deployment", full, deployment),
        _child(isvc, "v1", "Service", app, service),
    ]
    if isvc["metadata"].get("annotations", {}).get("ome.io/autoscalerClass") != "external":
        made.append(
            _child(isvc, "autoscaling/v2", "HorizontalPodAutoscaler", full, _autoscaler(full, engine))
        )
    budget = {"selector": chosen, "maxUnavailable": 1}
    made.append(_child(isvc, "policy/v1", "PodDisruptionBudget", full, budget))
    for child in made:
        child["metadata"].update(labels=labels, annotations=annotations)
    return made


def external_service(isvc: Json, deployment: Json) -> Json:
    """The Service NAME, by which the engine is called."""
    name = isvc["metadata"]["name"]
    chosen = {"component": "engine", "ome.io/inferenceservice": name}
    port = {"name": "http", "port": first_port(deployment), "targetPort": first_port(deployment)}
    made = _child(isvc, "v1", "Service", name, {"selector": chosen, "ports": [port]})
    made["metadata"]["labels"] = {"component": "external-service", "ome.io/inferenceservice": name}
    return made


def first_port(deployment: Json) -> int:
    """The first port of the engine's container; 8080 where it names none."""
    ports = _ports(deployment["spec"]["template"]["spec"])
    return int(ports[0]["containerPort"]) if ports else 8080


def _engine(isvc: Json, runtime: Json) -> Json:
    over = isvc["spec"].get("engine")
    if over is None:
        raise Refused("engine component is required", reason="DeploymentModeError")
    if "runner" in over:  # as OME writes it back: a runner without a name has an empty one
        over = {**over, "runner": {"name": "", "resources": {}, **over["runner"]}}
    engine: Json = merged(runtime["spec"].get("engineConfig") or {}, over)
    if engine.get("leader") or engine.get("worker"):
        raise Refused("no kind is registered for LeaderWorkerSet")
    if engine.get("minReplicas") == 0:
        raise Refused("no kind is registered for a Knative Service")
    return engine


def _labels(isvc: Json, engine: Json, model: Json, runtime: Json) -> Json:
    name = isvc["metadata"]["name"]
    return {
        **(isvc["metadata"].get("labels") or {}),
        **(engine.get("labels") or {}),
        "app": service_name(name),
        "component": "engine",
        "ome.io/inferenceservice": name,
        "serving-runtime": runtime["metadata"]["name"],
        "base-model-name": model["metadata"]["name"],
        "base-model-size": (model["metadata"].get("annotations") or {}).get(_CATEGORY, "SMALL"),
        "base-model-type": "Serving",
        "base-model-vendor": model["spec"].get("vendor", ""),
        "fine-tuned-serving": "false",
    }


def _annotations(isvc: Json, engine: Json, model: Json, runtime: Json) -> Json:
    given = {
        key: value
        for key, value in (isvc["metadata"].get("annotations") or {}).items()
        if key != _LAST_APPLIED
    }
    about = {
        "ome.io/base-model-name": model["metadata"]["name"],
        "ome.io/base-model-format": model["spec"]["modelFormat"]["name"],
        "ome.io/base-model-format-version": model["spec"]["modelFormat"].get("version", ""),
        "ome.io/base-model-vendor": model["spec"].get("vendor", ""),
        "ome.io/serving-runtime": runtime["metadata"]["name"],
    }
    return {**given, **(engine.get("annotations") or {}), **about}


def _pod(isvc: Json, engine: Json, model: Json) -> Json:
    """The pod's spec: the merged engine with the model's volume, OME's variables and node selector."""
    runner = dict(engine.get("runner") or {})
    pod: Json = {key: value for key, value in engine.items() if key not in _ENGINE_FIELDS}
    name, path = model["metadata"]["name"], (model["spec"].get("storage") or {}).get("path")
    if path:
        mount = {"name": name, "mountPath": path, "readOnly": True}
        runner["volumeMounts"] = [*(runner.get("volumeMounts") or []), mount]
        pod["volumes"] = [*(pod.get("volumes") or []), {"name": name, "hostPath": {"path": path}}]
        env = runner.get("env") or []
        if all(variable["name"] != "MODEL_PATH" for variable in env):
            runner["env"] = [*env, {"name": "MODEL_PATH", "value": path}]
    resources = {"limits": {}, "requests": {}, **(runner.get("resources") or {})}
    accelerators = {**resources["requests"], **resources["limits"]}.get("nvidia.com/gpu")
    if accelerators:
        env = [each for each in runner.get("env") or [] if each["name"] != "PARALLELISM_SIZE"]
        runner["env"] = [*env, {"name": "PARALLELISM_SIZE", "value": str(accelerators)}]
    pod["nodeSelector"] = {_ready_label(model): "Ready", **(pod.get("nodeSelector") or {})}
    if "readinessProbe" not in runner and runner.get("name") == "ome-container":
        port = (runner.get("ports") or [{"containerPort": 8080}])[0]["containerPort"]
        runner["readinessProbe"] = {
            "tcpSocket": {"port": port}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
            "failureThreshold": 3,
        }  # fmt: skip
    pod["containers"] = [filled(runner, isvc["metadata"]), *(pod.get("containers") or [])]
    return pod


def _ready_label(model: Json) -> str:
    """What OME's agent puts on the nodes that have the model."""
    name, namespace = model["metadata"]["name"], model["metadata"].get("namespace")
    if not namespace:
        kind = "clusterbasemodel."
        return f"models.ome.io/{kind}{_shortened(name, _MODEL_LABEL_LENGTH - len(kind))}"
    room = _MODEL_LABEL_LENGTH - len(".basemodel.")
    if len(namespace) + len(name) > room:
        namespace = _shortened(namespace, 8)[:8]
        name = _shortened(name, room - len(namespace))
    return f"models.ome.io/{namespace}.basemodel.{name}"


def _autoscaler(full: str, engine: Json) -> Json:
    least = engine.get("minReplicas") or 1
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": full},
        "minReplicas": least,
        "maxReplicas": max(least, engine.get("maxReplicas") or 1),
        "metrics": [{"type": "Resource", "resource": cpu}],
        "behavior": {"scaleUp": {}, "scaleDown": {}},
    }


def _ports(pod: Json) -> list[Json]:
    return pod["containers"][0].get("ports") or []


def _service_port(port: Json) -> Json:
    number = port["containerPort"]
    return {"name": port.get("name", "http"), "protocol": port.get("protocol", "TCP"), "port": number,
            "targetPort": number}  # fmt: skip


def _child(isvc: Json, version: str, kind: str, name: str, spec: Json) -> dict[str, Any]:
    meta = isvc["metadata"]
    owner = {"apiVersion": API_VERSION, "kind": "InferenceService", "name": meta["name"], "uid": meta["uid"],
             "controller": True, "blockOwnerDeletion": True}  # fmt: skip
    metadata = {"name": name, "namespace": meta["namespace"], "ownerReferences": [owner]}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {})}
