"""vLLM (V1 engine): what its flags do, forbid and need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from served.plan import GIB, Facts, Failed, Memory, Params, eager_ms
from served.replica import Rules

from tuner.errors import FailureClass

HOST_MS = 0.9  # of a step; held against published measurements, see README.md
HOST_MS_PER_SEQUENCE = 0.012
OUTSIDE_BYTES = 0.6 * GIB  # CUDA context and libraries, beside what the engine counts
LARGEST_GRAPH = 512  # sequences; larger batches run without a graph


class Vllm:
    """Tensor parallel within a replica, `dp` replicas; prompts in chunks beside decodes."""

    def layout(self, params: Params, facts: Facts) -> dict[str, Any]:
        """See Engine."""
        tp = params["tensor_parallel_size"]
        model, gemm, moe, _ = facts.checkpoints[params.get("weights", "only")]
        if params["max_num_batched_tokens"] < params["max_num_seqs"]:
            raise Failed(FailureClass.CRASH, 0.0)  # ValueError of SchedulerConfig
        fp8_kv = params.get("kv_cache_dtype", "auto") == "fp8"
        backend = params.get("attention_backend", "auto")
        if fp8_kv and backend == "FLASH_ATTN" and not facts.more.get("fa3", True):
            raise Failed(FailureClass.CRASH, 0.05)  # FlashAttention 2 has no FP8 cache
        experts = params.get("enable_expert_parallel", False)
        block = facts.more.get("expert_block_width")
        if moe == "fp8_block" and block and not experts and block / tp % 128:
            raise Failed(FailureClass.CRASH, 0.15)  # vllm-project/vllm#17569, #25292
        found: dict[str, Any] = {
            "model": model,
            "system": facts.system,
            "backend": "vllm",
            "tp_size": tp,
            "gemm_quant_mode": gemm,
            "kvcache_quant_mode": "fp8" if fp8_kv and facts.more.get("fa3", True) else "bfloat16",
            "fmha_quant_mode": "bfloat16",
        }
        if moe is not None:
            found |= {
                "moe_quant_mode": moe,
                "moe_tp_size": 1 if experts else tp,
                "moe_ep_size": tp if experts else 1,
            }
        return found

    def rules(self, params: Params, facts: Facts, memory: Memory) -> Rules:
        """Of total memory; graphs and the sampler's warm-up need what the fraction leaves."""
        tokens, sequences = params["max_num_batched_tokens"], params["max_num_seqs"]
        kept = params.get("gpu_memory_utilization", 0.92) * memory.capacity
        needed = memory.weights + memory.activation(tokens) + memory.communication + OUTSIDE_BYTES
        if memory.weights + memory.communication + OUTSIDE_BYTES > memory.capacity:
            raise Failed(FailureClass.ACCELERATOR_OOM, 0.3)  # while loading
        if kept <= needed:
            raise Failed(FailureClass.ACCELERATOR_OOM, 0.8)  # No available memory for the cache blocks
        halved = params.get("kv_cache_dtype") == "fp8" and not facts.more.get("fa3", True)
        kv_tokens = int((kept - needed) / (memory.kv_per_token / 2 if halved else memory.kv_per_token))
        if kv_tokens < facts.longest:
            raise Failed(FailureClass.CRASH, 0.8)  # one request of the greatest length does not fit
        graphs = 0.0 if params.get("enforce_eager") else _graph_bytes(facts, sequences)
        logits = 3 * sequences * facts.vocabulary * 4  # float32, its sort and its softmax
        if kept + graphs + logits > memory.capacity - 0.25 * GIB:
            raise Failed(FailureClass.ACCELERATOR_OOM, 0.95)  # capturing graphs, or warming up the sampler
        cached = facts.shared_prefix // 16 * 16 if params.get("enable_prefix_caching") else 0
        return Rules(
            max_running=sequences,
            step_tokens=tokens,
            mixed=True,
            chunked=True,
            kv_tokens=kv_tokens,
            cached_tokens=cached,
        )

    def replicas(self, params: Params) -> int:
        """See Engine."""
        return int(params.get("data_parallel_size", 1))

    def host(self, params: Params, facts: Facts) -> Callable[[int, int, float], float]:
        """See Engine."""
        eager = bool(params.get("enforce_eager"))

        def step_ms(decodes: int, tokens: int, taken: float) -> float:
            if eager or decodes + tokens > LARGEST_GRAPH:
                taken = eager_ms(facts.layers, taken)
            return taken + HOST_MS + HOST_MS_PER_SEQUENCE * decodes

        return step_ms

    def attention_scale(self, params: Params, facts: Facts) -> float:
        """Before Hopper slower kernels read an FP8 cache; the source has no tables of them: assumed."""
        slower = params.get("kv_cache_dtype") == "fp8" and not facts.more.get("fa3", True)
        return 1.3 if slower else 1.0

    def start_seconds(self, params: Params, facts: Facts) -> float:
        """Imports and workers, profiling, torch.compile, 67 graphs at most."""
        world = params["tensor_parallel_size"] * self.replicas(params)
        seconds = 32.0 + (8.0 + 1.5 * world if world > 1 else 0.0) + 4.0
        if not params.get("enforce_eager"):
            sizes = 3 + min(params["max_num_seqs"], LARGEST_GRAPH) // 8
            seconds += 0.6 * facts.layers + sizes * 0.006 * facts.layers
        return seconds


def _graph_bytes(facts: Facts, sequences: int) -> float:
    """1 to 3 GiB as the log says, by the number of sizes and of layers."""
    return (0.4 + 0.9 * min(sequences, LARGEST_GRAPH) / LARGEST_GRAPH * facts.layers / 32) * GIB
