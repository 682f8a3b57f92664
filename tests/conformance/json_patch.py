"""Applies JSON patches (RFC 6902) to JSON, independently of what makes them."""

from __future__ import annotations

import copy
from typing import Any


def applied(original: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902 for add, replace and remove, as the API server does it."""
    made = copy.deepcopy(original)
    for operation in operations:
        *words, last = (w.replace("~1", "/").replace("~0", "~") for w in operation["path"].split("/")[1:])
        place = made
        for word in words:
            place = place[int(word)] if isinstance(place, list) else place[word]
        if isinstance(place, list):
            last = len(place) if last == "-" else int(last)
            assert last <= len(place) - (operation["op"] == "replace")
        if operation["op"] == "add" and isinstance(place, list):
            place.insert(last, operation["value"])
        elif operation["op"] == "remove":
            del place[last]
        else:
            assert operation["op"] == "add" or isinstance(place, list) or last in place
            place[last] = operation["value"]
    return made


def stored(one: Any) -> Any:
    """As the API server keeps it: an empty list or map is none."""
    if isinstance(one, dict):
        return {
            key: stored(value) for key, value in one.items() if value or value is False or key == "emptyDir"
        }
    return [stored(item) for item in one] if isinstance(one, list) else one
