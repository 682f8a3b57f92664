"""Parameter types: each module here that defines a `Parameter` subclass adds one; nothing else to edit."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

from tuner.spec.faults import Fault, show, suggestion
from tuner.spec.parameter import Parameter


def _discover() -> Iterator[type[Parameter]]:
    for module_info in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for found in vars(module).values():
            if (
                isinstance(found, type)
                and issubclass(found, Parameter)
                and found.__module__ == module.__name__
            ):
                yield found


TYPES: dict[str, type[Parameter]] = {found.KIND: found for found in _discover()}
RIGHT = "one of " + ", ".join(found.FORM for found in TYPES.values())


def parse_parameter(given: Any) -> Any:
    """The parameter that a definition describes; what is already one is given back.

    Raises:
        Fault: no type claims it.
        pydantic.ValidationError: its type refuses it.
    """
    if isinstance(given, Parameter):
        return given
    if not isinstance(given, dict):
        raise Fault(got=show(given), right=RIGHT)
    if "type" in given:
        kind = TYPES.get(given["type"]) if isinstance(given["type"], str) else None
        if kind is None:
            raise Fault(got=show(given["type"]), right=f"one of {', '.join(TYPES)}", at=("type",))
        return kind.model_validate(given)
    known = known_keys(None)
    for key in given:
        if key not in known:
            raise Fault(got="an unknown key", right=suggestion(key, known), at=(key,), unknown_key=True)
    for kind in TYPES.values():
        if kind.claims(given):
            return kind.model_validate(given)
    raise Fault(got=show(given), right=RIGHT)


def known_keys(given: Any) -> list[str]:
    """The keys that a definition may have: of its type where that can be told, else of all types."""
    kinds = list(TYPES.values())
    if isinstance(given, dict):
        named = [k for k in kinds if given["type"] == k.KIND] if "type" in given else []
        kinds = named or [k for k in kinds if k.claims(given)][:1] or kinds
    return list(dict.fromkeys(key for kind in kinds for key in kind.model_fields))
