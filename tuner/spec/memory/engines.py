"""Where each engine keeps what: the rule by which it shares out an accelerator's memory.

Every rule gives the bytes for the cache, and what is left where memory is scarcest. Sources:

- vLLM (docs.vllm.ai: CacheConfig.gpu_memory_utilization, "Conserving Memory"; the log of its start): the
  share of the whole holds weights, the largest step and the cache, in which one request of the greatest
  length has to fit; CUDA graphs and the sampler's warm-up with `max_num_seqs` requests come on top.
- SGLang (docs: "Hyperparameter Tuning", server_args.py): `mem_fraction_static` of the whole holds weights and
  cache. What it leaves has to do for graphs (2 MiB a sequence), activations, 1 GiB at a width of 8, 512 MiB
  of its own. Its default leaves 1.5 MiB for each token of a chunk, which has room to spare.
- TensorRT-LLM (docs: "Memory Usage of TensorRT-LLM"): the cache is a fraction of what weights and the largest
  step leave free.
- llama.cpp (tools/server/README.md): the cache of the whole context is made at the start, whatever is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tuner.spec.memory.model import GIB, Layout, Weighed
from tuner.spec.section import ParamValue

MIB = float(1 << 20)
_OUTSIDE = 0.6 * GIB  # the driver's context and libraries
_LARGEST_GRAPH = 512  # sequences
_UNCHUNKED = 16_384.0  # tokens of a step where chunks are switched off (SGLang's -1)


@dataclass(frozen=True, slots=True)
class Asked:
    """One configuration, ready to be shared out.

    Attributes:
        said: what it says about memory.
        memory: bytes of one accelerator.
        weights: bytes on one accelerator.
        token: bytes of one cached token on one accelerator; 0 where that is not known.
        longest: tokens of the longest request that has to fit.
    """

    model: Weighed
    said: Mapping[str, ParamValue]
    layout: Layout
    memory: float
    weights: float
    token: float
    longest: float

    def number(self, trait: str, default: float) -> float:
        """What was said, where it is a number."""
        value = self.said.get(trait)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default

    def activations(self, default_tokens: float) -> float:
        """Bytes of the largest step."""
        tokens = self.number("tokens", default_tokens)
        return self.model.activations(tokens if tokens > 0 else _UNCHUNKED, self.layout)

    def after_longest(self, cache: float) -> dict[str, float]:
        """What the cache has left beside the longest request."""
        return {f"one request of {self.longest:,.0f} tokens": cache - self.longest * self.token}

    def logits(self, sequences: float) -> float:
        """Bytes of the logits of so many sequences, in 32 bits."""
        return 4.0 * sequences * self.model.vocabulary


@dataclass(frozen=True, slots=True)
class Shared:
    """How it comes out, in bytes on one accelerator.

    Attributes:
        cache: for the KV cache; below 0 where there is no room.
        left: what is not needed, where memory is scarcest; below 0 where it does not suffice.
        scarce: for what that is.
    """

    cache: float
    left: float
    scarce: str

    @classmethod
    def of(cls, cache: float, left: Mapping[str, float]) -> Shared:
        """With what is left by what it is for."""
        scarce = min(left, key=left.__getitem__)
        return cls(cache, left[scarce], scarce)


Rule = Callable[[Asked], Shared]


def _vllm(asked: Asked) -> Shared:
    share, sequences = asked.number("share", 0.9), asked.number("sequences", 256)
    cache = share * asked.memory - asked.weights - asked.activations(8192) - _OUTSIDE
    warm_up = 3 * asked.logits(sequences)  # the logits, their sort and their softmax
    graphs = 0.0 if asked.said.get("eager") is True else _graphs(asked, sequences)
    beside = (1 - share) * asked.memory - graphs - warm_up
    return Shared.of(cache, {**asked.after_longest(cache), "CUDA graphs and the sampler": beside})


def _sglang(asked: Asked) -> Shared:
    share, sequences = asked.number("share", 0.88), asked.number("sequences", 256)
    cache = share * asked.memory - asked.weights
    captured = 0.0 if asked.said.get("eager") is True else min(asked.number("graphs", 160), sequences)
    ranks = asked.layout.width * asked.layout.stages
    needed = _OUTSIDE + 512 * MIB + 2 * MIB * captured + ranks / 8 * GIB
    needed += asked.activations(8192) + asked.logits(sequences)
    beside = (1 - share) * asked.memory - needed
    return Shared.of(cache, {**asked.after_longest(cache), "CUDA graphs and activations": beside})


def _trtllm(asked: Asked) -> Shared:
    share, sequences = asked.number("share", 0.9), asked.number("sequences", 256)
    free = asked.memory - asked.weights - asked.activations(8192) - _OUTSIDE
    cache = share * free
    beside = (1 - share) * free - _graphs(asked, sequences) - 2 * asked.logits(sequences)
    return Shared.of(cache, {**asked.after_longest(cache), "CUDA graphs and the sampler": beside})


def _llama(asked: Asked) -> Shared:
    cache = asked.number("context", asked.model.context) * asked.token
    step = 2 * asked.activations(512) + asked.logits(max(1.0, asked.number("tokens", 512)))  # in 32 bits
    return Shared.of(
        cache, {"weights, the context's cache and a step": asked.memory - asked.weights - cache - step}
    )


def _graphs(asked: Asked, sequences: float) -> float:
    """Of CUDA graphs: a third of a GiB to 3 GiB in the engines' logs, by layers and captured sizes."""
    return (0.3 + 0.02 * asked.model.layers * min(sequences, _LARGEST_GRAPH) / _LARGEST_GRAPH) * GIB


RULES: dict[str, Rule] = {"vllm": _vllm, "sglang": _sglang, "trtllm": _trtllm, "llama.cpp": _llama}


def most_for_cache(engine: str, said: Mapping[str, ParamValue], *, memory: float, weights: float) -> float:
    """Bytes of one accelerator that the cache certainly cannot exceed.

    `weights` is what they take at least. A share counts where a configuration says it; the engine's default,
    which another version or a configuration file may change, does not.
    """
    share = said.get("share")
    known = isinstance(share, float) and 0 < share <= 1 and not said.get("elsewhere")
    part = share if isinstance(share, float) and known else 1.0
    return part * (memory - weights) if engine == "trtllm" else part * memory - weights
