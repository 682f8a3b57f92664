"""A person's manifest laid over the shipped one, as Kubernetes merges what it patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BY = {"env": "name", "volumes": "name", "containers": "name", "ports": "name", "volumeMounts": "mountPath"}
_MAY_BE_EMPTY = ("annotations", "labels")  # a template whose conditions leave none of them means no harm


def laid_over(base: Any, over: Any) -> Any:
    """`over`, and from `base` what it leaves out; a null takes away.

    Mappings are merged key by key, env, volumes, containers, ports and mounts by their names; another list
    replaces.

    Raises:
        ValueError: `over` has text or a list where `base` has a mapping.
    """
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        found = {}
        for key in {**base, **over}:
            value = over.get(key)
            if key not in over or (value is None and key in _MAY_BE_EMPTY and key in base):
                found[key] = base[key]
            elif value is not None and key in _BY:
                found[key] = _merged_list(base.get(key), value, _BY[key])
            elif value is not None:
                found[key] = laid_over(base.get(key), value)
        return found
    if isinstance(base, Mapping):
        raise ValueError(f"got {over!r} where a mapping is")
    return _without_nulls(over)


def _merged_list(base: Any, over: Any, by: str) -> Any:
    if not _named(base, by) or not _named(over, by):
        return _without_nulls(over)
    own = {item[by]: item for item in base}
    theirs = {item[by] for item in over}
    kept = [item for item in base if item[by] not in theirs]
    return [*kept, *(laid_over(own.get(item[by]), item) for item in over)]


def _named(items: Any, by: str) -> bool:
    return isinstance(items, Sequence) and all(isinstance(i, Mapping) and i.get(by) for i in items)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
