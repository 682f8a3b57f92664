"""What each surface that is built from tables serves, and on what; its experiment stands beside its rows."""

from __future__ import annotations

from served.plan import Engine, Facts
from served.sglang import Sglang
from served.trtllm import TrtLlm
from served.vllm import Vllm

GB = 1e9

RECIPES: dict[str, tuple[Engine, Facts]] = {
    "vllm-llama-8b-h100": (
        Vllm(),
        Facts(
            system="h100_sxm",
            checkpoints={
                "bf16": ("meta-llama/Meta-Llama-3.1-8B", "bfloat16", None, 16.1 * GB),
                "fp8": ("meta-llama/Meta-Llama-3.1-8B", "fp8", None, 9.1 * GB),
            },
            layers=32,
            vocabulary=128_256,
            longest=16_384,
            prompt_longest=6_200,
        ),
    ),
    "sglang-qwen-32b-h200": (
        Sglang(),
        Facts(
            system="h200_sxm",
            checkpoints={
                "bf16": ("Qwen/Qwen3-32B", "bfloat16", None, 65.5 * GB),
                "fp8": ("Qwen/Qwen3-32B", "fp8_block", None, 34.0 * GB),
            },
            layers=64,
            vocabulary=151_936,
            longest=40_960,
            prompt_longest=16_000,
        ),
    ),
    "trtllm-llama-70b-h200": (
        TrtLlm(),
        Facts(
            system="h200_sxm",
            checkpoints={
                "bf16": ("meta-llama/Meta-Llama-3.1-70B", "bfloat16", None, 141 * GB),
                "fp8": ("meta-llama/Meta-Llama-3.1-70B", "fp8", None, 71.5 * GB),
            },
            layers=80,
            vocabulary=128_256,
            longest=16_384,
            prompt_longest=5_200,
            load_bytes_per_second=1.2e9,
        ),
    ),
    "vllm-qwen-30b-a3b-h100": (
        Vllm(),
        Facts(
            system="h100_sxm",
            checkpoints={
                "bf16": ("Qwen/Qwen3-30B-A3B", "bfloat16", "bfloat16", 61.1 * GB),
                "fp8-block": ("Qwen/Qwen3-30B-A3B-FP8", "fp8_block", "fp8_block", 31.0 * GB),
            },
            layers=48,
            vocabulary=151_936,
            longest=16_384,
            prompt_longest=4_600,
            more={"expert_block_width": 768},
        ),
    ),
    "sglang-llama-8b-l40s": (
        Sglang(),
        Facts(
            system="l40s",
            checkpoints={
                "bf16": ("meta-llama/Meta-Llama-3.1-8B", "bfloat16", None, 16.1 * GB),
                "fp8": ("meta-llama/Meta-Llama-3.1-8B", "fp8", None, 9.1 * GB),
            },
            layers=32,
            vocabulary=128_256,
            longest=16_384,
            prompt_longest=15_300,
            shared_prefix=512,
            load_bytes_per_second=0.6 * GB,
            more={"fa3": False, "half_attention": True},
        ),
    ),
    "vllm-mixtral-8x7b-a100": (
        Vllm(),
        Facts(
            system="a100_sxm",
            checkpoints={"only": ("mistralai/Mixtral-8x7B-v0.1", "bfloat16", "bfloat16", 93.4 * GB)},
            layers=32,
            vocabulary=32_000,
            longest=32_768,
            prompt_longest=7_800,
            load_bytes_per_second=1.0 * GB,
            more={"fa3": False},
        ),
    ),
    "sglang-llama-70b-h100": (
        Sglang(),
        Facts(
            system="h100_sxm",
            checkpoints={
                "bf16": ("meta-llama/Meta-Llama-3.1-70B", "bfloat16", None, 141 * GB),
                "fp8": ("meta-llama/Meta-Llama-3.1-70B", "fp8", None, 71.5 * GB),
            },
            layers=80,
            vocabulary=128_256,
            longest=16_384,
            prompt_longest=4_000,
            load_bytes_per_second=1.5 * GB,
        ),
    ),
    "vllm-qwen-32b-rtx6000": (
        Vllm(),
        Facts(
            system="rtx_pro_6000_server",
            checkpoints={
                "bf16": ("Qwen/Qwen3-32B", "bfloat16", None, 65.5 * GB),
                "fp8": ("Qwen/Qwen3-32B", "fp8", None, 34.0 * GB),
            },
            layers=64,
            vocabulary=151_936,
            longest=32_768,
            prompt_longest=7_600,
            shared_prefix=800,
            load_bytes_per_second=0.8 * GB,
        ),
    ),
    "trtllm-gpt-oss-120b-b200": (
        TrtLlm(),
        Facts(
            system="b200_sxm",
            checkpoints={"only": ("openai/gpt-oss-120b", "bfloat16", "w4a8_mxfp4_mxfp8", 65.2 * GB)},
            layers=36,
            vocabulary=201_088,
            longest=32_768,
            prompt_longest=2_600,
            load_bytes_per_second=2.0 * GB,
        ),
    ),
    "sglang-qwen-235b-h200": (
        Sglang(),
        Facts(
            system="h200_sxm",
            checkpoints={"only": ("Qwen/Qwen3-235B-A22B-FP8", "fp8_block", "fp8_block", 236 * GB)},
            layers=94,
            vocabulary=151_936,
            longest=24_576,
            prompt_longest=8_000,
            load_bytes_per_second=1.5 * GB,
            more={"dp_attention": True, "expert_block_width": 1536},
        ),
    ),
    "trtllm-qwen-8b-h100": (
        TrtLlm(),
        Facts(
            system="h100_sxm",
            checkpoints={
                "bf16": ("Qwen/Qwen3-8B", "bfloat16", None, 16.4 * GB),
                "fp8": ("Qwen/Qwen3-8B", "fp8", None, 9.5 * GB),
            },
            layers=36,
            vocabulary=151_936,
            longest=8_192,
            prompt_longest=3_500,
        ),
    ),
    "vllm-llama-70b-b200": (
        Vllm(),
        Facts(
            system="b200_sxm",
            checkpoints={
                "bf16": ("meta-llama/Meta-Llama-3.1-70B", "bfloat16", None, 141 * GB),
                "fp8": ("meta-llama/Meta-Llama-3.1-70B", "fp8", None, 71.5 * GB),
                "nvfp4": ("meta-llama/Meta-Llama-3.1-70B", "nvfp4", None, 42.7 * GB),
            },
            layers=80,
            vocabulary=128_256,
            longest=131_072,
            prompt_longest=20_000,
            load_bytes_per_second=1.5 * GB,
        ),
    ),
    "sglang-deepseek-r1-h200": (
        Sglang(),
        Facts(
            system="h200_sxm",
            checkpoints={"only": ("deepseek-ai/DeepSeek-R1", "fp8_block", "fp8_block", 689 * GB)},
            layers=61,
            vocabulary=129_280,
            longest=32_768,
            prompt_longest=2_600,
            load_bytes_per_second=1.5 * GB,
            acceptance=0.75,
            more={"dp_attention": True, "tp_size": 8, "latent": True, "half_attention": True},
        ),
    ),
}
