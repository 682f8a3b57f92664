"""Which requests are good, and which are missing from the good ones, by hand-made cases."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from tuner.load.exchange import Exchange
from tuner.load.goodput import Limits
from tuner.load.window import Window, account

WINDOW = Window(opens=10.0, closes=15.0, followed_until=17.0)


def answered(sent: float, *, first_ms: float, gap_ms: float, tokens: int = 11, **given: Any) -> Exchange:
    """A request with its first token `first_ms` after its send and the others `gap_ms` apart."""
    times = array("d", [sent + (first_ms + gap_ms * k) / 1e3 for k in range(tokens)])
    fields = {"asked_tokens": (7, tokens), "prompt_tokens": 7, "completion_tokens": tokens, **given}
    return Exchange(sent=sent, output_times=times, ended=times[-1], outcome="ok", **fields)


def counted(exchanges: list[Exchange], **limits: float) -> tuple[int, int]:
    found = account(exchanges, WINDOW, Limits(**limits)).goodput
    assert found is not None
    return found.good, found.late


QUICK = answered(11.0, first_ms=100, gap_ms=20)  # E2E 300 ms
SLOW_START = answered(11.0, first_ms=600, gap_ms=20)  # E2E 800 ms
SLOW_TOKENS = answered(11.0, first_ms=100, gap_ms=60)  # E2E 700 ms


@pytest.mark.parametrize(
    ("limits", "good"),
    [
        ({}, 3),
        ({"ttft_ms": 500}, 2),
        ({"tpot_ms": 40}, 2),
        ({"ttft_ms": 500, "tpot_ms": 40}, 1),
        ({"e2e_ms": 750}, 2),
        ({"e2e_ms": 200}, 0),
    ],
)
def test_a_request_is_good_only_within_every_limit(limits: dict[str, float], good: int) -> None:
    assert counted([QUICK, SLOW_START, SLOW_TOKENS], **limits) == (good, 0)


def test_a_limit_that_is_just_kept_is_kept() -> None:
    exact = Exchange(sent=11.0, output_times=array("d", [11.5, 12.0]), ended=12.0, outcome="ok")
    assert counted([exact], ttft_ms=500, tpot_ms=500, e2e_ms=1000) == (1, 0)


def test_a_failed_request_is_never_good() -> None:
    failed = answered(11.0, first_ms=100, gap_ms=20)
    failed.outcome = "cut"
    assert counted([failed], ttft_ms=500) == (0, 0)


def test_only_requests_that_end_inside_the_window_are_good() -> None:
    before, after = (answered(at, first_ms=100, gap_ms=20) for at in (9.0, 15.0))
    begun_before = answered(9.9, first_ms=100, gap_ms=20)
    assert counted([before, after, begun_before, QUICK], ttft_ms=500) == (2, 0)


def test_ttft_counts_from_the_intended_send_of_an_open_loop() -> None:
    late = answered(11.0, first_ms=100, gap_ms=20, intended=10.4)
    assert counted([late], ttft_ms=500) == (0, 0)


def test_a_request_of_one_token_has_no_tpot_to_miss() -> None:
    assert counted([answered(11.0, first_ms=100, gap_ms=0, tokens=1)], tpot_ms=1) == (1, 0)


def test_tpot_is_by_tokens_and_not_by_chunks() -> None:
    chunks = answered(11.0, first_ms=100, gap_ms=60, tokens=11, completion_tokens=31)  # 3 tokens a chunk
    assert counted([chunks], tpot_ms=21) == (1, 0)


def test_a_request_cut_short_by_intent_is_judged_as_the_whole_one() -> None:
    rest = answered(11.0, first_ms=100, gap_ms=20, tokens=11, asked_tokens=(7, 101), shortened=True)
    assert counted([rest], e2e_ms=2000) == (0, 0)  # the whole one: 100 + 100 * 20 ms
    assert counted([rest], e2e_ms=2200) == (1, 0)


def test_requests_in_flight_count_as_late_once_a_limit_is_broken_for_certain() -> None:
    silent = Exchange(sent=14.0)
    talking = Exchange(sent=13.0, output_times=array("d", [13.1, 14.5]))
    too_early_to_say = Exchange(sent=14.8)
    assert counted([silent, talking, too_early_to_say], ttft_ms=500) == (0, 1)
    assert counted([silent, talking, too_early_to_say], e2e_ms=1500) == (0, 1)


def test_a_first_token_after_the_window_is_late_where_the_limit_lies_inside() -> None:
    assert counted([answered(14.0, first_ms=1500, gap_ms=20)], ttft_ms=900) == (0, 1)


def test_without_limits_there_is_no_goodput() -> None:
    assert account([QUICK], WINDOW).goodput is None
