"""Edits to a copy of a pod, written down as the JSON patch (RFC 6902) that makes the same of the original."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Operation = dict[str, Any]


def pointer(*words: str | int) -> str:
    """The JSON pointer (RFC 6901) of nested keys and indices."""
    return "".join("/" + str(word).replace("~", "~0").replace("/", "~1") for word in words)


class Recorder:
    """A copy of `original` in `edited`, and in `operations` how it came to differ.

    An edit that would change nothing is not written down, so the patch of a finished pod is empty.
    """

    def __init__(self, original: Mapping[str, Any]) -> None:
        self.edited: Any = copy.deepcopy(dict(original))
        self.operations: list[Operation] = []

    def put(self, value: Any, *words: str | int) -> None:
        """Set the field or the list element that is there at `words`; fields may be new."""
        place = self._at(words[:-1])
        last = words[-1]
        present = isinstance(place, list) or last in place
        if present and place[last] == value:
            return
        place[last] = copy.deepcopy(value)
        self._write("replace" if present else "add", words, value)

    def insert(self, value: Any, *words: str | int) -> None:
        """Insert before the index that ends `words`; a list that is not there or null is made."""
        place = self._at(words[:-2])
        *_, name, index = words
        assert isinstance(index, int)
        if not place.get(name):
            self.put([], *words[:-1])
        place[name].insert(index, copy.deepcopy(value))
        self._write("add", words, value)

    def remove(self, *words: str | int) -> None:
        """Remove the field that is there."""
        del self._at(words[:-1])[words[-1]]
        self.operations.append({"op": "remove", "path": pointer(*words)})

    def _at(self, words: tuple[str | int, ...]) -> Any:
        place = self.edited
        for word in words:
            place = place[word]
        return place

    def _write(self, op: str, words: tuple[str | int, ...], value: Any) -> None:
        self.operations.append({"op": op, "path": pointer(*words), "value": value})
