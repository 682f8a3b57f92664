"""What a parameter means, told by its name or flag, so that what was learned elsewhere can be asked here.

A role is a trait of a serving engine (how many sequences run at once, how wide a replica is) that vLLM,
SGLang, TensorRT-LLM and llama.cpp each call by a name of their own. Its figure is comparable between
experiments: powers of two for counts, 1 for what is switched on or quantised, else 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from tuner.search.auto.encoding import Rows
from tuner.spec.parameter import Parameter
from tuner.spec.space import Space
from tuner.trial.ports import ParamValue

# role -> what the name, the flag or the place of such a parameter looks like
_COUNTS = {
    "sequences": r"max_num_seqs|max_running_requests|max_batch_size|parallel|np|n_parallel",
    "tokens": r"max_num_batched_tokens|chunked_prefill_size|max_num_tokens|ubatch_size",
    "width": r"tensor_parallel_size|tp_size|tp|tpsize",
    "replicas": r"data_parallel_size|dp_size|dp|replicas",
}
_SHARES = {"memory": r"gpu_memory_utilization|mem_fraction(_static)?|.*free_gpu_mem(ory)?_fraction"}
_SWITCHES = {
    "eager": r"enforce_eager|disable_cuda_graph",
    "chunked": r"enable_chunked_prefill",
    "mixed": r"enable_mixed_chunk",
    "experts": r"enable_expert_parallel",
}
KINDS = {
    "weights": r"weights|quantization|pvc_subpath|storage\.pvc_subpath",
    "cache": r"kv_cache_dtype|cache_type_[kv]",
}
_QUANTISED = re.compile(r"fp8|int8|int4|awq|gptq|fp4|q4|q5|q8|e4m3|e5m2")
ROLES = (*_COUNTS, *_SHARES, *_SWITCHES, *KINDS)


def role_of(name: str, parameter: Parameter) -> str | None:
    """The role of a parameter; None for one that is not known."""
    said = [name, parameter.flag or "", parameter.place or ""]
    for role, pattern in {**_COUNTS, **_SHARES, **_SWITCHES, **KINDS}.items():
        for word in said:
            if word and re.fullmatch(pattern, word.strip("-=").replace("-", "_").lower()):
                return role
    return None


class Meanings(Protocol):
    """What configurations mean beside their values: figures by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the figures."""

    def rows(self, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows:
        """(configurations, names); NaN where one is not known."""


class Roles:
    """The roles that the parameters of one space have.

    Attributes:
        names: of the roles that are there, in the order of ROLES.
        parameters: which has each of them.
    """

    def __init__(self, space: Space) -> None:
        known = {role: n for n, p in reversed(space.parameters.items()) if (role := role_of(n, p))}
        self.names = tuple(role for role in ROLES if role in known)
        self.parameters = [known[role] for role in self.names]

    def rows(self, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows:
        """(configurations, roles); what a configuration leaves to the engine counts as NaN."""
        found = [
            [figure_of(role, params.get(n)) for role, n in zip(self.names, self.parameters, strict=True)]
            for params in configurations
        ]
        return np.array(found, dtype=float).reshape(len(found), len(self.names))


def figure_of(role: str, value: ParamValue | None) -> float:
    """The figure of one value; NaN where none can be told."""
    if value is None:
        return math.nan
    if role in KINDS:
        return float(bool(_QUANTISED.search(str(value).lower())))
    if isinstance(value, str):
        return math.nan
    if role in _COUNTS:
        return math.log2(value) if value > 0 else math.nan
    return float(value)
