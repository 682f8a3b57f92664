"""Which parameters of an earlier run are parameters of this one: by flag, variable or place, never by name.

A flag that this experiment calls by another name (`tp`, `width`) is the same flag; the same name with another
flag is none. Where engines have different flags for the same thing, its role (`tuner/search/auto/roles.py`)
matches; a place such as storage.pvc_subpath is what it is on every engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.search.auto.roles import role_of
from tuner.spec.parameter import Parameter


@dataclass(frozen=True, slots=True)
class Matching:
    """What of an earlier run's parameters is here.

    Attributes:
        pairs: earlier parameter -> this run's.
        gone: earlier parameters that are none here.
        new: this run's that were none there.
    """

    pairs: Mapping[str, str]
    gone: tuple[str, ...]
    new: tuple[str, ...]


def matched(mine: Mapping[str, Parameter], theirs: Mapping[str, Parameter], *, same_engine: bool) -> Matching:
    """Match the parameters of two experiments, each at most once."""
    found: dict[str, str] = {}
    for identify in (_target if same_engine else _place, _role):
        left = {
            key: name
            for name, parameter in mine.items()
            if name not in found.values() and (key := identify(name, parameter)) is not None
        }
        for name, parameter in theirs.items():
            key = identify(name, parameter)
            if name not in found and key is not None and key in left:
                found[name] = left.pop(key)
    return Matching(
        {name: found[name] for name in theirs if name in found},
        tuple(name for name in theirs if name not in found),
        tuple(name for name in mine if name not in found.values()),
    )


def _target(name: str, parameter: Parameter) -> str | None:
    if parameter.env is not None:
        return f"env {parameter.env}"
    return _place(name, parameter) or parameter.flag_name(name).removesuffix("=").replace("_", "-").lower()


def _place(name: str, parameter: Parameter) -> str | None:
    return f"place {parameter.place}" if parameter.place is not None else None


def _role(name: str, parameter: Parameter) -> str | None:
    return role_of(name, parameter)
