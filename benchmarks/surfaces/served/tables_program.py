"""Step times and memory of layouts, from aiconfigurator's measured operators. Runs in a venv of its own.

Reads a JSON list of layouts from standard input, writes a JSON list of their tables to standard output. Every
time is in milliseconds and of one forward pass on one replica, as the tables have it: kernels alone, no host.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import sys
import tempfile
from pathlib import Path

import aiconfigurator_core
from aiconfigurator_core.sdk import memory, perf_database
from aiconfigurator_core.sdk.common import DefaultHFModels
from aiconfigurator_core.sdk.engine import EngineHandle

TOKENS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768]
PROMPTS = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
CONTEXTS = [128, 256, 512, 1024, 2048, 4096, 8192, 16384]
GIB = 1 << 30


def tables_of(layout: dict) -> dict:
    """The tables of one layout; `error` alone where the source has none for it."""
    layout = {**layout, "model": path_of(layout["model"])}
    facts = {k: v for k, v in layout.items() if k not in ("model", "system", "backend") and v is not None}
    try:
        engine = EngineHandle.compile(layout["model"], layout["system"], layout["backend"], **facts)
        shared, attention = [], []
        for tokens in TOKENS:
            shared.append(engine.mixed_step_breakdown(max(1, tokens - 1), min(1, tokens - 1), 512, 2)[1])
            attention.append([engine.mixed_step_breakdown(tokens, 1, prompt, 2)[2] for prompt in PROMPTS])
        decode = [[engine.decode_step_latency(b, c, 2) for c in CONTEXTS] for b in BATCHES]
        attending = [[engine.mixed_step_breakdown(64, b, c, 2)[3] for c in CONTEXTS] for b in BATCHES]
    except Exception as error:  # the source raises what it likes
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    return {
        "tokens": TOKENS,
        "prompts": PROMPTS,
        "batches": BATCHES,
        "contexts": CONTEXTS,
        "shared_ms": shared,
        "prefill_attention_ms": attention,
        "decode_ms": decode,
        "decode_attention_ms": attending,
        **memory_of(layout, facts),
    }


@functools.cache
def path_of(model: str) -> str:
    """The name, or where the package does not know it a folder with the model's file that it ships."""
    if model in DefaultHFModels:
        return model
    shipped = (
        Path(aiconfigurator_core.__file__).parent
        / "model_configs"
        / f"{model.replace('/', '--')}_config.json"
    )
    folder = Path(tempfile.mkdtemp(prefix="model-"))
    shutil.copy(shipped, folder / "config.json")
    return str(folder)


def memory_of(layout: dict, facts: dict) -> dict:
    """Bytes on one accelerator; the activations at 2,048 tokens and at 16,384."""
    facts = {k: v for k, v in facts.items() if k != "attention_backend"}
    version = perf_database.resolve_query_version(layout["system"], layout["backend"], "current")
    made = [
        memory.KVCacheEstimator.from_request(
            layout["model"],
            layout["system"],
            layout["backend"],
            max_num_tokens=tokens,
            max_batch_size=1,
            **facts,
            backend_version=version,
        ).breakdown
        for tokens in (2048, 16384)
    ]
    return {
        "capacity_bytes": made[0]["gpu_memory_capacity_bytes"],
        "weights_bytes": made[0]["weights_bytes"],
        "communication_bytes": made[0]["comm_overhead_bytes"],
        "activation_bytes": [m["activations_bytes"] for m in made],
        # at 4,096 tokens of context: models with sliding windows grow less than by the first token
        "kv_bytes_per_token": 4 * GIB / max(1, int(made[0]["tokens_from_kv_bytes"](4 * GIB))),
    }


def main() -> None:
    layouts = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        found = [tables_of(layout) for layout in layouts]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
