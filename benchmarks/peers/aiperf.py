"""aiperf: https://github.com/ai-dynamo/aiperf. Offline, it looks for the tokenizer in a hub's cache only."""

from __future__ import annotations

import json

from peers.tool import PROMPT_TOKENS, Job, Reported, Tool, only


def _command(job: Job) -> list[str]:
    return [
        "aiperf",
        "profile",
        *("--model", "truth", "--url", job.url, "--endpoint-type", "completions", "--streaming"),
        *("--tokenizer", str(job.tokenizer)),
        *("--concurrency", str(job.streams), "--benchmark-duration", str(job.seconds)),
        *("--synthetic-input-tokens-mean", str(PROMPT_TOKENS), "--synthetic-input-tokens-stddev", "0"),
        *("--output-tokens-mean", str(job.tokens), "--output-tokens-stddev", "0"),
        *("--use-server-token-count", "--ui", "none", "--artifact-dir", str(job.folder)),
    ]


def _reported(job: Job) -> Reported:
    metrics = json.loads(only(job.folder, "profile_export_aiperf.json").read_text())
    ttft = metrics["time_to_first_token"]
    return Reported(metrics["request_throughput"]["avg"], ttft["avg"], ttft["p99"])


TOOL = Tool("aiperf", "0.13.0", (3, 10), _command, _reported)
