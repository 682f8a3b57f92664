"""genai-bench: https://github.com/sgl-project/genai-bench. It speaks chat, and counts requests."""

from __future__ import annotations

import json

from peers.tool import PROMPT_TOKENS, Job, Reported, Tool, only


def _command(job: Job) -> list[str]:
    return [
        "genai-bench",
        "benchmark",
        *("--api-backend", "openai", "--api-base", job.url, "--api-key", "none"),
        *("--task", "text-to-text", "--api-model-name", "truth", "--model", "truth"),
        *("--model-tokenizer", str(job.tokenizer)),
        *("--num-concurrency", str(job.streams)),
        *("--traffic-scenario", f"D({PROMPT_TOKENS},{job.tokens})"),
        *("--max-time-per-run", "1", "--max-requests-per-run", str(job.requests)),
        *("--experiment-base-dir", str(job.folder), "--experiment-folder-name", "run"),
        *("--log-dir", str(job.folder)),
    ]


def _reported(job: Job) -> Reported:
    found = json.loads(only(job.folder, "D*num_concurrency*.json").read_text())
    metrics, in_ms = found["aggregated_metrics"], 1e3 if found["_time_unit"] == "s" else 1.0
    ttft = metrics["stats"]["ttft"]
    return Reported(metrics["requests_per_second"], in_ms * ttft["mean"], in_ms * ttft["p99"])


TOOL = Tool("genai-bench", "0.0.5", (3, 11), _command, _reported, {"HF_HUB_OFFLINE": "1"})
