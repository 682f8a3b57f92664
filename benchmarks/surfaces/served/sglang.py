"""SGLang: what its flags do, forbid and need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from served.plan import GIB, Facts, Failed, Memory, Params, accepted_tokens, eager_ms
from served.replica import Rules

from tuner.errors import FailureClass

HOST_MS = 0.8  # of a step, scheduling overlapped; held against published measurements, see README.md
HOST_MS_PER_SEQUENCE = 0.008
OUTSIDE_BYTES = 0.9 * GIB
DRAFT_LAYERS = 1  # of a multi-token-prediction head


class Sglang:
    """Tensor parallel within a replica, `dp_size` replicas; prompts before decodes."""

    def layout(self, params: Params, facts: Facts) -> dict[str, Any]:
        """See Engine."""
        tp, dp = _width(params, facts), params.get("dp_size", 1)
        model, gemm, moe, _ = facts.checkpoints[params.get("weights", "only")]
        kv = params.get("kv_cache_dtype", "auto")
        backend = params.get("attention_backend", facts.more.get("attention", "fa3"))
        if backend == "triton" and kv != "auto":
            raise Failed(FailureClass.CRASH, 0.1)  # the documentation's support matrix
        if backend == "fa3" and kv == "fp8_e5m2":
            raise Failed(FailureClass.CRASH, 0.1)  # FlashAttention 3 takes e4m3 alone
        if backend == "fa3" and not facts.more.get("fa3", True):
            raise Failed(FailureClass.CRASH, 0.0)
        attention_dp = bool(facts.more.get("dp_attention"))
        ep = params.get("ep_size", 1)
        width = facts.more.get("expert_block_width")
        if moe == "fp8_block" and width and width / (tp / ep) % 128:
            raise Failed(FailureClass.CRASH, 0.15)  # sgl-project/sglang#10641
        found: dict[str, Any] = {
            "model": model,
            "system": facts.system,
            "backend": "sglang",
            "tp_size": tp // dp if attention_dp else tp,
            "gemm_quant_mode": gemm,
            "kvcache_quant_mode": "bfloat16" if kv == "auto" else "fp8",
            "fmha_quant_mode": "bfloat16" if kv == "auto" or facts.more.get("half_attention") else "fp8",
        }
        if moe is not None:
            found |= {
                "moe_quant_mode": moe,
                "moe_tp_size": tp // ep,
                "moe_ep_size": ep,
                "attention_dp_size": dp if attention_dp else 1,
            }
        if params.get("speculative_num_steps", 0):
            found["nextn"] = params["speculative_num_steps"]
        return found

    def rules(self, params: Params, facts: Facts, memory: Memory) -> Rules:
        """Weights and cache within the fraction; graphs and activations in what it leaves."""
        chunk, running = params["chunked_prefill_size"], params["max_running_requests"]
        fraction = params["mem_fraction_static"]
        cache = fraction * memory.capacity - memory.weights
        if memory.weights + memory.communication + OUTSIDE_BYTES > memory.capacity:
            raise Failed(FailureClass.ACCELERATOR_OOM, 0.3)  # while loading
        kv_tokens = int(cache / memory.kv_per_token)
        if kv_tokens < 1024:
            raise Failed(FailureClass.ACCELERATOR_OOM, 0.6)  # Not enough memory ... --mem-fraction-static
        left = (1 - fraction) * memory.capacity - memory.communication - OUTSIDE_BYTES
        graph = min(params.get("cuda_graph_max_bs", 160), running)
        graphs = 0.0 if params.get("disable_cuda_graph") else (0.5 + 0.002 * graph * facts.layers / 16) * GIB
        if left < graphs:
            raise Failed(FailureClass.ACCELERATOR_OOM, 0.9)  # Capture cuda graph failed
        ranks = params.get("dp_size", 1) if facts.more.get("dp_attention") else 1
        prompt = max(1, min(chunk, 16384) // ranks)
        logits = 2 * max(1, running // ranks) * facts.vocabulary * 4
        if left < graphs + memory.activation(prompt) + logits:
            raise Failed(FailureClass.ACCELERATOR_OOM, 1.0)  # at the first large prompts
        drafts = params.get("speculative_num_steps", 0)
        return Rules(
            max_running=max(1, running // ranks),
            step_tokens=prompt,
            mixed=bool(params.get("enable_mixed_chunk")) and not drafts,
            chunked=True,
            kv_tokens=kv_tokens,
            reserve="share",
            conservativeness=params.get("schedule_conservativeness", 1.0),
            cached_tokens=0 if params.get("disable_radix_cache") else facts.shared_prefix,
            query=1 + drafts,
            accepted=accepted_tokens(drafts, facts.acceptance),
        )

    def replicas(self, params: Params) -> int:
        """With data-parallel attention each rank schedules for itself, in step with the others."""
        return int(params.get("dp_size", 1))

    def host(self, params: Params, facts: Facts) -> Callable[[int, int, float], float]:
        """Beyond the captured sizes without a graph; drafting costs its layer for each step."""
        largest = 0 if params.get("disable_cuda_graph") else params.get("cuda_graph_max_bs", 160)
        drafts = params.get("speculative_num_steps", 0)

        def step_ms(decodes: int, tokens: int, taken: float) -> float:
            if tokens or decodes > largest:
                taken = eager_ms(facts.layers, taken, per_layer_ms=0.25)
            drafting = drafts * (0.3 + taken * DRAFT_LAYERS / facts.layers)
            return taken + drafting + HOST_MS + HOST_MS_PER_SEQUENCE * decodes

        return step_ms

    def attention_scale(self, params: Params, facts: Facts) -> float:
        """Triton's kernels against FlashAttention 3 and FlashInfer, which the tables are of: assumed."""
        return 1.2 if params.get("attention_backend") == "triton" else 1.0

    def start_seconds(self, params: Params, facts: Facts) -> float:
        """Imports and workers, then a graph for each size: all to 8, then by 8."""
        ranks = 1 if facts.more.get("dp_attention") else self.replicas(params)
        world = _width(params, facts) * ranks
        seconds = 24.0 + (6.0 + 1.5 * world if world > 1 else 0.0)
        if not params.get("disable_cuda_graph"):
            sizes = 4 + params.get("cuda_graph_max_bs", 160) / 8
            seconds += 5.0 + sizes * 0.008 * facts.layers * (1 + params.get("speculative_num_steps", 0))
        return seconds


def _width(params: Params, facts: Facts) -> int:
    return int(params.get("tp_size", facts.more.get("tp_size", 1)))
