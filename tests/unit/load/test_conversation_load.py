"""Conversations: each turn carries the earlier ones and the answers that were received."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tuner.load import HttpLoad
from tuner.load.talking import answer_text
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint
from tuner.trial.rounds import PointResult


def one_round(server: Any, **given: Any) -> PointResult:
    fields = {"scenario": "D(8,5)", "chat": True, "concurrency": 2, "round_seconds": 0.4, **given}
    load = HttpLoad(Workload.model_validate({k: v for k, v in fields.items() if v is not None}))
    try:
        load.open(Endpoint(url=server.url, model="m"), salt="s")
        return load.run_round(1, cancel=lambda: False).points[0]
    finally:
        load.close()


@pytest.fixture
def quick(scripted: ModuleType) -> Any:
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(first_seconds=0.003, gap_seconds=0.001, comments=True)
    ) as server:
        yield server


def turns_of(server: Any) -> list[list[dict[str, str]]]:
    return [r["messages"] for r in server.seen.requests if r["max_tokens"] > 1]


def test_every_turn_carries_what_was_said_and_received(quick: Any) -> None:
    found = one_round(quick, conversations={"turns": 3})
    said = turns_of(quick)
    assert found.errors == {} and found.requests > 6
    begun = {json.dumps(r["messages"]) for r in quick.seen.requests if r["max_tokens"] == 5}
    third = [m for m in said if len(m) == 5]
    assert third and max(map(len, said)) == 5
    for messages in third:
        assert [m["role"] for m in messages] == ["user", "assistant"] * 2 + ["user"]
    whole = [m for m in third if json.dumps(m[:1]) in begun and json.dumps(m[:3]) in begun]
    assert len(whole) >= len(third) - 2  # a stream's first conversation is met on its way
    assert all(m["content"] == " tok" * 5 for ms in whole for m in ms if m["role"] == "assistant")
    assert len({m[0]["content"] for m in third}) == len(third)


def test_turns_are_drawn_evenly_and_the_same_for_every_salt(quick: Any) -> None:
    one_round(quick, conversations={"turns": {"low": 1, "high": 3}})
    assert {len(m) for m in turns_of(quick)} == {1, 3, 5}


def test_a_user_who_thinks_makes_no_round_invalid(quick: Any) -> None:
    found = one_round(quick, conversations={"turns": 3, "think_seconds": 0.05}, round_seconds=0.6)
    assert found.trust.achieved < 1.5  # of 2: most of the time they think
    assert not found.trust.invalid
    times = sorted(quick.seen.times)
    assert len(times) < 2 * 0.6 / 0.05 * 3


def test_a_failed_turn_ends_its_conversation_and_a_new_one_begins(scripted: ModuleType) -> None:
    def script(number: int, request: dict[str, Any]) -> Any:
        return scripted.Script(status=500 if len(request["messages"]) > 1 else 200, gap_seconds=0.001)

    with scripted.ScriptedServer(script) as server:
        found = one_round(server, conversations={"turns": 3}, round_seconds=0.6)
    assert set(found.errors) == {"http_500"} and found.requests > 0
    assert {len(m) for m in turns_of(server)[6:]} <= {1, 3}


def test_conversations_of_a_dataset_say_its_turns_with_the_engines_answers(
    quick: Any, tmp_path: Path
) -> None:
    said = [("human", "first"), ("gpt", "of the file"), ("human", "second"), ("gpt", "of the file")]
    row = {"conversations": [{"from": who, "value": text} for who, text in said]}
    path = tmp_path / "shared.json"
    path.write_text(json.dumps([row] * 3))
    dataset = {"path": str(path), "output_tokens": 4, "lead_in": "none"}
    one_round(quick, scenario=None, dataset=dataset, conversations={})
    carried = [m for m in turns_of(quick) if len(m) == 3][2:]
    assert carried
    for messages in carried:
        assert [m["content"] for m in messages] == ["first", " tok" * 4, "second"]


def test_an_answers_text_is_read_from_any_framing() -> None:
    events = "".join(
        f"data: {json.dumps({'choices': [{'delta': {'content': c}}]})}\r\n\r\n" for c in ('"a"', " ü", "\n")
    )
    thought = 'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n'
    body = (thought + events + 'data: {"choices":[],"content":5}\n\ndata: [DONE]\n\n').encode()
    half = len(body) // 2
    chunks = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in (body[:half], body[half:], b""))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer_text(head + chunks) == '"a" ü\n'
    assert answer_text(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) == '"a" ü\n'
