"""How a configuration fits an accelerator's memory: as expected, and whether it certainly does not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from tuner.errors import SpecError
from tuner.spec.content import Content
from tuner.spec.hardware import Accelerators, shown
from tuner.spec.memory.engines import RULES, Asked, most_for_cache
from tuner.spec.memory.model import GIB, Layout, Weighed
from tuner.spec.memory.said import VARIANT, Said
from tuner.spec.section import ParamValue
from tuner.spec.workload import Workload

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment

TIGHT = 0.02  # of an accelerator's memory: who leaves less may well run out of it
_ENGINES = {
    "sglang": "sglang",
    "trtllm": r"trtllm|trt-llm|tensorrt",
    "vllm": "vllm",
    "llama.cpp": r"llama[-_.]server|llama[-_.]?cpp",
}
_REMEMBERED = 100_000
_Values = Mapping[str, ParamValue]
_Key = tuple[ParamValue | None, ...]
_T = TypeVar("_T")
_Find = Callable[[_Values, int], _T | None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One configuration as expected. Bytes are those of one accelerator.

    Attributes:
        weights: of the model.
        cache: for the KV cache.
        tokens: that the cache of one replica holds; None where a token's size is not known.
        requests: of the workload's mean length that it holds at a time, all replicas together; None likewise.
        headroom: share of the memory that is left where it is scarcest; below 0 it does not suffice.
        scarce: for what it is scarcest.
    """

    weights: float
    cache: float
    tokens: float | None
    requests: float | None
    headroom: float
    scarce: str

    @property
    def tight(self) -> bool:
        """Whether it is expected to run out of memory, or nearly."""
        return self.headroom < TIGHT


