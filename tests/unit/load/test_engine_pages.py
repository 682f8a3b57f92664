"""What each engine's Prometheus page says, in our names; and what a window makes of the scrapes."""

from __future__ import annotations

import pytest

from tuner.load.engine_metrics.page import engine_of, quantities
from tuner.load.engine_metrics.summary import Scrape, summarised
from tuner.load.idle import requests_inside

VLLM = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/m}x"} 31.0
vllm:num_requests_running{engine="1",model_name="org/m}x"} 30.0
vllm:num_requests_waiting{engine="0",model_name="m"} 4.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.41
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.93
vllm:num_preemptions_total{engine="0",model_name="m"} 3.0
vllm:num_preemptions_created{engine="0",model_name="m"} 1.7e+09
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 1.0e+06
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 250000.0
"""
OLD_VLLM = b"""vllm:num_requests_running{model_name="m"} 2.0
vllm:gpu_cache_usage_perc{model_name="m"} 0.5
vllm:gpu_prefix_cache_hit_rate{model_name="m"} 0.2
"""
SGLANG = b"""sglang:num_running_reqs{model_name="m",tp_rank="0"} 16.0
sglang:num_queue_reqs{model_name="m"} 2.0
sglang:token_usage{model_name="m"} 0.7
sglang:num_retracted_reqs{model_name="m"} 1.0
sglang:num_retracted_requests_total{model_name="m"} 48.0
sglang:prompt_tokens_total{model_name="m"} 4096.0
sglang:cached_tokens_total{cache_source="device",model_name="m"} 1000.0
sglang:cached_tokens_total{cache_source="host",model_name="m"} 24.0
sglang:cache_hit_rate{model_name="m"} 0.1
"""
TRTLLM = b"""trtllm_num_requests_running{model_name="m"} 8.0
trtllm_num_requests_waiting{model_name="m"} 0.0
trtllm_kv_cache_utilization{model_name="m"} 0.25
trtllm_kv_cache_hit_rate{model_name="m"} 0.05
trtllm_kv_cache_reused_blocks_total{model_name="m"} 10.0
trtllm_kv_cache_missed_blocks_total{model_name="m"} 90.0
"""
TRITON = b"""nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="waiting",version="1"} 3
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="scheduled",version="1"} 7
nv_trt_llm_request_metrics{model="tensorrt_llm",request_type="max",version="1"} 64
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="tensorrt_llm",version="1"} 500
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="tensorrt_llm",version="1"} 0.5
"""
LLAMA_CPP = b"llamacpp:requests_processing 4\nllamacpp:requests_deferred 46 1700000000000\n"


@pytest.mark.parametrize(
    ("page", "engine", "found"),
    [
        (
            VLLM,
            "vLLM",
            {
                "engine_running": 61,
                "engine_waiting": 4,
                "kv_cache_use": 0.93,
                "preemptions": 3,
                "prefix_cache_queries": 1e6,
                "prefix_cache_hits": 250_000,
            },
        ),
        (OLD_VLLM, "vLLM", {"engine_running": 2, "kv_cache_use": 0.5, "prefix_cache_hit_rate": 0.2}),
        (
            SGLANG,
            "SGLang",
            {
                "engine_running": 16,
                "engine_waiting": 2,
                "kv_cache_use": 0.7,
                "preemptions": 48,
                "prefix_cache_queries": 4096,
                "prefix_cache_hits": 1024,
                "prefix_cache_hit_rate": 0.1,
            },
        ),
        (
            TRTLLM,
            "TensorRT-LLM",
            {
                "engine_running": 8,
                "engine_waiting": 0,
                "kv_cache_use": 0.25,
                "prefix_cache_hits": 10,
                "prefix_cache_misses": 90,
                "prefix_cache_hit_rate": 0.05,
            },
        ),
        (
            TRITON,
            "TensorRT-LLM on Triton",
            {"engine_running": 7, "engine_waiting": 3, "kv_cache_use": 0.5},
        ),
        (LLAMA_CPP, "llama.cpp", {"engine_running": 4, "engine_waiting": 46}),
    ],
)
def test_each_engines_page_is_read_in_our_names(page: bytes, engine: str, found: dict[str, float]) -> None:
    told = engine_of(page)
    assert told is not None and told.name == engine
    assert quantities(page, told) == pytest.approx(found)  # what is not offered is not there


def test_a_page_of_nobody_known_has_no_engine() -> None:
    assert engine_of(b"# HELP vllm:x about\nprocess_cpu_seconds_total 3\n") is None


def test_values_that_are_no_finite_number_are_left_out() -> None:
    page = (
        b"llamacpp:requests_processing NaN\nllamacpp:requests_deferred\nllamacpp:kv_cache_usage_ratio +Inf\n"
    )
    engine = engine_of(page)
    assert engine is not None and quantities(page, engine) == {}


def test_gauges_are_means_over_time_and_the_largest_scrape() -> None:
    # The scrapes of 11 and 12 were missed: that of 10 stands for 1.5 s of the 4, that of 13 for 2.5 s.
    scrapes = [Scrape(10.0, {"engine_running": 8.0}), Scrape(13.0, {"engine_running": 16.0})]
    found = summarised(scrapes, opens=10.0, closes=14.0)
    assert found["engine_running_mean"] == pytest.approx((1.5 * 8 + 2.5 * 16) / 4)
    assert found["engine_running_max"] == 16.0
    assert "engine_waiting_mean" not in found and "kv_cache_use_max" not in found


def test_only_scrapes_inside_the_window_count() -> None:
    scrapes = [Scrape(at, {"kv_cache_use": use}) for at, use in ((9.0, 0.9), (11.0, 0.2), (15.5, 0.8))]
    found = summarised(scrapes, opens=10.0, closes=15.0)
    assert (found["kv_cache_use_max"], found["scrapes"]) == (0.2, 1.0)


def test_counters_are_what_they_grew_by_in_the_window() -> None:
    scrapes = [
        Scrape(10.0, {"preemptions": 100.0, "prefix_cache_queries": 1000.0, "prefix_cache_hits": 500.0}),
        Scrape(12.0, {"preemptions": 103.0, "prefix_cache_queries": 3000.0, "prefix_cache_hits": 600.0}),
        Scrape(14.0, {"preemptions": 106.0, "prefix_cache_queries": 5000.0, "prefix_cache_hits": 700.0}),
    ]
    found = summarised(scrapes, opens=10.0, closes=15.0)
    assert (found["preemptions"], found["engine_seconds"]) == (6.0, 4.0)
    assert found["prefix_cache_hit_rate"] == pytest.approx(200 / 4000)


def test_hits_and_misses_make_a_rate_too() -> None:
    first = {"prefix_cache_hits": 10.0, "prefix_cache_misses": 90.0, "prefix_cache_hit_rate": 0.9}
    last = {"prefix_cache_hits": 40.0, "prefix_cache_misses": 120.0, "prefix_cache_hit_rate": 0.9}
    found = summarised([Scrape(1.0, first), Scrape(2.0, last)], opens=1.0, closes=2.0)
    assert found["prefix_cache_hit_rate"] == pytest.approx(0.5)


def test_a_counter_that_fell_is_missing_and_not_negative() -> None:
    scrapes = [Scrape(1.0, {"preemptions": 9.0}), Scrape(2.0, {"preemptions": 1.0})]
    assert "preemptions" not in summarised(scrapes, opens=1.0, closes=3.0)


def test_a_cache_that_nobody_asked_has_no_hit_rate() -> None:
    idle = {"prefix_cache_queries": 5.0, "prefix_cache_hits": 5.0}
    assert "prefix_cache_hit_rate" not in summarised(
        [Scrape(1.0, idle), Scrape(2.0, idle)], opens=1.0, closes=2.0
    )


def test_no_scrape_is_nothing_at_all() -> None:
    assert summarised([], opens=1.0, closes=2.0) == {}


@pytest.mark.parametrize(
    ("page", "inside"),
    [
        (VLLM, 65),
        (SGLANG, 18),
        (TRTLLM, 8),
        (TRITON, 10),
        (LLAMA_CPP, 50),
        (OLD_VLLM, 2),
        (b"other 1\n", None),
    ],
)
def test_an_engine_is_at_rest_once_it_neither_runs_nor_queues_a_request(
    page: bytes, inside: float | None
) -> None:
    assert requests_inside(page) == inside
