"""Laying an InferenceService's engine over its runtime's engineConfig, as OME 0.1.5 was seen to do it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

# Lists of a pod spec that merge by a key of their elements; every other list is replaced whole.
_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "resourceClaims": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_ACTION = re.compile(r"\{\{(.*?)(\}\}|$)", re.DOTALL)
_FIELD = re.compile(r"\s*\.(Name|Namespace|(?:Labels|Annotations)\.\w+)\s*")


class Refused(Exception):
    """The controller builds no more of this InferenceService.

    Attributes:
        reason: of the event on the InferenceService that says so; None where OME keeps silent.
    """

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


def merged(runtime: Any, isvc: Any, field: str = "") -> Any:
    """The strategic merge of a field's value `isvc` over its value `runtime`; both stay as they are."""
    if isinstance(runtime, Mapping) and isinstance(isvc, Mapping):
        both = {key: merged(runtime[key], isvc[key], key) for key in runtime if key in isvc}
        return {**runtime, **isvc, **both}
    if isinstance(runtime, list) and isinstance(isvc, list) and field in _MERGE_KEYS:
        return _merged_lists(runtime, isvc, _MERGE_KEYS[field])
    return isvc


def _merged_lists(runtime: list[Json], isvc: list[Json], key: str) -> list[Json]:
    """Elements of equal key merge; a runtime's element stays before a common one that it preceded."""
    place = {element.get(key): index for index, element in enumerate(runtime)}
    patches = [
        merged(runtime[place[element.get(key)]], element) if element.get(key) in place else element
        for element in isvc
    ]
    common = {element.get(key) for element in isvc}
    alone = [element for element in runtime if element.get(key) not in common]
    result: list[Json] = []
    while alone and patches:
        here, there = place[alone[0].get(key)], place.get(patches[0].get(key))
        result.append((alone if there is not None and here < there else patches).pop(0))
    return result + alone + patches


def filled(value: Any, metadata: Json) -> Any:
    """The value with `{{.Name}}` and the like in its strings replaced from the object's metadata.

    Raises:
        Refused: `{{` begins something that this small part of Go's templates does not know. OME then
            stops without a sign.
    """
    if isinstance(value, Mapping):
        return {key: filled(inner, metadata) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, metadata) for inner in value]
    if isinstance(value, str) and "{{" in value:
        return _ACTION.sub(lambda action: _replacement(action, metadata), value)
    return value


def _replacement(action: re.Match[str], metadata: Json) -> str:
    field = _FIELD.fullmatch(action[1])
    if field is None or not action[2]:
        raise Refused(f"failed to replace placeholders in container: {action[0]!r} is no template")
    name, _, key = field[1].partition(".")
    found = metadata.get(name.lower())
    return str((found or {}).get(key, "") if key else found)
