"""What belongs to a window, from requests whose times are written down."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.load.exchange import Exchange
from tuner.load.window import Window, account, tokens_so_far

WINDOW = Window(opens=10.0, closes=15.0, followed_until=17.0)


def answered(sent: float, first: float, gap: float, tokens: int, **given: Any) -> Exchange:
    """A request whose tokens came `gap` apart, all of them."""
    times = array("d", [first + gap * k for k in range(tokens)])
    fields = {"asked_tokens": (7, tokens), "prompt_tokens": 7, "completion_tokens": tokens, **given}
    return Exchange(sent=sent, output_times=times, ended=times[-1], outcome="ok", **fields)


def test_tokens_count_where_they_arrive_whatever_request_they_belong_to() -> None:
    # 9.05 ... 15.95: 10 a second, 50 of them inside, though the request is neither begun nor ended inside.
    made = account([answered(9.0, 9.05, 0.1, 70)], WINDOW)
    assert made.output_tokens == 50
    assert made.parts == pytest.approx([10.0] * len(made.parts), abs=1.3)  # a token more or less
    assert (made.requests, made.cut) == (0, 1)


def test_ended_requests_and_their_input_count_where_they_end() -> None:
    before, inside, after = (answered(s, s + 0.1, 0.1, 10) for s in (8.5, 9.5, 14.5))
    made = account([before, inside, after], WINDOW)
    assert (made.requests, made.input_tokens, made.cut) == (1, 7, 1)


def test_ttft_counts_requests_sent_inside_and_follows_them_past_the_window() -> None:
    sent_before = answered(9.0, 11.0, 0.1, 5)
    sent_inside_answered_late = answered(14.0, 16.5, 0.1, 5)
    sent_after = answered(15.5, 15.6, 0.1, 5)
    ttft = account([sent_before, sent_inside_answered_late, sent_after], WINDOW).histograms["ttft_ms"]
    assert (ttft.count, ttft.maximum) == (1, pytest.approx(2500))


def test_a_ttft_still_open_after_the_drain_is_a_lower_bound_and_not_left_out() -> None:
    made = account([Exchange(sent=13.0)], WINDOW)
    assert made.histograms["ttft_ms"].maximum == pytest.approx(4000)
    assert (made.bounded_ttft, made.cut, made.output_tokens) == (1, 1, 0)


def test_a_wait_that_contains_the_whole_window_counts() -> None:
    made = account([Exchange(sent=2.0), answered(3.0, 16.0, 0.1, 5)], WINDOW)
    ttft = made.histograms["ttft_ms"]
    assert (ttft.count, ttft.maximum, ttft.minimum) == (2, pytest.approx(15_000), pytest.approx(13_000))


def test_an_engine_that_answers_nothing_in_the_window_has_large_latencies_and_not_none() -> None:
    made = account([Exchange(sent=9.5), Exchange(sent=9.5)], WINDOW)
    assert made.histograms["ttft_ms"].mean() == pytest.approx(7500)
    assert made.histograms["e2e_ms"].mean() == pytest.approx(7500)


def test_open_loop_latencies_count_from_the_intended_send() -> None:
    late = answered(12.5, 12.6, 0.1, 5, intended=12.0)
    made = account([late], WINDOW)
    assert made.histograms["ttft_ms"].maximum == pytest.approx(600)
    assert made.histograms["e2e_ms"].maximum == pytest.approx(1000)
    assert (made.scheduled, made.sent) == (1, 1)


def test_gaps_are_pooled_and_a_stall_across_the_end_is_seen() -> None:
    steady = answered(10.0, 10.5, 0.01, 100)
    stalled = Exchange(sent=10.0, output_times=array("d", [12.0, 14.9, 16.9]))
    itl = account([steady, stalled], WINDOW).histograms["itl_ms"]
    assert itl.count == 99 + 2
    assert itl.maximum == pytest.approx(2900)
    assert itl.quantile(0.5) == pytest.approx(10, rel=0.01)


def test_a_stall_that_outlasts_the_drain_is_seen() -> None:
    stalled = Exchange(sent=10.0, output_times=array("d", [12.0, 12.1]))
    itl = account([answered(10.0, 10.5, 0.01, 100), stalled], WINDOW).histograms["itl_ms"]
    assert itl.maximum == pytest.approx(4900)


def test_tpot_is_by_the_servers_tokens_without_those_of_the_first_chunk() -> None:
    # 5 chunks, 0.4 s from first to last, 9 tokens of which the first chunk holds 1.
    made = account([answered(10.0, 10.5, 0.1, 5, completion_tokens=9)], WINDOW)
    assert made.histograms["tpot_ms"].maximum == pytest.approx(400 / 8)
    assert made.output_tokens == 9


def test_tokens_of_a_cut_request_are_scaled_by_what_chunks_of_others_held() -> None:
    whole = answered(10.0, 10.1, 0.1, 11, completion_tokens=21)  # 2 tokens to a chunk after the first
    cut = Exchange(sent=14.0, output_times=array("d", [14.1, 14.2, 14.3]))
    made = account([whole, cut], WINDOW)
    assert made.output_tokens == 21 + 1 + 2 * 2
    assert made.token_source == "usage"


def test_without_usage_chunks_are_counted_and_it_says_so() -> None:
    made = account([answered(10.0, 10.1, 0.1, 11, completion_tokens=None, prompt_tokens=None)], WINDOW)
    assert (made.output_tokens, made.input_tokens, made.token_source) == (11, 7, "chunks")


def test_an_e2e_is_followed_past_the_window_and_projected_past_the_drain() -> None:
    ended_in_drain = answered(14.0, 14.5, 0.1, 21)
    cut = Exchange(
        sent=14.0, output_times=array("d", [15.0 + 0.1 * k for k in range(20)]), asked_tokens=(7, 50)
    )
    e2e = account([ended_in_drain, cut], WINDOW).histograms["e2e_ms"]
    # 20 tokens until 16.9, 30 missing at 0.1 s each: 19.9.
    assert (e2e.minimum, e2e.maximum) == (pytest.approx(2500), pytest.approx(5900))


def test_tpot_of_requests_in_flight_is_as_far_as_they_got() -> None:
    cut = Exchange(
        sent=12.0, output_times=array("d", [12.5 + 0.2 * k for k in range(12)]), asked_tokens=(7, 99)
    )
    assert account([cut], WINDOW).histograms["tpot_ms"].maximum == pytest.approx(200)


def test_a_shortened_request_counts_except_for_its_whole_length() -> None:
    made = account([answered(9.5, 10.1, 0.1, 4, shortened=True), answered(10.0, 10.2, 0.1, 9)], WINDOW)
    assert made.requests == 2
    assert made.output_tokens == 13
    assert made.histograms["e2e_ms"].count == 1
    assert made.histograms["tpot_ms"].count == 1


def test_failures_count_by_class_where_they_end_and_keep_the_first_ones_words() -> None:
    failed = [
        Exchange(sent=9.0, ended=9.9, outcome="http_500", detail="before"),
        Exchange(sent=9.0, ended=10.1, outcome="http_429", detail="slow down"),
        Exchange(sent=11.0, ended=11.1, outcome="http_429", detail="again"),
        Exchange(ended=12.0, outcome="refused", detail="no"),
        Exchange(sent=11.0, ended=15.5, outcome="cut"),
    ]
    made = account(failed, WINDOW)
    assert made.errors == {"http_429": 2, "refused": 1}
    assert made.details["http_429"] == "slow down"
    assert made.cut == 1
    assert made.histograms["ttft_ms"].count == 0


def test_a_timeout_without_a_token_counts_as_a_long_ttft() -> None:
    made = account([Exchange(sent=11.0, ended=13.0, outcome="timeout")], WINDOW)
    assert made.histograms["ttft_ms"].maximum == pytest.approx(2000)
    assert made.errors == {"timeout": 1}


def test_mean_in_flight_is_over_the_window_alone() -> None:
    half, whole = answered(5.0, 5.1, 7.4, 2), Exchange(sent=1.0)  # the first ends at 12.5
    assert account([half, whole], WINDOW).mean_in_flight == pytest.approx(1.5)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), per_chunk=st.integers(1, 4))
def test_parts_sum_to_the_window_and_windows_side_by_side_to_their_union(seed: int, per_chunk: int) -> None:
    rng = random.Random(seed)
    exchanges = [
        answered(
            at := rng.uniform(5, 16),
            at + rng.uniform(0, 2),
            rng.uniform(0.001, 0.2),
            chunks := rng.randint(2, 40),
            completion_tokens=1 + per_chunk * (chunks - 1),
        )
        for _ in range(rng.randint(1, 30))
    ]
    made = account(exchanges, WINDOW)
    step = WINDOW.seconds / len(made.parts)
    assert sum(p * step for p in made.parts) == pytest.approx(made.output_tokens, abs=0.51)
    halves = [account(exchanges, Window(a, b, 17.0)) for a, b in ((10.0, 12.5), (12.5, 15.0))]
    assert sum(h.output_tokens for h in halves) == pytest.approx(made.output_tokens, abs=1.01)
    assert sum(h.requests for h in halves) == made.requests


def test_parts_are_five_in_a_short_window_and_under_a_second_in_a_long_one() -> None:
    assert len(Window(0, 2.5, 3).part_edges()) - 1 == 5
    assert len(Window(0, 20, 21).part_edges()) - 1 == 26


def test_the_live_figure_counts_chunks_since_a_moment() -> None:
    assert tokens_so_far([answered(9.0, 9.05, 0.1, 70)], 10.0) == 60
