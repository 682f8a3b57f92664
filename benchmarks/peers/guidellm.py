"""guidellm: https://github.com/vllm-project/guidellm."""

from __future__ import annotations

import json

from peers.tool import PROMPT_TOKENS, Job, Reported, Tool


def _command(job: Job) -> list[str]:
    return [
        "guidellm",
        "run",
        "--backend",
        f"kind=openai_http,target={job.url},model=truth,request_format=/v1/completions",
        "--profile",
        f"kind=concurrent,streams={job.streams}",
        "--constraint",
        f"kind=max_duration,seconds={job.seconds}",
        "--tokenizer",
        f"kind=hf_auto,model={job.tokenizer}",
        "--data",
        f"kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={job.tokens}",
        "--output",
        f"kind=json,path={job.folder / 'report.json'}",
        "--disable-console",
    ]


def _reported(job: Job) -> Reported:
    metrics = json.loads((job.folder / "report.json").read_text())["benchmarks"][0]["metrics"]
    ttft = metrics["time_to_first_token_ms"]["successful"]
    rate = metrics["requests_per_second"]["successful"]["mean"]
    return Reported(rate, ttft["mean"], ttft["percentiles"]["p99"])


TOOL = Tool("guidellm", "0.8.1", (3, 10), _command, _reported, {"HF_HUB_OFFLINE": "1"})
