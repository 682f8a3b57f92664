"""What a configuration says to its engine about memory, whichever engine and however the flag is spelt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tuner.spec.parameter import Parameter
from tuner.spec.section import ParamValue

# what is said -> the flags of vLLM, SGLang, TensorRT-LLM and llama.cpp that say it
_FLAGS = {
    "width": ("tensor-parallel-size", "tp-size", "tp"),
    "stages": ("pipeline-parallel-size", "pp-size", "pp"),
    "replicas": ("data-parallel-size", "dp-size", "dp"),
    "attention_replicas": ("enable-dp-attention", "enable-attention-dp"),
    "share": (
        "gpu-memory-utilization",
        "mem-fraction-static",
        "kv-cache-free-gpu-memory-fraction",
        "free-gpu-memory-fraction",
    ),
    "tokens": ("max-num-batched-tokens", "chunked-prefill-size", "max-num-tokens", "ubatch-size", "ub"),
    "sequences": ("max-num-seqs", "max-running-requests", "max-batch-size", "parallel", "np"),
    "longest": ("max-model-len", "context-length", "max-seq-len"),
    "context": ("ctx-size", "c"),
    "cache": ("kv-cache-dtype", "cache-type-k", "ctk"),
    "cache_values": ("cache-type-v", "ctv"),
    "eager": ("enforce-eager", "disable-cuda-graph"),
    "graphs": ("cuda-graph-max-bs",),
    "quantised": ("quantization", "q", "torchao-config"),
    "elsewhere": (  # some of the memory is not where, or not as much as, the other flags say
        "cpu-offload-gb",
        "kv-cache-memory-bytes",
        "num-gpu-blocks-override",
        "n-gpu-layers",
        "ngl",
        "config",
        "extra-llm-api-options",
    ),
}
VARIANT = "variant"  # of the model: storage.pvc_subpath
_BESIDE = ("tokens", "sequences", "eager", "graphs")  # by these alone nothing is refused
_MEANING = {flag: trait for trait, flags in _FLAGS.items() for flag in flags}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_SUBPATH = "storage.pvc_subpath"


class Said:
    """Reads configurations.

    Attributes:
        names: the parameters that say something about memory.
        decisive: those of them by which a configuration can be refused.
    """

    def __init__(
        self, parameters: Mapping[str, Parameter], words: Sequence[str], *, variant: str | None = None
    ) -> None:
        """Know what is said.

        Args:
            words: the command line that all configurations have in common.
            variant: of the model, where no parameter chooses one.
        """
        self._fixed = dict(_read(words))
        if variant is not None:
            self._fixed[VARIANT] = variant
        self._tuned: dict[str, str] = {}
        for name, parameter in parameters.items():
            trait = _trait(name, parameter)
            if trait is not None:
                self._tuned[trait] = name
        self.names = frozenset(self._tuned.values())
        self.decisive = frozenset(name for trait, name in self._tuned.items() if trait not in _BESIDE)

    def of(self, active: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
        """What the active parameters say; what they leave out is as the common command line has it."""
        found = dict(self._fixed)
        for trait, name in self._tuned.items():
            if name in active:
                found[trait] = active[name]
        return found


def _trait(name: str, parameter: Parameter) -> str | None:
    if parameter.place is not None:
        return VARIANT if parameter.place == _SUBPATH else None
    return None if parameter.env is not None else _MEANING.get(_word(parameter.flag_name(name)))


def _read(words: Sequence[str]) -> list[tuple[str, ParamValue]]:
    """(what is said, value) of a command line, in its order."""
    found: list[tuple[str, ParamValue]] = []
    for place, word in enumerate(words):
        if not word.startswith("-"):
            continue
        flag, equals, value = word.partition("=")
        trait = _MEANING.get(_word(flag))
        if trait is None:
            continue
        following = words[place + 1] if place + 1 < len(words) else "-"
        if not equals:
            value = "" if following.startswith("-") else following
        found.append((trait, _typed(value)))
    return found


def _word(flag: str) -> str:
    return flag.strip("-=").replace("_", "-").lower()


def _typed(text: str) -> ParamValue:
    if not text:
        return True
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
