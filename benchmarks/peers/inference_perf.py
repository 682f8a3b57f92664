"""inference-perf: https://github.com/kubernetes-sigs/inference-perf. It counts requests."""

from __future__ import annotations

import json

from peers.tool import PROMPT_TOKENS, Job, Reported, Tool, only


def _command(job: Job) -> list[str]:
    lengths = {
        name: {"type": "fixed", "min": tokens, "max": tokens, "mean": tokens, "std_dev": 0}
        for name, tokens in (
            ("input_distribution", PROMPT_TOKENS),
            ("output_distribution", job.tokens),
        )
    }
    config = {
        "api": {"type": "completion", "streaming": True},
        "data": {"type": "synthetic", **lengths},
        "load": {
            "type": "concurrent",
            "stages": [{"num_requests": job.requests, "concurrency_level": job.streams}],
            "worker_max_concurrency": job.streams,
        },
        "server": {"type": "vllm", "model_name": "truth", "base_url": job.url},
        "tokenizer": {"pretrained_model_name_or_path": str(job.tokenizer)},
        "storage": {"local_storage": {"path": str(job.folder / "reports")}},
        "report": {"prometheus": None},
    }
    file = job.folder / "config.json"  # which is YAML too
    file.write_text(json.dumps(config))
    return ["inference-perf", "--config_file", str(file)]


def _reported(job: Job) -> Reported:
    report = json.loads(only(job.folder / "reports", "summary_lifecycle_metrics.json").read_text())
    found = report["successes"]
    ttft = found["latency"]["time_to_first_token"]
    return Reported(found["throughput"]["requests_per_sec"], 1e3 * ttft["mean"], 1e3 * ttft["p99"])


TOOL = Tool("inference-perf", "0.7.0", (3, 12), _command, _reported, {"HF_HUB_OFFLINE": "1"})
