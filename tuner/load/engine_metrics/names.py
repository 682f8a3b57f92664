"""Which engine offers which quantity under which name. A new engine is one entry of ENGINES.

Names are those of the engines' own code and reference pages:

- vLLM: `vllm/v1/metrics/loggers.py`; before 0.9 the KV cache and prefix cache had `gpu_` in their names.
- SGLang: "Production Metrics" of its documentation. `num_retracted_reqs` is a gauge of the newest batch;
  the count of all is `num_retracted_requests_total` (`num_retracted_reqs_total` in some versions).
- TensorRT-LLM: `trtllm-serve` (`tensorrt_llm/metrics/collector.py`, at /prometheus/metrics), and Triton's
  backend (`nv_trt_llm_*`, one family with a label for each quantity).
- llama.cpp: `tools/server` with `--metrics`; `kv_cache_usage_ratio` was dropped in 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RUNNING = "engine_running"
WAITING = "engine_waiting"
KV_CACHE_USE = "kv_cache_use"
PREEMPTIONS = "preemptions"
PREFIX_HITS = "prefix_cache_hits"
PREFIX_MISSES = "prefix_cache_misses"
PREFIX_QUERIES = "prefix_cache_queries"
PREFIX_HIT_RATE = "prefix_cache_hit_rate"


@dataclass(frozen=True, slots=True)
class Source:
    """One family of an engine's page.

    Attributes:
        name: the family's name.
        label: what the series' labels must contain; "" for every series.
    """

    name: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a family means.

    Attributes:
        name: ours.
        kind: a gauge is averaged over time, of a counter the growth counts.
        series: how the series of several ranks or models become one figure. Requests and counts add up;
            of shares the largest counts, because the fullest rank is the one that holds the others up.
        sources: names in different versions of the engine; the first that the page has is taken.
    """

    name: str
    kind: Literal["gauge", "counter"]
    series: Literal["sum", "max"]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine, told by the start of its families' names."""

    name: str
    prefix: str
    quantities: tuple[Quantity, ...]


def _gauge(name: str, *sources: str | Source) -> Quantity:
    return Quantity(name, "gauge", "sum", _sources(sources))


def _share(name: str, *sources: str | Source) -> Quantity:
    return Quantity(name, "gauge", "max", _sources(sources))


def _counter(name: str, *sources: str | Source) -> Quantity:
    return Quantity(name, "counter", "sum", _sources(sources))


def _sources(given: tuple[str | Source, ...]) -> tuple[Source, ...]:
    return tuple(Source(s) if isinstance(s, str) else s for s in given)


def _triton(kind: str) -> Source:
    return Source("nv_trt_llm_request_metrics", f'request_type="{kind}"')


def _triton_blocks(kind: str) -> Source:
    return Source("nv_trt_llm_kv_cache_block_metrics", f'kv_cache_block_type="{kind}"')


ENGINES = (
    Engine(
        "vLLM",
        "vllm:",
        (
            _gauge(RUNNING, "vllm:num_requests_running"),
            _gauge(WAITING, "vllm:num_requests_waiting"),
            _share(KV_CACHE_USE, "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),  # 0 to 1
            _counter(PREEMPTIONS, "vllm:num_preemptions_total"),
            _counter(
                PREFIX_QUERIES, "vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"
            ),
            _counter(PREFIX_HITS, "vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
            _share(PREFIX_HIT_RATE, "vllm:gpu_prefix_cache_hit_rate"),
        ),
    ),
    Engine(
        "SGLang",
        "sglang:",
        (
            _gauge(RUNNING, "sglang:num_running_reqs"),
            _gauge(WAITING, "sglang:num_queue_reqs"),
            _share(KV_CACHE_USE, "sglang:token_usage"),
            _counter(PREEMPTIONS, "sglang:num_retracted_requests_total", "sglang:num_retracted_reqs_total"),
            _counter(PREFIX_QUERIES, "sglang:prompt_tokens_total"),
            _counter(PREFIX_HITS, "sglang:cached_tokens_total"),
            _share(PREFIX_HIT_RATE, "sglang:cache_hit_rate"),
        ),
    ),
    Engine(
        "TensorRT-LLM",
        "trtllm_",
        (
            _gauge(RUNNING, "trtllm_num_requests_running"),
            _gauge(WAITING, "trtllm_num_requests_waiting"),
            _share(KV_CACHE_USE, "trtllm_kv_cache_utilization"),
            _counter(PREFIX_HITS, "trtllm_kv_cache_reused_blocks_total"),
            _counter(PREFIX_MISSES, "trtllm_kv_cache_missed_blocks_total"),
            _share(PREFIX_HIT_RATE, "trtllm_kv_cache_hit_rate"),
        ),
    ),
    Engine(
        "TensorRT-LLM on Triton",
        "nv_trt_llm_",
        (
            _gauge(RUNNING, _triton("scheduled")),
            _gauge(WAITING, _triton("waiting")),
            _share(KV_CACHE_USE, _triton_blocks("fraction")),
        ),
    ),
    Engine(
        "llama.cpp",
        "llamacpp:",
        (
            _gauge(RUNNING, "llamacpp:requests_processing"),
            _gauge(WAITING, "llamacpp:requests_deferred"),
            _share(KV_CACHE_USE, "llamacpp:kv_cache_usage_ratio"),
        ),
    ),
)
