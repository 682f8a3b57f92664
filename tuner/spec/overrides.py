"""`--set a.b.c=value`: laid over the file before it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuner.errors import SpecError
from tuner.spec.document import Document, dotted, parse_value
from tuner.spec.explain import fields_at, unknown_key
from tuner.spec.faults import Path, show

_FREE_KEYS = ("slo",)  # their keys may have dots: slo.load.ttft_p95_ms


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Change `document` in place.

    Raises:
        SpecError: an override has no `=`, its value is no YAML, or its path leads nowhere.
    """
    for text in overrides:
        _apply(document, text)


def _apply(document: Document, text: str) -> None:
    place = f"--set {text}"
    key, equals, value_text = text.partition("=")
    words = key.strip().split(".")
    if not equals or not all(words):
        raise SpecError(f"{place}: got {show(text)}; would be right: --set search.trials=5")
    if words[0] in _FREE_KEYS and len(words) > 2:
        words = [words[0], ".".join(words[1:])]
    try:
        value = parse_value(value_text)
    except SpecError as error:
        raise SpecError(f"{place}: {error}") from error
    path = _write(document.data, words, value, place)
    for known in [p for p in document.lines if p[: len(path)] == path]:
        del document.lines[known]
    document.lines[path] = f"--set {key.strip()}"  # without the value, which may be a secret


def _write(data: Any, words: list[str], value: Any, place: str) -> Path:
    path: list[str | int] = []
    root, node = data, data
    for depth, word in enumerate(words):
        last = depth == len(words) - 1
        if isinstance(node, list) and path == ["workload"] and not word.isdigit():
            node = root["workload"] = {"points": node}
        if isinstance(node, list):
            index = int(word) if word.isdigit() else -1
            if not 0 <= index < len(node):
                where = f"a place in {dotted(tuple(path))}, 0 to {len(node) - 1}"
                raise SpecError(f"{place}: got {word!r}; would be right: {where}")
            part: str | int = index
        elif isinstance(node, dict):
            _refuse_unknown(tuple(path), word, root, place)
            part = word
            if not last and node.get(word) is None:
                node[word] = {}
        else:
            raise SpecError(
                f"{place}: {dotted(tuple(path))} is {show(node)}; would be right: a path to a value"
            )
        path.append(part)
        if last:
            node[part] = value
        else:
            node = node[part]
    return tuple(path)


def _refuse_unknown(path: Path, word: str, data: Any, place: str) -> None:
    known = fields_at(path, data)
    if known and word not in known:
        got, right = unknown_key((*path, word), data)
        raise SpecError(f"{place}: {dotted((*path, word))}: got {got}; would be right: {right}")
