"""What the API server would refuse of an object, as far as no server is needed: names, labels, amounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tuner.spec.faults import Fault
from tuner.spec.names import (
    container_path,
    dns_service_label,
    dns_subdomain,
    label_value,
    qualified_key,
    quantity,
    relative_path,
    variable_name,
)

_Check = Callable[[Any], Any]
_LISTS = ("args", "command", "env", "volumeMounts")
_SERVED = ("InferenceService", "Deployment", "Service")  # a Service is called after them


def object_faults(manifest: Mapping[str, Any]) -> Iterator[str]:
    """One line for each value that Kubernetes would not take: the kind, where, what, what would be right."""
    kind = str(manifest.get("kind"))
    metadata = manifest.get("metadata") or {}
    name: _Check = dns_service_label if kind in _SERVED else dns_subdomain
    yield from _checked(kind, "metadata.name", metadata.get("name"), name)
    yield from _metadata(kind, "metadata", metadata)
    yield from _below(kind, "spec", manifest.get("spec") or {})


def _metadata(kind: str, at: str, metadata: Any) -> Iterator[str]:
    if not isinstance(metadata, Mapping):
        yield f"{kind}: {at}: got {metadata!r}; would be right: a mapping"
        return
    for key, value in (metadata.get("labels") or {}).items():
        yield from _checked(kind, f"{at}.labels", key, qualified_key)
        yield from _checked(kind, f"{at}.labels.{key}", value, label_value)
    for key, value in (metadata.get("annotations") or {}).items():
        yield from _checked(kind, f"{at}.annotations", key, qualified_key)
        yield from _text(kind, f"{at}.annotations.{key}", value)


def _below(kind: str, at: str, node: Any) -> Iterator[str]:
    """Whatever looks like a part of a pod, wherever it stands."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _below(kind, f"{at}[{index}]", item)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key in _LISTS and not isinstance(value, list):
                yield f"{kind}: {at}.{key}: got {value!r}; would be right: a list"
            elif key in ("matchLabels", "selector", "nodeSelector") and _flat(value):
                for label, text in value.items():
                    yield from _checked(kind, f"{at}.{key}.{label}", text, label_value)
            else:
                yield from _PARTS.get(key, _below)(kind, f"{at}.{key}", value)


def _words(kind: str, at: str, words: list[Any]) -> Iterator[str]:
    for index, word in enumerate(words):
        yield from _text(kind, f"{at}[{index}]", word)


def _env(kind: str, at: str, variables: list[Any]) -> Iterator[str]:
    for index, one in enumerate(variables):
        variable = one if isinstance(one, Mapping) else {}
        yield from _checked(kind, f"{at}[{index}].name", variable.get("name"), variable_name)
        if "value" in variable:
            yield from _text(kind, f"{at}[{index}].value", variable["value"])


def _resources(kind: str, at: str, given: Any) -> Iterator[str]:
    for part in ("limits", "requests"):
        amounts = given.get(part) if isinstance(given, Mapping) else None
        for key, amount in (amounts if isinstance(amounts, Mapping) else {}).items():
            yield from _checked(kind, f"{at}.{part}", key, qualified_key)
            yield from _checked(kind, f"{at}.{part}.{key}", amount, quantity)


def _mounts(kind: str, at: str, mounts: list[Any]) -> Iterator[str]:
    paths: set[Any] = set()
    for index, one in enumerate(mounts):
        mount = one if isinstance(one, Mapping) else {}
        path, where = mount.get("mountPath"), f"{at}[{index}]"
        yield from _checked(kind, f"{where}.mountPath", path, container_path)
        if path in paths:
            yield f"{kind}: {where}.mountPath: got {path!r} twice; would be right: a path for each mount"
        paths.add(str(path))
        if "subPath" in mount:
            yield from _checked(kind, f"{where}.subPath", mount["subPath"], relative_path)


def _text(kind: str, at: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{kind}: {at}: got {value!r}; would be right: text"


def _checked(kind: str, at: str, value: Any, check: _Check) -> Iterator[str]:
    if not isinstance(value, str) and check is not quantity:
        yield from _text(kind, at, value)
        return
    try:
        check(value)
    except Fault as fault:
        yield f"{kind}: {at}: {fault}"


def _flat(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values())


_PARTS: dict[str, Callable[[str, str, Any], Iterator[str]]] = {
    "args": _words,
    "command": _words,
    "env": _env,
    "metadata": _metadata,
    "resources": _resources,
    "volumeMounts": _mounts,
}
