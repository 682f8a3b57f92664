"""What a configuration is to an engine: its layout, how it schedules, what it needs, or why it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from served.replica import Rules

from tuner.errors import FailureClass

GIB = float(1 << 30)
Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed(Exception):
    """A configuration that gives no measurement.

    Attributes:
        kind: the class.
        share: of the way to serving at which it ends: 0 reading its arguments, 1 served and then died.
    """

    kind: FailureClass
    share: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What a surface's engine serves, and where.

    Attributes:
        checkpoints: value of the parameter `weights` -> (model as the tables name it, quantisation of its
            layers as they do, of its experts, bytes on disk).
        layers, vocabulary: of the model.
        longest: tokens of prompt and answer that the engine is started for (--max-model-len and the like).
        prompt_longest: tokens of the longest prompt that is sent.
        shared_prefix: tokens that all prompts have in common.
        load_bytes_per_second: of the storage.
        acceptance: chance that a drafted token is accepted; the drafts' chances multiply.
    """

    system: str
    checkpoints: Mapping[str, tuple[str, str | None, str | None, float]]
    layers: int
    vocabulary: int
    longest: int
    prompt_longest: int
    shared_prefix: int = 0
    load_bytes_per_second: float = 2.0e9
    acceptance: float = 0.0
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one accelerator, read from the tables of a layout."""

    capacity: float
    weights: float
    communication: float
    kv_per_token: float
    activation_2k: float
    activation_16k: float

    @classmethod
    def of(cls, tables: Mapping[str, Any]) -> Memory:
        """From what tables_program prints."""
        small, large = tables["activation_bytes"]
        return cls(
            tables["capacity_bytes"],
            tables["weights_bytes"],
            tables["communication_bytes"],
            tables["kv_bytes_per_token"],
            small,
            large,
        )

    def activation(self, tokens: float) -> float:
        """Linear in the tokens of a step, as the source's formula is."""
        slope = (self.activation_16k - self.activation_2k) / (16384 - 2048)
        return max(self.activation_2k / 4, self.activation_2k + slope * (tokens - 2048))


class Engine(Protocol):
    """One engine's flags. Each method may raise Failed."""

    def layout(self, params: Params, facts: Facts) -> dict[str, Any]:
        """Refuse what its arguments forbid; else the layout whose tables are needed."""
        ...

    def rules(self, params: Params, facts: Facts, memory: Memory) -> Rules:
        """How a replica schedules; Failed where memory does not suffice."""
        ...

    def replicas(self, params: Params) -> int:
        """Independent replicas in one deployment."""
        ...

    def host(self, params: Params, facts: Facts) -> Callable[[int, int, float], float]:
        """(decodes, prompt tokens, ms on the accelerator) -> ms of the step, the host's share included."""
        ...

    def attention_scale(self, params: Params, facts: Facts) -> float:
        """How many times as long attention lasts as in the tables."""
        ...

    def start_seconds(self, params: Params, facts: Facts) -> float:
        """From the process's start to the first served request, loading aside."""
        ...


def accepted_tokens(drafts: int, acceptance: float) -> float:
    """Tokens gained by one step with `drafts` drafted ones: the sum of acceptance^k, k from 0 to drafts."""
    return sum(acceptance**k for k in range(drafts + 1))


def eager_ms(layers: int, taken: float, *, per_layer_ms: float = 0.3) -> float:
    """A step without CUDA graphs lasts at least as long as the host launches its kernels."""
    return max(taken, layers * per_layer_ms)
