"""Which model and which runtime an InferenceService names, and whether the one serves the other."""

from __future__ import annotations

from ome_api import Api
from ome_merge import Json, Refused

_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def model_of(api: Api, isvc: Json) -> Json:
    """The BaseModel of that name in the namespace, else the ClusterBaseModel.

    Raises:
        Refused: there is none of the kind that is said, which OME says to nobody.
    """
    wanted, namespace = isvc["spec"].get("model") or {}, isvc["metadata"]["namespace"]
    name, kind = wanted.get("name"), wanted.get("kind", "ClusterBaseModel")
    if not name:
        raise Refused("model reference is required", reason="ModelReconcileError")
    of_namespace = api.get("BaseModel", name, namespace)
    of_cluster = api.get("ClusterBaseModel", name)
    if (of_namespace if kind == "BaseModel" else of_cluster) is None:
        raise Refused(f'failed to get base model spec for {name}: {kind}.ome.io "{name}" not found')
    found = of_namespace or of_cluster
    assert found is not None
    return found


def runtime_of(api: Api, isvc: Json, model: Json) -> Json:
    """The ServingRuntime of that name in the namespace, else the ClusterServingRuntime.

    Raises:
        Refused: none is named (OME then looks for one, the stand-in does not), or it cannot serve the model.
    """
    name, namespace = (isvc["spec"].get("runtime") or {}).get("name"), isvc["metadata"]["namespace"]
    if not name:
        raise Refused("no runtime is named, and this stand-in for OME selects none")
    runtime = api.get("ServingRuntime", name, namespace) or api.get("ClusterServingRuntime", name)
    why = (
        f"runtime {name} not found in namespace {namespace} or at cluster scope"
        if runtime is None
        else _mismatch(runtime, model)
    )
    if runtime is None or why:
        said = f"Runtime {name} does not support model {model['metadata']['name']}: {why}"
        raise Refused(said, reason="RuntimeValidationError")
    return runtime


def _mismatch(runtime: Json, model: Json) -> str:
    """Why the runtime does not serve the model; empty where it does."""
    spec, serves, name = model["spec"], runtime["spec"], runtime["metadata"]["name"]
    if serves.get("disabled"):
        return f"runtime {name} is disabled"
    if not any(_matches(each, spec) for each in serves.get("supportedModelFormats") or []):
        return f"model format {spec['modelFormat']['name']} does not match one that it supports"
    size, span = spec.get("modelParameterSize"), serves.get("modelSizeRange")
    if size and span and not _count(span["min"]) <= _count(size) <= _count(span["max"]):
        return f"model size {size} is outside supported range [{span['min']}, {span['max']}]"
    return ""


def _matches(supported: Json, spec: Json) -> bool:
    """What only one of the two says does not match."""
    if any(supported.get(field) != spec.get(field) for field in ("modelArchitecture", "quantization")):
        return False
    for field in ("modelFormat", "modelFramework"):
        wanted, has = supported.get(field), spec.get(field)
        if (wanted is None) != (has is None):
            return False
        if wanted and has and any(wanted.get(part) != has.get(part) for part in ("name", "version")):
            return False
    return True


def _count(size: str) -> float:
    return float(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else float(size)
