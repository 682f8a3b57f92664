"""The base of every section of the experiment file, and its strict scalar types.

YAML gives each scalar its type; nothing is converted (`trials: true` is not 1, `"5"` is not 5).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Switch = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), Field(min_length=1, max_length=4096)]
ParamValue = bool | int | float | str


class Section(BaseModel):
    """A section of the experiment file: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
