"""JSON without NaN and infinities (which no other reader takes), and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any


def plain(value: Any) -> Any:
    """`value` with NaN as null and infinities as the strings "Infinity" and "-Infinity", at any depth."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Valid JSON, in one line without `indent`."""
    separators = (",", ":") if indent is None else None
    return json.dumps(plain(value), allow_nan=False, ensure_ascii=False, indent=indent, separators=separators)


def number(stored: Any) -> float:
    """What `plain` made of a float."""
    return math.nan if stored is None else float(stored)


def numbers(stored: Mapping[str, Any]) -> dict[str, float]:
    """A mapping of floats."""
    return {key: number(value) for key, value in stored.items()}


def number_row(stored: Iterable[Any]) -> tuple[float, ...]:
    """A row of floats."""
    return tuple(number(value) for value in stored)


def intervals(stored: Iterable[Any]) -> tuple[tuple[float, float], ...]:
    """Pairs of floats."""
    return tuple((number(low), number(high)) for low, high in stored)
