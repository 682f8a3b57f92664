"""Configurations that are not to be proposed although the space holds them, as far as is known by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tuner.trial.ports import ParamValue

Refused = Callable[[Mapping[str, ParamValue]], bool]


def nothing_refused(params: Mapping[str, ParamValue]) -> bool:
    """Every configuration may be proposed."""
    return False
