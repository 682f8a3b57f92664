"""Bytes of a model on one accelerator: its weights, a token of its cache, the largest step.

Each figure has a value that is expected and, for what is refused, one that it certainly does not go below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tuner.spec.model import Model
from tuner.spec.model_facts import Facts, parameters_of
from tuner.spec.section import ParamValue

GIB = float(1 << 30)
_BITS = (  # of a number, by the name of a variant or of a type
    (re.compile(r"fp4|int4|awq|gptq|w4a|4bit|(^|[^0-9a-z])(i?q4|mxfp4)"), 4.5),
    (re.compile(r"fp8|int8|w8a|8bit|e4m3|e5m2|(^|[^0-9a-z])q8"), 8.0),
)
_CACHE_BITS = {"f32": 32.0, "q8_0": 8.5, "q5_1": 6.0, "q5_0": 5.5, "q4_1": 5.0, "q4_0": 4.5, "iq4_nl": 4.5}
_HALF = ("bf16", "bfloat16", "f16", "fp16", "float16", "half")
_LEAST_BITS = 4.0  # of a weight or of a cached number of which nothing is said


@dataclass(frozen=True, slots=True)
class Layout:
    """How a deployment is spread.

    Attributes:
        accelerators: of the whole deployment; at least 1.
        width: accelerators that share the attention's and the dense layers' weights within a stage.
        expert_width: those that share the experts' within a stage.
        stages: of the pipeline.
        copies: replicas that certainly hold all weights each.
    """

    accelerators: int
    width: int
    expert_width: int
    stages: int
    copies: int


@dataclass(frozen=True, slots=True)
class Weighed:
    """A model by its bytes."""

    model: Model
    facts: Facts | None

    @classmethod
    def of(cls, model: Model) -> Weighed:
        """With the facts that are given, or those of a synthetic model."""
        return cls(model, model.facts or _of_synthetic(model))

    def weights(self, said: Mapping[str, ParamValue], variant: str | None) -> tuple[float, float] | None:
        """Bytes of all weights, as expected and at least; None where neither is known."""
        given = self.facts.weights_gb if self.facts else None
        if isinstance(given, dict):
            given = given.get(variant or "")
        quantised = said.get("quantised")
        if given is not None:
            whole = 1e9 * given
            return (whole, whole / 4) if quantised else (whole, whole)  # quantised as they are loaded
        count = parameters_of(self.model.parameter_count)
        if count is None:
            return None
        return count * _bits(f"{variant or ''} {quantised or ''}") / 8, count * _LEAST_BITS / 8

    def on_one(self, whole: float, layout: Layout) -> float:
        """Of all weights those that one accelerator is expected to hold."""
        experts = self.facts.expert_share if self.facts else 0.0
        spread = (1 - experts) / layout.width + experts / layout.expert_width
        return whole * spread / layout.stages

    def least_on_one(self, least: float, layout: Layout) -> float:
        """However they are spread, the fullest accelerator holds at least so much."""
        return least * layout.copies / layout.accelerators

    def token(self, said: Mapping[str, ParamValue], layout: Layout) -> float | None:
        """Bytes of one cached token on one accelerator: keys and values of its layers, or their latent.

        Heads are spread over the width as far as they go, and repeated beyond; a latent is not spread.
        """
        if self.facts is None:
            return None
        keys = _cache_bits(said.get("cache"), unknown=16.0)
        values = _cache_bits(said.get("cache_values", said.get("cache")), unknown=16.0)
        f, layers = self.facts, self._cached_layers / layout.stages
        if f.latent is not None:
            return layers * f.latent * keys / 8
        heads = max(1.0, (f.kv_heads or f.heads) / layout.width)
        return layers * heads * self._head_size * (keys + values) / 8

    def least_token(self, said: Mapping[str, ParamValue], layout: Layout) -> float:
        """Bytes of one cached token on one accelerator at least: spread over all, in the fewest bits."""
        if self.facts is None:
            return 0.0
        keys = _cache_bits(said.get("cache"), unknown=_LEAST_BITS)
        values = _cache_bits(said.get("cache_values", said.get("cache")), unknown=_LEAST_BITS)
        f = self.facts
        numbers = f.latent or (f.kv_heads or f.heads) * self._head_size
        bits = keys if f.latent is not None else keys + values
        return self._cached_layers * numbers * bits / 8 * layout.copies / layout.accelerators

    def activations(self, tokens: float, layout: Layout) -> float:
        """Bytes of the largest step on one accelerator, in 16 bits.

        At the widest point of a gated feed-forward its input and the residual stream live beside the gate,
        the projection and their product; the latter three are spread over the width.
        """
        if self.facts is None:
            return 0.0
        f = self.facts
        inner = f.feed_forward or 4 * f.hidden_size
        return 2.0 * tokens * (2 * f.hidden_size + 3 * inner / layout.width)

    @property
    def context(self) -> float:
        """Tokens that the model was made for; 0 where that is not known."""
        made = self.model.synthetic
        return float(made.context if made is not None else self.model.context_length or 0)

    @property
    def layers(self) -> int:
        """Of the model; 32 where nothing is known of it."""
        return self.facts.layers if self.facts else 32

    @property
    def vocabulary(self) -> int:
        """Of the model; 0 where nothing is known of it."""
        return self.facts.vocabulary if self.facts else 0

    @property
    def is_dense(self) -> bool:
        """Whether it certainly has no experts: a replica then holds all weights."""
        named = f"{self.model.architecture or ''} {self.model.name} {self.model.model_type or ''}".lower()
        experts = re.search(r"moe|mixtral|deepseek|gpt.?oss|expert|-a\d+b", named)
        return self.facts is not None and self.facts.expert_share == 0 and not experts

    @property
    def _cached_layers(self) -> int:
        assert self.facts is not None
        return self.facts.layers if self.facts.cached_layers is None else self.facts.cached_layers

    @property
    def _head_size(self) -> float:
        assert self.facts is not None
        return self.facts.head_size or self.facts.hidden_size / self.facts.heads


def _bits(name: str) -> float:
    return next((bits for pattern, bits in _BITS if pattern.search(name.lower())), 16.0)


def _cache_bits(kind: ParamValue | None, *, unknown: float) -> float:
    word = str(kind or "auto").lower()
    if word in _HALF:
        return 16.0
    named = _CACHE_BITS.get(word) or _bits(word)
    return named if named != 16.0 else unknown


def _of_synthetic(model: Model) -> Facts | None:
    made = model.synthetic
    if made is None:
        return None
    attention = 2 * made.hidden_size**2 * (1 + made.kv_heads / made.heads)
    layer = attention + 3 * made.hidden_size * made.feed_forward
    numbers = made.layers * layer + 2 * made.vocabulary * made.hidden_size
    bits = 16.0 if made.weights == "f16" else _CACHE_BITS[made.weights]
    return Facts(
        weights_gb=numbers * bits / 8 / 1e9,
        layers=made.layers,
        hidden_size=made.hidden_size,
        heads=made.heads,
        kv_heads=made.kv_heads,
        feed_forward=made.feed_forward,
        vocabulary=made.vocabulary,
    )
