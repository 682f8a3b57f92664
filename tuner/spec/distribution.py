"""What a parameter can be, in neutral words that a sampler's library is given in its own."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.spec.section import ParamValue


@dataclass(frozen=True, slots=True)
class Categorical:
    """One of `values`, without an order."""

    values: tuple[ParamValue, ...]


@dataclass(frozen=True, slots=True)
class IntRange:
    """low, low + step, ..., high; both ends included. `log`: equal ratios are equally likely."""

    low: int
    high: int
    step: int = 1
    log: bool = False


@dataclass(frozen=True, slots=True)
class FloatRange:
    """[low, high]; with `step` only low + i * step."""

    low: float
    high: float
    step: float | None = None
    log: bool = False


Distribution = Categorical | IntRange | FloatRange
