"""Conversations that begin at a rate: their later turns follow the answers, whatever the rate."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tuner.load.target
from tuner.load import HttpLoad
from tuner.load.dialogue import thinks, under_way
from tuner.load.schedule import Ask
from tuner.load.traffic import CLIENT_LIMIT
from tuner.load.workers_plan import expected_cores
from tuner.spec.content import Conversations
from tuner.spec.workload import LoadPoint, Workload
from tuner.trial.ports import Endpoint
from tuner.trial.rounds import PointResult


def one_round(server: Any, *, salt: str = "s", **given: Any) -> PointResult:
    fields = {"scenario": "D(8,5)", "chat": True, "request_rate": 40, "arrivals": "constant", **given}
    load = HttpLoad(Workload.model_validate({"round_seconds": 0.4, **fields}))
    try:
        load.open(Endpoint(url=server.url, model="m"), salt=salt)
        return load.run_round(1, cancel=lambda: False).points[0]
    finally:
        load.close()


def quick(scripted: ModuleType, *, first_seconds: float = 0.003) -> Any:
    def script(number: int, request: dict[str, Any]) -> Any:
        first = first_seconds if request["max_tokens"] > 1 else 0.0
        return scripted.Script(first_seconds=first, gap_seconds=0.001)

    return scripted.ScriptedServer(script)


def said_to(server: Any) -> list[tuple[float, list[dict[str, str]]]]:
    asked = zip(server.seen.times, server.seen.requests, strict=True)
    return [(at, r["messages"]) for at, r in asked if r["max_tokens"] > 1]


def test_beginnings_keep_the_rate_and_every_turn_carries_what_was_received(scripted: ModuleType) -> None:
    with quick(scripted) as server:
        found = one_round(server, conversations={"turns": 3})
        said = said_to(server)
    assert found.trust.asked == 40 and found.trust.achieved == pytest.approx(40, abs=3)
    assert found.trust.usable and not found.errors and found.requests == pytest.approx(48, abs=5)
    whole = [messages for _, messages in said if len(messages) == 5]
    begun = {json.dumps(messages) for _, messages in said}
    assert len(whole) > 10 and all(json.dumps(m[:1]) in begun and json.dumps(m[:3]) in begun for m in whole)
    assert all(m[1]["content"] == m[3]["content"] == " tok" * 5 for m in whole)
    at = {json.dumps(messages): moment for moment, messages in said}
    for moment, messages in said:
        if len(messages) > 1:  # never before the answer, which takes 7 ms
            assert moment - at[json.dumps(messages[:-2])] > 0.005


def test_slow_answers_hold_no_beginning_back_and_make_no_rate_invalid(scripted: ModuleType) -> None:
    with quick(scripted, first_seconds=0.15) as server:
        found = one_round(server, conversations={"turns": 2})
        begun = [at for at, messages in said_to(server) if len(messages) == 1]
    assert found.trust.achieved == pytest.approx(40, abs=3) and not found.trust.invalid
    gaps = [b - a for a, b in pairwise(begun)]
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(0.025, abs=0.004)


def test_beginnings_are_the_same_for_every_salt(scripted: ModuleType) -> None:
    drawn = []
    for salt in ("a", "b"):
        with quick(scripted) as server:
            one_round(
                server, conversations={"turns": {"low": 1, "high": 4}}, scenario="U(4,40)/(3,9)", salt=salt
            )
            drawn.append([r["max_tokens"] for r in server.seen.requests if len(r["messages"]) == 1][-8:-1])
            assert {len(messages) for _, messages in said_to(server)} == {1, 3, 5, 7}
    assert len(set(drawn[0])) > 1 and set(map(tuple, drawn)) == {tuple(drawn[0])}


def test_users_who_were_thinking_before_ask_from_the_ramps_start_on(scripted: ModuleType) -> None:
    with quick(scripted) as server:
        found = one_round(server, conversations={"turns": 3, "think_seconds": 2.0}, request_rate=80)
        said = said_to(server)
    assert len(said) > 80  # within less time than any user thinks
    later = [messages for at, messages in said if len(messages) > 1]
    assert len(later) / len(said) == pytest.approx(2 / 3, abs=0.05)
    assert found.trust.achieved == pytest.approx(80, abs=3) and found.trust.steady
    assert len({m[0]["content"] for m in later}) == len(later)


def test_a_failed_turn_ends_its_conversation(scripted: ModuleType) -> None:
    def script(number: int, request: dict[str, Any]) -> Any:
        return scripted.Script(status=500 if len(request["messages"]) == 3 else 200, gap_seconds=0.001)

    with scripted.ScriptedServer(script) as server:
        found = one_round(server, conversations={"turns": 4})
        assert max(len(messages) for _, messages in said_to(server)) == 3
    assert set(found.errors) == {"http_500"} and found.trust.achieved == pytest.approx(40, abs=3)


def test_lone_requests_and_conversations_arrive_mixed(scripted: ModuleType, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "of the file", "output_tokens": 4}\n' * 40)
    mix = [{"dataset": {"path": str(rows)}}, {"scenario": "D(8,5)", "conversations": {"turns": 2}}]
    with quick(scripted) as server:
        found = one_round(server, scenario=None, mix=mix, request_rate=60)
        kinds = [("of the file" in m[0]["content"], len(m)) for _, m in said_to(server)]
    assert set(kinds) == {(True, 1), (False, 1), (False, 3)}
    assert found.requests == pytest.approx(0.4 * 60 * 1.5, abs=9) and found.trust.usable


def test_a_turn_beyond_what_the_client_can_hold_is_counted_as_failed(
    scripted: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuner.load.target, "most_connections", lambda wanted: 8)
    with quick(scripted, first_seconds=0.15) as server:
        found = one_round(server, conversations={"turns": 2}, request_rate=120)
    assert server.seen.most_in_flight <= 9 and found.errors[CLIENT_LIMIT] > 5


def test_a_conversation_is_where_its_users_thinking_alone_would_have_it() -> None:
    assert under_way([2.0, 3.0], 1.5) == (1, 0.5)
    assert under_way([2.0, 3.0], 2.5) == (2, 2.5)
    assert under_way([2.0, 3.0], 5.5) is None and under_way([], 0.1) is None


def test_users_think_before_every_turn_but_the_first() -> None:
    asks = [Ask(8, 8), Ask(8, 8), Ask(8, 8)]
    assert thinks(asks, [None], random.Random(1)) == [0.0, 0.0]
    steadily = Conversations(turns=3, think_seconds=4.0)
    assert thinks(asks, [steadily], random.Random(1)) == [4.0, 4.0]
    by_chance = steadily.model_copy(update={"think": "exponential"})
    drawn = [s for seed in range(400) for s in thinks(asks, [by_chance], random.Random(seed))]
    assert sum(drawn) / len(drawn) == pytest.approx(4.0, rel=0.15) and len(set(drawn)) == len(drawn)


def test_a_conversations_turns_count_for_what_the_load_costs(tmp_path: Path) -> None:
    lone = {"scenario": "D(8,8)", "request_rate": 10.0}
    talked = LoadPoint.model_validate({**lone, "conversations": {"turns": {"low": 2, "high": 6}}})
    assert talked.mean_turns == 4
    assert expected_cores(talked) == pytest.approx(4 * expected_cores(LoadPoint.model_validate(lone)))
    said = [{"from": who, "value": "x"} for who in ("human", "gpt") * 3]
    path = tmp_path / "shared.json"
    path.write_text(json.dumps([{"conversations": said}, {"conversations": said[:2]}]))
    of_rows = {"dataset": {"path": str(path)}, "request_rate": 1.0}
    for turns, mean in ((None, 2.0), (2, 1.5), ({"low": 1, "high": 3}, 1.5)):
        given = {**of_rows, "conversations": {"turns": turns} if turns else {}}
        assert LoadPoint.model_validate(given).mean_turns == mean
