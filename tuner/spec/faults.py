"""What is wrong with a value of the experiment file, said the same way everywhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

Path = tuple[str | int, ...]
_LONGEST = 80


class Fault(ValueError):
    """One wrong value: what it is and what would be right.

    Attributes:
        got: the value as it is shown to a person.
        right: what would be right.
        at: where it stands, relative to the section whose validator raised it.
        unknown_key: the key itself is wrong, not its value.
    """

    def __init__(self, *, got: str, right: str, at: Path = (), unknown_key: bool = False) -> None:
        super().__init__(f"got {got}; would be right: {right}")
        self.got = got
        self.right = right
        self.at = at
        self.unknown_key = unknown_key


class Faults(ValueError):
    """Several faults found by one validator."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(f) for f in faults))
        self.faults = tuple(faults)


def show(value: object) -> str:
    """`value` on one line, shortened; text in quotes, nothing as "nothing"."""
    text = (
        "nothing"
        if value is None
        else "true"
        if value is True
        else "false"
        if value is False
        else repr(value)
    )
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` was most likely meant to be; None when nothing is near."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """What would be right in place of an unknown `name`: the nearest, or all where none is near."""
    names = list(known)
    near = nearest(name, names)
    if near is not None:
        return near
    return f"one of {', '.join(names)}" if names else "none; nothing is named here"