class Memory:
    """The memory of an experiment's configurations.

    Attributes:
        names: the parameters by which one can be refused.
        engine: vllm, sglang, trtllm or llama.cpp.
        gib: of one accelerator; of the machine where a deployment takes none.
        host: it is the machine's.
    """

    def __init__(
        self,
        engine: str,
        model: Weighed,
        said: Said,
        workload: Workload,
        *,
        accelerators: Accelerators,
        gib: float,
        host: bool = False,
        told: bool = True,
    ) -> None:
        """Know what is served, and on what.

        Args:
            host: the memory is the machine's own, which swaps and maps files.
            told: the whole command line is known; of a runtime's on a cluster it is not.
        """
        self.engine = engine
        self.gib = gib
        self.names = said.decisive | accelerators.names
        self._ordered = sorted(said.names | accelerators.names)
        self._accelerators = accelerators
        self._estimates: dict[_Key, Estimate | None] = {}
        self._refusals: dict[_Key, str | None] = {}
        self._model = model
        self._said = said
        self.host = host
        self._told = told
        self._workload = workload
        self._least_request = min(_least(part) for point in workload.points for part in point.parts)

    def estimate(self, active: _Values) -> Estimate | None:
        """What is expected of a configuration's active parameters; None where the weights are not known.

        The workload's lengths count: where they are a file's, it is read.
        """
        return self._once(self._estimates, active, self._estimate)

    def refusal(self, active: _Values) -> str | None:
        """Why a configuration certainly cannot serve: one line; None where it may.

        Refused are weights that no accelerator of the deployment can hold even if they were spread evenly
        over all of them, and a cache without room for the shortest request (for vLLM, which asks for it at
        the start, for one of --max-model-len).
        """
        return self._once(self._refusals, active, self._refusal)

    def _once(self, known: dict[_Key, _T | None], active: _Values, find: _Find[_T]) -> _T | None:
        """What `find` says, asked once for equal values of what matters."""
        key = tuple(active.get(name) for name in self._ordered)
        if key not in known:
            try:
                found = find(active, self._accelerators.of(active))
            except SpecError:
                found = None  # a name without a value: spec.hardware_checks tells where it has to have one
            if len(known) >= _REMEMBERED:
                known.clear()
            known[key] = found
        return known[key]

    @cached_property
    def _mean_request(self) -> float:
        """Tokens of the load point with the longest requests."""
        return max(sum(point.lengths.mean_tokens()) for point in self._workload.points)

    def _estimate(self, active: _Values, accelerators: int) -> Estimate | None:
        said = self._said.of(active)
        weights = self._model.weights(said, _text(said.get(VARIANT)))
        if weights is None:
            return None
        layout = self._layout(said, accelerators)
        context = self._model.context
        token = self._model.token(said, layout) or 0.0
        memory = self.gib * GIB
        longest = _number(said, "longest", context if self.engine == "vllm" and self._told else 0.0)
        asked = Asked(
            model=self._model,
            said=said,
            layout=layout,
            memory=memory,
            weights=self._model.on_one(weights[0], layout),
            token=token,
            longest=max(self._mean_request, longest),
        )
        shared = RULES[self.engine](asked)
        tokens = max(0.0, shared.cache) / token if token else None
        replicas = max(1.0, layout.accelerators / (layout.width * layout.stages))
        requests = tokens * replicas / self._mean_request if tokens is not None else None
        return Estimate(asked.weights, shared.cache, tokens, requests, shared.left / memory, shared.scarce)

    def _refusal(self, active: _Values, accelerators: int) -> str | None:
        said = self._said.of(active)
        memory = self.gib * GIB
        weights = self._model.weights(said, _text(said.get(VARIANT)))
        layout = self._layout(said, accelerators)
        if self.host:
            cache = _number(said, "context", 0) * self._model.least_token(said, layout)
            got = f"a KV cache of {cache / GIB:.1f} GiB"
            return self._line(active, got, memory) if cache > memory else None
        if weights is None or self.engine == "llama.cpp" or said.get("elsewhere"):
            return None
        least = self._model.least_on_one(weights[1], layout)
        room = most_for_cache(self.engine, said, memory=memory, weights=least)
        share = memory if self.engine == "trtllm" else room + least
        if room <= 0:
            return self._line(active, f"weights of {least / GIB:.1f} GiB an accelerator", share)
        longest = _number(said, "longest", 0) if self.engine == "vllm" else 0.0
        asked = max(longest, self._least_request)
        needed = asked * self._model.least_token(said, layout)
        if needed <= room:
            return None
        return self._line(active, f"{needed / GIB:.1f} GiB for one request of {asked:,.0f} tokens", room)

    def _line(self, active: _Values, got: str, of: float) -> str:
        concerned = {name: value for name, value in active.items() if name in self.names}
        return f"memory: {shown(concerned)}: {got} do not fit into {of / GIB:.1f} of {self.gib:g} GiB"

    def _layout(self, said: _Values, accelerators: int) -> Layout:
        """As the flags spread it; the accelerators' number rules where they do not say."""
        stages = max(1, int(_number(said, "stages", 1)))
        replicas = max(1, int(_number(said, "replicas", 1)))
        count = max(1, accelerators)
        width = max(1, int(_number(said, "width", 0)) or count // (stages * replicas))
        if said.get("attention_replicas") is True:  # the width is of all ranks, which share the experts
            replicas = width if self.engine == "trtllm" else replicas
            return Layout(count, max(1, width // replicas), width, stages, 1)
        shared = self.engine == "vllm" and not self._model.is_dense  # experts, by all replicas
        whole = self._model.is_dense and count % replicas == 0
        return Layout(count, width, count // stages if shared else width, stages, replicas if whole else 1)


def memory_of(experiment: Experiment) -> Memory | None:
    """Of an experiment's configurations; None where the engine, the model or the memory is not known."""
    deploy, model = experiment.deploy, experiment.model
    words = [*deploy.command, *deploy.arguments]
    engine = _engine(" ".join([deploy.image or "", deploy.runtime or "", *words, deploy.template or ""]))
    host = deploy.backend == "local" and deploy.accelerators == 0
    gib = deploy.accelerator_memory_gib
    if gib is None and host:
        gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    weighed = Weighed.of(model)
    if engine is None or gib is None or (weighed.facts is None and model.parameter_count is None):
        return None
    variant = experiment.storage.pvc_subpath if experiment.storage is not None else None
    said = Said(experiment.parameters, words, variant=variant)
    accelerators = Accelerators(deploy.accelerators, experiment.parameters)
    return Memory(
        engine,
        weighed,
        said,
        experiment.workload,
        accelerators=accelerators,
        gib=gib,
        host=host,
        told=deploy.backend != "ome",
    )


def _engine(words: str) -> str | None:
    return next((name for name, word in _ENGINES.items() if re.search(word, words.lower())), None)


def _least(part: Content) -> float:
    """Tokens of its shortest request, prompt and answer; 2 where that is not known."""
    if part.scenario is None or part.lengths.kind == "N":
        return 2.0
    return part.lengths.input[0] + part.lengths.output[0]


def _number(said: _Values, trait: str, default: float) -> float:
    value = said.get(trait)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _text(value: ParamValue | None) -> str | None:
    return None if value is None else str(value)
