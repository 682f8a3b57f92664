"""The memory estimate on the surfaces for choosing: what ran out of memory is tight, what ran is not refused.

The surfaces' failures come of an own simulation of the engines (benchmarks/surfaces/served) with tables of
activations; the estimate knows the models' published sizes alone.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from tuner.spec import load_experiment

SURFACES = Path(__file__).parents[3] / "benchmarks" / "surfaces"
LLAMA_8B = {
    "layers": 32,
    "hidden_size": 4096,
    "heads": 32,
    "kv_heads": 8,
    "feed_forward": 14336,
    "vocabulary": 128256,
}
BOTH_8B = {"bf16": 16.1, "fp8": 9.1}
# surface -> GiB of an accelerator, sizes of the model as its config.json and its files have them
SERVED = {
    "vllm-llama-8b-h100": (80, {**LLAMA_8B, "weights_gb": BOTH_8B}),
    "sglang-llama-8b-l40s": (48, {**LLAMA_8B, "weights_gb": BOTH_8B}),
    "sglang-qwen-32b-h200": (
        141,
        {
            "weights_gb": {"bf16": 65.5, "fp8": 34.0},
            "layers": 64,
            "hidden_size": 5120,
            "heads": 64,
            "kv_heads": 8,
            "head_size": 128,
            "feed_forward": 25600,
            "vocabulary": 151936,
        },
    ),
    "trtllm-llama-70b-h200": (
        141,
        {
            "weights_gb": {"bf16": 141.0, "fp8": 71.5},
            "layers": 80,
            "hidden_size": 8192,
            "heads": 64,
            "kv_heads": 8,
            "feed_forward": 28672,
            "vocabulary": 128256,
        },
    ),
    "vllm-qwen-30b-a3b-h100": (
        80,
        {
            "weights_gb": {"bf16": 61.1, "fp8-block": 31.0},
            "layers": 48,
            "hidden_size": 2048,
            "heads": 32,
            "kv_heads": 4,
            "head_size": 128,
            "feed_forward": 6144,
            "vocabulary": 151936,
            "expert_share": 0.95,
        },
    ),
    "vllm-mixtral-8x7b-a100": (
        80,
        {
            "weights_gb": 93.4,
            "layers": 32,
            "hidden_size": 4096,
            "heads": 32,
            "kv_heads": 8,
            "feed_forward": 28672,
            "vocabulary": 32000,
            "expert_share": 0.96,
        },
    ),
}


def written(parameter):
    """Its values by how a surface writes them."""
    numbers = {f"{v:g}": v for v in parameter.grid() if isinstance(v, float)}
    return {**{str(v).lower() if isinstance(v, bool) else str(v): v for v in parameter.grid()}, **numbers}


def estimated(name):
    """(failure, estimate, whether it is refused) of every row."""
    gib, facts = SERVED[name]
    experiment = load_experiment(
        SURFACES / name / "experiment.yaml",
        [f"deploy.accelerator_memory_gib={gib}", f"model.facts={json.dumps(facts)}"],
    )
    with (SURFACES / name / "surface.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values = {name: written(parameter) for name, parameter in experiment.parameters.items()}
    for row in rows:
        given = {name: values[name][row[name]] for name in values if row[name]}
        params = experiment.space.active(given)
        assert len(params) == len(given)
        yield row["failure"], experiment.memory.estimate(params), experiment.memory.refusal(params)


def test_every_modelled_surface_for_choosing_is_looked_at():
    split = yaml.safe_load((SURFACES / "split.yaml").read_text(encoding="utf-8"))
    assert {*SERVED, "quickstart-grid"} == set(split["choosing"]["surfaces"])


@pytest.mark.parametrize("name", SERVED)
def test_what_ran_out_of_memory_is_tight_most_of_what_ran_is_not_and_nothing_that_ran_is_refused(name):
    rows = list(estimated(name))
    ran = [(e, refused) for failure, e, refused in rows if not failure]
    out_of_memory = [e for failure, e, _ in rows if failure == "accelerator_oom"]
    assert not any(refused for _, refused in ran)
    assert all(e.tight for e in out_of_memory)
    assert sum(e.tight for e, _ in ran) <= 0.35 * len(ran)
    roomier = sum(e.headroom > o.headroom for e, _ in ran for o in out_of_memory)
    assert roomier >= 0.99 * len(ran) * len(out_of_memory)
