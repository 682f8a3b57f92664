"""TensorRT-LLM (trtllm-serve, PyTorch backend): what its flags do, forbid and need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from served.plan import GIB, Facts, Failed, Memory, Params, eager_ms
from served.replica import Rules

from tuner.errors import FailureClass

HOST_MS = 0.7  # of a step; held against published measurements, see README.md
HOST_MS_PER_SEQUENCE = 0.006
OUTSIDE_BYTES = 1.2 * GIB
_EXPERT_KERNELS = {"CUTLASS": "w4a8_mxfp4_mxfp8", "TRITON": "w4a16_mxfp4"}


class TrtLlm:
    """Tensor parallel; in-flight batching with whole or chunked prompts."""

    def layout(self, params: Params, facts: Facts) -> dict[str, Any]:
        """See Engine."""
        tp = params["tp_size"]
        model, gemm, moe, _ = facts.checkpoints[params.get("weights", "only")]
        if params["max_num_tokens"] < params["max_batch_size"]:
            raise Failed(FailureClass.CRASH, 0.1)
        ep = tp  # tensor parallel experts in MXFP4 have no tables
        moe = _EXPERT_KERNELS.get(params.get("moe_backend", ""), moe)
        found: dict[str, Any] = {
            "model": model,
            "system": facts.system,
            "backend": "trtllm",
            "tp_size": 1 if params.get("enable_attention_dp") else tp,
            "gemm_quant_mode": gemm,
            "kvcache_quant_mode": "fp8" if params.get("kv_cache_dtype", "auto") == "fp8" else "bfloat16",
            "fmha_quant_mode": "bfloat16",
        }
        if moe is not None:
            found |= {
                "moe_quant_mode": moe,
                "moe_tp_size": tp // ep,
                "moe_ep_size": ep,
                "attention_dp_size": tp if params.get("enable_attention_dp") else 1,
            }
        return found

    def rules(self, params: Params, facts: Facts, memory: Memory) -> Rules:
        """A fraction of what weights and the largest step leave free."""
        tokens, batch = params["max_num_tokens"], params["max_batch_size"]
        chunked = bool(params.get("enable_chunked_prefill", True))
        if not chunked and tokens < facts.prompt_longest:
            raise Failed(FailureClass.REQUESTS_FAILED, 1.0)  # NVIDIA/TensorRT-LLM#9277, #4947
        free = memory.capacity - memory.weights - memory.communication - OUTSIDE_BYTES
        if free <= 0:
            raise Failed(FailureClass.ACCELERATOR_OOM, 0.3)
        free -= memory.activation(tokens)
        if free <= 0:
            raise Failed(FailureClass.ACCELERATOR_OOM, 0.7)
        cache = params.get("kv_cache_free_gpu_memory_fraction", 0.9) * free
        graphs = (0.4 + 0.8 * min(batch, 512) / 512 * facts.layers / 32) * GIB
        if free - cache < graphs + 2 * batch * facts.vocabulary * 4:
            raise Failed(FailureClass.ACCELERATOR_OOM, 0.95)
        kv_tokens = int(cache / memory.kv_per_token)
        if kv_tokens < facts.longest:
            raise Failed(FailureClass.CRASH, 0.8)
        return Rules(
            max_running=batch,
            step_tokens=tokens,
            mixed=True,
            chunked=chunked,
            kv_tokens=kv_tokens,
            reserve="all" if params.get("capacity_scheduler_policy") == "GUARANTEED_NO_EVICT" else "none",
            cached_tokens=facts.shared_prefix if params.get("enable_block_reuse") else 0,
        )

    def replicas(self, params: Params) -> int:
        """With attention data parallelism every rank batches for itself."""
        return int(params["tp_size"]) if params.get("enable_attention_dp") else 1

    def host(self, params: Params, facts: Facts) -> Callable[[int, int, float], float]:
        """See Engine."""
        graphs = bool(params.get("use_cuda_graph", True))

        def step_ms(decodes: int, tokens: int, taken: float) -> float:
            if tokens or not graphs:
                taken = eager_ms(facts.layers, taken, per_layer_ms=0.22)
            return taken + HOST_MS + HOST_MS_PER_SEQUENCE * decodes

        return step_ms

    def attention_scale(self, params: Params, facts: Facts) -> float:
        """As the tables have it."""
        return 1.0

    def start_seconds(self, params: Params, facts: Facts) -> float:
        """Imports and MPI workers, the kernels' autotuning, graphs."""
        world = params["tp_size"]
        tuning = 25.0 + 0.5 * facts.layers
        graphs = (4 + params["max_batch_size"] / 16) * 0.006 * facts.layers
        return 45.0 + 3.0 * world + tuning + (graphs if params.get("use_cuda_graph", True) else 0.0)
