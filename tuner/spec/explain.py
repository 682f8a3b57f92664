"""pydantic's errors and our faults -> one line with file, line, what was got and what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tuner.errors import SpecError
from tuner.spec.document import Document
from tuner.spec.experiment import Experiment
from tuner.spec.faults import Fault, Faults, Path, nearest, show, suggestion
from tuner.spec.types import known_keys
from tuner.spec.unbuilt import not_built
from tuner.spec.workload import LoadPoint

_RIGHT = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text, in quotes",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "string_too_short": "text that is not empty",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
}


@dataclass(frozen=True, slots=True)
class _Finding:
    path: Path
    got: str
    right: str
    unknown_key: bool = False


def explain(error: ValidationError, document: Document) -> SpecError:
    """The first fault, unknown keys before their consequences, and how many more there are."""
    findings = _merged([f for e in error.errors(include_url=False) for f in _findings(e, document.data)])

    def rank(finding: _Finding) -> tuple[bool, float]:
        place = document.place(finding.path)
        return not finding.unknown_key, place if isinstance(place, int) else 0

    findings.sort(key=rank)
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return document.error(first.path, f"got {first.got}; would be right: {first.right}{more}")


def unknown_key(path: Path, data: Any) -> tuple[str, str]:
    """(what was got, what would be right) for a key that no section has."""
    if not_built(path):
        return f"{str(path[-1])!r}, which is not built yet", "without it"
    return "an unknown key", suggestion(str(path[-1]), fields_at(path[:-1], data))


def fields_at(path: Path, data: Any) -> list[str]:
    """The keys that may stand at `path`; empty where any may."""
    if path[:1] == ("workload",) and isinstance(_value(data, path[:1]), list):
        path = ("workload", "points", *path[1:])
    if path[:1] == ("parameters",) and len(path) == 2:
        return known_keys(_value(data, path))
    if path == ("workload",) and "points" not in (_value(data, path) or {}):
        return [*LoadPoint.model_fields, *_fields(Experiment, path)]
    return _fields(Experiment, path)


def _fields(annotation: Any, path: Path) -> list[str]:
    if get_origin(annotation) is dict:
        return _fields(get_args(annotation)[1], path[1:]) if path else []
    models = list(_models(annotation))
    if not path:
        return list(dict.fromkeys(f for m in models for f in m.model_fields))
    if isinstance(path[0], int):
        return _fields(annotation, path[1:])
    below = [m.model_fields[path[0]].annotation for m in models if path[0] in m.model_fields]
    return list(dict.fromkeys(f for a in below for f in _fields(a, path[1:])))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _findings(error: Mapping[str, Any], data: Any) -> Iterator[_Finding]:
    path = _in_file(error["loc"], data)
    kind, context, given = error["type"], error.get("ctx", {}), error.get("input")
    cause = context.get("error")
    if isinstance(cause, Faults | Fault):
        for fault in cause.faults if isinstance(cause, Faults) else (cause,):
            at = _in_file((*error["loc"], *fault.at), data, keep_last=bool(fault.at))
            if fault.unknown_key and fault.got == "an unknown key":
                yield _Finding(at, *unknown_key(at, data), unknown_key=True)
            else:
                yield _Finding(at, fault.got, fault.right, fault.unknown_key)
    elif kind == "extra_forbidden":
        yield _Finding(path, *unknown_key(path, data), unknown_key=True)
    elif kind == "missing":
        yield _Finding(_in_file(error["loc"], data, keep_last=True), "nothing", _example(error["loc"][-1]))
    elif kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        near = nearest(given, allowed) if isinstance(given, str) else None
        listed = ", ".join(allowed)
        yield _Finding(
            path,
            show(given),
            f"{near} (one of {listed})" if near else f"one of {listed}" if len(allowed) > 1 else listed,
        )
    else:
        right = _RIGHT[kind].format(**context) if kind in _RIGHT else error["msg"]
        yield _Finding(path, show(given), right)


def _example(key: object) -> str:
    examples = {
        "model": "model: {synthetic: {}} or model: {path: model.gguf}",
        "parameters": "parameters: {threads: {values: [1, 2]}}",
        "workload": 'workload: {scenario: "D(512,128)", concurrency: 32}',
        "scenario": 'scenario: "D(512,128)"',
        "low": "a smallest value",
        "high": "a largest value",
    }
    return examples.get(str(key), f"a value for {key}")


def _merged(findings: list[_Finding]) -> list[_Finding]:
    """One finding a place; a union's alternatives joined by "or"; of a container and its part, the part's."""
    merged: dict[Path, _Finding] = {}
    for finding in findings:
        before = merged.get(finding.path)
        if before is None:
            merged[finding.path] = finding
        elif finding.right not in before.right and not before.unknown_key:
            merged[finding.path] = _Finding(finding.path, before.got, f"{before.right} or {finding.right}")
    inner = {path[:n] for path in merged for n in range(len(path))}
    return [finding for path, finding in merged.items() if path not in inner]


def _in_file(location: tuple[str | int, ...], data: Any, *, keep_last: bool = False) -> Path:
    """pydantic's location without what the file does not have (names of union members, short forms).

    With `keep_last` a last key that the file left out, such as one with a default, stays.
    """
    path: list[str | int] = []
    for index, part in enumerate(location):
        if _has(data, part):
            path.append(part)
            data = data[part]
        elif keep_last and index == len(location) - 1 and isinstance(part, str):
            path.append(part)
    return tuple(path)


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _value(data: Any, path: Path) -> Any:
    for part in path:
        if not _has(data, part):
            return None
        data = data[part]
    return data
