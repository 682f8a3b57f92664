"""Which model and which runtime an InferenceService names, and whether the one serves the other."""

from __future__ import annotations

from ome_api import Api
from ome_merge import Json, Refused

_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def model_of(api: Api, isvc: Json) -> Json:
    """The BaseModel of that name in the namespace, else the ClusterBaseModel.

    Raises:
        Refused: none, which OME says to nobody.
    """
    wanted, namespace = isvc["spec"].get("model") or {}, isvc["metadata"]["namespace"]
    name = wanted.get("name")
    if not name:
        raise Refused("no model is named")
    for kind, where in (("BaseModel", namespace), ("ClusterBaseModel", "")):
        found = api.get(kind, name, where)
        if found is not None:
            return {**found, "kind": kind}
    raise Refused(f'failed to get base model spec for {name}: ClusterBaseModel.ome.io "{name}" not found')


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
    spec, serves = model["spec"], runtime["spec"]
    if serves.get("disabled"):
        return f"runtime {runtime['metadata']['name']} is disabled"
    if not any(_format_matches(each, spec) for each in serves.get("supportedModelFormats") or []):
        return f"model format {spec['modelFormat']['name']} is not supported"
    size, span = spec.get("modelParameterSize"), serves.get("modelSizeRange")
    if size and span and not _count(span["min"]) <= _count(size) <= _count(span["max"]):
        return f"model size {size} is not within {span['min']} to {span['max']}"
    return ""


def _format_matches(supported: Json, spec: Json) -> bool:
    """What the runtime leaves open matches everything."""
    for field in ("modelFormat", "modelFramework"):
        wanted, has = supported.get(field) or {}, spec.get(field) or {}
        if wanted and wanted.get("name") != has.get("name"):
            return False
    architecture = supported.get("modelArchitecture")
    return not architecture or architecture == spec.get("modelArchitecture")


def _count(size: str) -> float:
    return float(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else float(size)
