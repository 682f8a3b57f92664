"""The replica behind the modelled surfaces schedules as the engines do; random's median is exact."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[3] / "benchmarks" / part) for part in ("", "surfaces")]

from difficulty import median_first  # noqa: E402
from grid import is_done  # noqa: E402
from served.plan import Facts, Failed, Memory  # noqa: E402
from served.replica import Load, Replica, Rules  # noqa: E402
from served.step_times import StepTimes  # noqa: E402
from served.vllm import Vllm  # noqa: E402

from tuner.errors import FailureClass  # noqa: E402

GIB = 1 << 30
TABLES = {
    "tokens": [1, 65_536],
    "prompts": [1, 65_536],
    "batches": [1, 1024],
    "contexts": [1, 65_536],
    "shared_ms": [8.0, 8.0],
    "prefill_attention_ms": [[1.0, 1.0], [1.0, 1.0]],
    "decode_ms": [[10.0, 10.0], [10.0, 10.0]],
    "decode_attention_ms": [[1.0, 1.0], [1.0, 1.0]],
}
RULES = Rules(max_running=8, step_tokens=2048, mixed=True, chunked=True, kv_tokens=100_000)


def measured(rules=RULES, *, draw=lambda rng: (100, 51)):
    load = Load(draw=draw, concurrency=4, warmup_seconds=5.0, window_seconds=20.0)
    return Replica(rules, StepTimes(TABLES), lambda decodes, tokens, taken: taken, load, seed=0).run()


def ttft_ms(found):
    return sum(r.first - r.sent for r in found.requests) / len(found.requests)


def test_tokens_come_as_fast_as_steps_and_streams_say():
    found = measured()
    assert found.output_tokens / found.seconds == pytest.approx(4 * 1000 / 10, rel=0.05)


def test_requests_beyond_the_seats_wait():
    assert ttft_ms(measured(replace(RULES, max_running=2))) > 20 * ttft_ms(measured())


def test_a_cache_that_is_too_small_preempts_and_costs_throughput_but_loses_nobody():
    tight = measured(replace(RULES, kv_tokens=450))
    assert tight.kv_bound and tight.preemptions > 10  # of a few streams, again and again
    assert 0.5 * 400 < tight.output_tokens / tight.seconds < 0.9 * 400


def test_room_kept_for_whole_outputs_never_preempts():
    found = measured(replace(RULES, kv_tokens=450, reserve="all"))
    assert found.kv_bound and found.preemptions == 0


def test_a_prompt_that_no_step_holds_is_rejected_unless_it_may_be_cut():
    small = replace(RULES, step_tokens=64)
    assert measured(small).rejected == 0
    whole = measured(replace(small, chunked=False))
    assert whole.rejected > 0 and not whole.requests


def test_prompts_that_are_not_mixed_hold_decodes_up():
    def draw(rng):
        return 100, rng.randrange(5, 40)

    apart, beside = measured(replace(RULES, mixed=False), draw=draw), measured(draw=draw)
    tpots = [max((r.last - r.first) / (r.output - 1) for r in found.requests) for found in (apart, beside)]
    assert tpots[0] > tpots[1]


def test_accepted_drafts_shorten_answers():
    drafted = measured(replace(RULES, query=3, accepted=2.0))
    assert drafted.output_tokens / drafted.seconds == pytest.approx(2 * 400, rel=0.07)


MEMORY = Memory(80 * GIB, 16 * GIB, 0, 131_072, 0.5 * GIB, 4 * GIB)
FACTS = Facts("h100_sxm", {"only": ("m", "bfloat16", None, 1.0)}, 32, 128_000, 16_384, 4_000)
PARAMS = {
    "tensor_parallel_size": 1,
    "max_num_seqs": 256,
    "max_num_batched_tokens": 8192,
    "gpu_memory_utilization": 0.9,
}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"gpu_memory_utilization": 0.2}, FailureClass.ACCELERATOR_OOM),
        ({"gpu_memory_utilization": 0.25}, FailureClass.CRASH),  # a cache below --max-model-len
        ({"gpu_memory_utilization": 0.99}, FailureClass.ACCELERATOR_OOM),
        ({"max_num_batched_tokens": 128}, FailureClass.CRASH),
    ],
)
def test_vllm_refuses_what_it_would_refuse(changes, kind):
    params = PARAMS | changes
    with pytest.raises(Failed) as failed:
        Vllm().layout(params, FACTS)
        Vllm().rules(params, FACTS, MEMORY)
    assert failed.value.kind is kind


def test_vllm_gives_the_cache_what_is_left_of_its_share():
    left = 0.9 * 80 * GIB - 16 * GIB - MEMORY.activation(8192) - 0.6 * GIB
    assert Vllm().rules(PARAMS, FACTS, MEMORY).kv_tokens == int(left / 131_072)


@pytest.mark.parametrize(("rows", "good"), [(8, 1), (9, 2), (10, 3)])
def test_randoms_median_is_that_of_every_order(rows, good):
    firsts = sorted(min(places) + 1 for places in combinations(range(rows), good))
    half = next(m for m in range(1, rows + 1) if sum(f <= m for f in firsts) * 2 >= len(firsts))
    assert median_first(rows, good) == half


def test_passes_count_clean_visits_alone():
    clean = {"failure": "", "dirty_rounds": "0", "client_bound_rounds": "0", "m": "1.0"}
    noisy = clean | {"m": "3.0"}
    assert is_done([clean, noisy], "m", 2)
    assert not is_done([clean, noisy | {"dirty_rounds": "1"}], "m", 2)
    assert not is_done([clean, noisy, clean], "m")
