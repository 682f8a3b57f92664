"""What the memory estimate makes of a space: what is left out or comes later, what the baseline holds."""

from __future__ import annotations

import random
from collections.abc import Iterable

from tuner.spec import Experiment
from tuner.spec.memory import Memory
from tuner.spec.memory.model import GIB
from tuner.spec.space import Params, Space

_COUNTED = 20_000  # configurations up to which all are looked at
_DRAWN = 2_000


def memory_lines(experiment: Experiment) -> list[str]:
    """One line a fact; none where no memory is known and none was asked for."""
    memory = experiment.memory
    if memory is None:
        return [_unknown(experiment)] if experiment.model.facts is not None else []
    left_out = _left_out(experiment, memory)
    if memory.host:  # a model that a machine holds with ease is no news
        return left_out
    return [*_baseline(experiment, memory), *left_out]


def baseline_is_tight(experiment: Experiment) -> bool:
    """Whether the baseline is expected to run out of memory, or nearly."""
    space, memory = experiment.space, experiment.memory
    estimate = memory.estimate(space.baseline) if memory is not None else None
    return estimate is not None and estimate.tight


def _unknown(experiment: Experiment) -> str:
    if experiment.deploy.accelerator_memory_gib is None:
        return "not estimated: deploy.accelerator_memory_gib does not say what an accelerator has"
    return "not estimated: neither image, command nor runtime names vLLM, SGLang, TensorRT-LLM or llama.cpp"


def _baseline(experiment: Experiment, memory: Memory) -> list[str]:
    estimate = memory.estimate(experiment.space.baseline)
    if estimate is None:
        return []
    text = (
        f"the baseline is expected to hold {estimate.weights / GIB:.1f} of {memory.gib:g} GiB in weights"
        f" and {max(0.0, estimate.cache) / GIB:.1f} GiB in cache on an accelerator"
    )
    if estimate.tokens is not None and estimate.requests is not None:
        text += (
            f", {estimate.tokens:,.0f} tokens a replica: {estimate.requests:,.0f} requests of the workload"
        )
    if estimate.tight:
        text += f"; that is tight for {estimate.scarce}: {estimate.headroom * memory.gib:+.1f} GiB are left"
    return [text]


def _left_out(experiment: Experiment, memory: Memory) -> list[str]:
    """By how many configurations the estimate matters, among all that the constraints allow."""
    space = Space(experiment.parameters, experiment.constraints, accelerators=experiment.deploy.accelerators)
    size = space.size()
    every: Iterable[Params]
    if size is not None and size <= _COUNTED:
        every, counted = space.grid(), size
    else:
        rng = random.Random(0)
        every, counted = (space.sample(rng) for _ in range(_DRAWN)), _DRAWN
    impossible = tight = 0
    for params in every:
        if memory.refusal(params) is not None:
            impossible += 1
        else:
            estimate = memory.estimate(params)
            tight += estimate is not None and estimate.tight
    of = f" of {counted:,} configurations" + ("" if size == counted else " drawn")
    said = []
    if impossible:
        said.append(f"{impossible:,}{of} cannot hold the weights and one request and are left out")
    if tight:
        said.append(f"{tight:,}{'' if impossible else of} are tight and come later")
    return ["; ".join(said)] if said else []
