"""`model.facts`: the numbers of a model that say how much memory it takes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from tuner.spec.section import Number, Section, Text, Whole

_COUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMBT]?)\s*", re.IGNORECASE)
_TIMES = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_Size = Annotated[Number, Field(gt=0)]


class Facts(Section):
    """What the model's own config.json says, and the size of its checkpoint."""

    weights_gb: _Size | dict[Text, _Size] | None = Field(
        default=None,
        description="10^9 bytes of weights once loaded; with variants in storage.pvc_subpath one for each. "
        "Default: parameter_count at 2 bytes, or fewer where a variant's name says so.",
    )
    layers: Whole = Field(ge=1, description="num_hidden_layers.")
    cached_layers: Whole | None = Field(
        default=None,
        ge=0,
        description="Layers whose cache grows with the context (not those of a sliding window, not Mamba's); "
        "default all.",
    )
    hidden_size: Whole = Field(ge=1, description="hidden_size.")
    heads: Whole = Field(ge=1, description="num_attention_heads.")
    kv_heads: Whole | None = Field(default=None, ge=1, description="num_key_value_heads; default heads.")
    head_size: Whole | None = Field(default=None, ge=1, description="head_dim; default hidden_size / heads.")
    latent: Whole | None = Field(
        default=None,
        ge=1,
        description="Where attention is over a latent: kv_lora_rank + qk_rope_head_dim, all that is cached.",
    )
    feed_forward: Whole | None = Field(
        default=None,
        ge=1,
        description="intermediate_size; of experts one's, times those of a token; default 4 * hidden_size.",
    )
    vocabulary: Whole = Field(ge=1, description="vocab_size.")
    expert_share: Number = Field(
        default=0.0, ge=0, le=1, description="Share of the weights that lies in routed experts; 0 for dense."
    )


def parameters_of(text: str | None) -> float | None:
    """How many parameters `parameter_count` says, such as "8.03B"; None where it says no number."""
    match = _COUNT.fullmatch(text or "")
    return float(match[1]) * _TIMES[match[2].upper()] if match else None
