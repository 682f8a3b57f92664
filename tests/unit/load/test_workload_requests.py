"""What requests say: rows of datasets, replayed traces, mixes, prefixes in tokens, sampling."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tuner.load import HttpLoad
from tuner.load.calibration import PromptLengths
from tuner.load.loading import Loading
from tuner.load.payload import Payload
from tuner.load.preparation import Prepared
from tuner.load.prompts import PromptText
from tuner.load.traces import TracePieces
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint, LoadError
from tuner.trial.rounds import PointResult


def workload(**given: Any) -> Workload:
    return Workload.model_validate({"round_seconds": 0.3, **given})


def loading(given: Workload, *, number: int = 1, salt: str = "s") -> Loading:
    (point,) = given.points
    keys = [point.name, *(f"{point.name} {k}" for k in range(1, len(point.parts)))]
    found = Prepared(Payload("m", "chat"), dict.fromkeys(keys, PromptLengths()), dict.fromkeys(keys, ""))
    return Loading(point, number, workload=given, found=found, text=PromptText(), salt=salt)


def said(made: Loading, asks: list[Any]) -> list[str]:
    return [str(made.writers[a.part].prompt(a, seed=f"{made.name} {k}")) for k, a in enumerate(asks)]


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "rows.jsonl"
    lines = [{"prompt": f"row {k}", "output_tokens": 4 + k} for k in range(12)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"path": str(path)}


@pytest.fixture
def trace(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "trace.jsonl"
    lines = [
        {"timestamp": 10 * k, "input_length": 40, "output_length": 3 + k % 4, "hash_ids": [0, 1, 2 + k]}
        for k in range(200)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"path": str(path), "block_tokens": 16}


def one_round(server: Any, given: Workload, salt: str = "s") -> PointResult:
    load = HttpLoad(given)
    try:
        load.open(Endpoint(url=server.url, model="m"), salt=salt)
        return load.run_round(1, cancel=lambda: False).points[0]
    finally:
        load.close()


@pytest.fixture
def quick(scripted: ModuleType) -> Any:
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(first_seconds=0.003, gap_seconds=0.001)
    ) as server:
        yield server


def test_streams_together_go_through_the_rows_before_any_comes_again(rows: dict[str, str]) -> None:
    made = loading(workload(dataset=rows, concurrency=3))
    asks = [made.stream(k) for k in range(3)]
    drawn = [stream.next().row for stream in asks for _ in range(4)]
    assert sorted(drawn) == list(range(12))
    assert [loading(workload(dataset=rows, concurrency=3), salt="other").stream(0).next().row] == drawn[:1]


def test_rounds_take_the_rows_in_orders_of_their_own(rows: dict[str, str]) -> None:
    orders = []
    for number in (1, 2):
        stream = loading(workload(dataset=rows, concurrency=1), number=number).stream(0)
        orders.append([stream.next().row for _ in range(12)])
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def test_an_open_loops_ramp_takes_the_rows_that_its_window_takes_last(rows: dict[str, str]) -> None:
    made = loading(workload(dataset=rows, request_rate=5.0))
    ramp, window = ([plan[0].next().row for _ in range(6)] for plan in (made.ramp(), made.window()))
    assert not set(ramp) & set(window)


@pytest.mark.parametrize(("lead_in", "words"), [("round", 1), ("request", 12), ("none", 0)])
def test_a_lead_in_is_one_for_the_round_one_for_each_request_or_none(
    rows: dict[str, str], lead_in: str, words: int
) -> None:
    made = loading(workload(dataset={**rows, "lead_in": lead_in}, concurrency=1, chat=True))
    asks = [made.stream(0).next() for _ in range(12)]
    prompts = said(made, asks)
    assert all("row" in p for p in prompts)
    assert len(set(re.findall(r"\[[0-9a-f]{6}\]", "".join(prompts)))) == words
    later = loading(workload(dataset={**rows, "lead_in": lead_in}, concurrency=1, chat=True), number=2)
    assert (said(later, asks) == prompts) == (lead_in == "none")


def test_a_dataset_is_sent_as_it_is_and_asked_for_its_own_lengths(quick: Any, rows: dict[str, str]) -> None:
    found = one_round(quick, workload(dataset=rows, concurrency=2))
    asked = [r for r in quick.seen.requests if "row" in str(r.get("prompt"))]
    assert found.errors == {} and found.requests >= 8
    for request in asked[2:]:  # the first of each stream is met on its way
        row = int(request["prompt"].rpartition(" ")[2])
        assert re.fullmatch(rf"\[[0-9a-f]{{6}}\] row {row}", request["prompt"])
        assert request["max_tokens"] == 4 + row


def test_a_trace_is_replayed_at_its_times_and_timed_from_them(quick: Any, trace: dict[str, Any]) -> None:
    found = one_round(quick, workload(trace={**trace, "speed": 0.5}))
    assert found.trust.asked == pytest.approx(50)
    assert found.trust.achieved == pytest.approx(50, rel=0.15)
    sent = [r["prompt"].split() for r in quick.seen.requests if r["max_tokens"] > 1]
    assert {len(p) for p in sent} == {40}
    assert len({tuple(p[:32]) for p in sent}) == 1  # hash ids 0 and 1
    assert len({tuple(p[32:]) for p in sent}) == len(sent)


def test_rounds_replay_pieces_that_share_no_request_and_begin_again_behind_the_end(
    trace: dict[str, Any],
) -> None:
    given = workload(trace=trace).points[0].trace
    assert given is not None
    pieces = TracePieces(given, window_seconds=0.3)
    numbers = [set().union(*pieces.window_numbers(n)) for n in (1, 2, 3)]
    assert not numbers[0] & numbers[1] and not numbers[1] & numbers[2]
    assert len(pieces.window_numbers(1)[1]) == 30
    ends = 1.85  # 200 requests in 2 s
    times = list(islice(pieces.arrival_seconds(ends), 40))
    assert times == pytest.approx([0.01 * k for k in range(40)], abs=1e-6)
    assert pieces.lap(pieces.first(ends) + 20) == 1


def test_arrivals_and_lengths_of_a_trace_do_not_depend_on_the_salt_and_its_text_does(
    trace: dict[str, Any],
) -> None:
    one, other = (loading(workload(trace=trace), salt=salt) for salt in "ab")
    plans = [made.window() for made in (one, other)]
    asks = [[lengths.next() for _ in range(5)] for lengths, _ in plans]
    assert asks[0] == asks[1]
    times = [list(islice(arrivals, 5)) for _, arrivals in plans]
    assert times[0] == times[1]
    assert not set(said(one, asks[0])) & set(said(other, asks[1]))


def test_a_mix_draws_its_parts_by_their_weights(rows: dict[str, str]) -> None:
    given = workload(mix=[{"weight": 3.0, "scenario": "D(9,5)"}, {"dataset": rows}], concurrency=4)
    streams = [loading(given).stream(k) for k in range(4)]
    parts = [stream.next().part for stream in streams for _ in range(500)]
    assert parts.count(0) / len(parts) == pytest.approx(0.75, abs=0.04)


def test_a_mix_is_sent_in_one_load_point(quick: Any, rows: dict[str, str]) -> None:
    mix = [{"scenario": "D(9,5)", "shared_prefix": 4}, {"dataset": rows}]
    found = one_round(quick, workload(mix=mix, concurrency=4))
    prompts = [p for p in quick.seen.prompts if p != "ready"]
    assert found.errors == {} and found.point == "load"
    assert {"row" in p for p in prompts} == {True, False}


@pytest.mark.parametrize("tokens_per_word", [1, 3])
def test_a_shared_prefix_has_its_length_in_tokens(scripted: ModuleType, tokens_per_word: int) -> None:
    with scripted.ScriptedServer(
        lambda n, r: scripted.Script(gap_seconds=0.002), count=lambda p: 7 + tokens_per_word * len(p.split())
    ) as server:
        one_round(server, workload(scenario="D(120,4)", shared_prefix=60, concurrency=2))
    prompts = [r["prompt"].split() for r in server.seen.requests if r["max_tokens"] > 1]
    first = prompts[0]
    shared = min(next(k for k, w in enumerate(first) if w != p[k]) for p in prompts[1:] if p != first)
    assert shared * tokens_per_word == pytest.approx(60, abs=2 * tokens_per_word)


def test_chat_and_sampling_are_sent_as_they_are_asked_for(quick: Any) -> None:
    sampling = {"temperature": 0.7, "top_p": 0.9, "seed": 5}
    one_round(quick, workload(scenario="D(9,5)", concurrency=1, chat=True, sampling=sampling))
    last = quick.seen.requests[-1]
    assert [m["role"] for m in last["messages"]] == ["user"]
    assert {k: last[k] for k in sampling} == sampling and "top_k" not in last
    one_round(quick, workload(scenario="D(9,5)", concurrency=1))
    assert quick.seen.requests[-1]["temperature"] == 0 and "prompt" in quick.seen.requests[-1]


def test_a_file_that_is_not_where_the_load_is_made_is_told_before_anything_is_sent(
    quick: Any, rows: dict[str, str]
) -> None:
    given = workload(dataset=rows, concurrency=1)
    there = Workload.model_validate(given.model_dump(mode="json"))  # another machine: read anew
    Path(rows["path"]).write_text("changed")
    for words in ("would be right: the file that the experiment was made with", "No such file"):
        with pytest.raises(LoadError, match=words):
            one_round(quick, there)
        Path(rows["path"]).unlink(missing_ok=True)
    assert quick.seen.requests == []
