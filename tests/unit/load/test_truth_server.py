"""The truth server of the benchmarks: its times, its log, its capacity; client errors are found by it."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from truth.compare import compare, recording
from truth.record import CUT, REFUSED, WHOLE, request_id
from truth.server import TruthServer

from tuner.load import HttpLoad
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint

pytestmark = pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="needs a C compiler")


def _body(tokens: int, prompt: str = "one two three", **more: Any) -> bytes:
    return json.dumps({"prompt": prompt, "max_tokens": tokens, "stream": True, **more}).encode()


def _ask(url: str, body: bytes) -> str:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def _on_the_wire(body: bytes) -> bytes:
    return f"POST /v1/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _events(answer: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_tokens_leave_when_they_should_and_the_log_has_each(tmp_path: Path) -> None:
    body = _body(5, stream_options={"include_usage": True})
    with TruthServer(log=tmp_path / "log", first_us=20_000, gap_us=5_000) as server:
        events = _events(_ask(f"{server.url}/v1/completions", body))
        (record,) = server.records()
    assert [e["choices"][0]["text"] for e in events[:5]] == [" word"] * 5
    assert events[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    assert record.id == request_id(body)
    assert (record.status, len(record.token_times)) == (WHOLE, 5)
    due = record.started + 0.020 + 0.005 * np.arange(5)
    assert (record.token_times >= due).all()  # late on a busy machine, never early


def test_chat_and_whole_answers_and_times_in_the_path(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "one two"}]
    with TruthServer(log=tmp_path / "log", first_us=10_000_000) as server:
        url = f"{server.url}/v1/chat/completions?first_us=1000&gap_us=10&tokens=3"
        events = _events(_ask(url, json.dumps({"messages": messages, "stream": True}).encode()))
        whole = json.loads(_ask(url, json.dumps({"messages": messages}).encode()))
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events) == " word word word"
    assert whole["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


def test_what_does_not_fit_the_queue_is_refused_and_what_waits_comes_in_turn(tmp_path: Path) -> None:
    flags = {"first_us": 300_000, "gap_us": 0, "places": 1, "queue": 1}
    with TruthServer(log=tmp_path / "log", **flags) as server, ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(_ask, f"{server.url}/v1/completions", _body(1, f"p{k}")) for k in range(3)]
        errors = [one.exception() for one in asked]
        records = sorted(server.records(), key=lambda r: r.status)
    (refusal,) = [e for e in errors if e is not None]
    assert isinstance(refusal, urllib.error.HTTPError)
    assert refusal.code == 503
    assert [r.status for r in records] == [WHOLE, WHOLE, REFUSED]
    first, second = sorted(records[:2], key=lambda r: r.started)
    assert second.started == pytest.approx(first.started + 0.3, abs=1e-6)  # when it was due, not when it left


def test_exponential_places_are_held_for_the_stated_mean(tmp_path: Path) -> None:
    flags: dict[str, Any] = {"service": "exponential", "service_us": 100_000, "first_us": 0, "places": 200}
    with TruthServer(log=tmp_path / "log", **flags) as server, ExitStack() as wires:
        wire = [wires.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(150)]
        for one in wire:
            one.sendall(_on_the_wire(_body(2)))
        for one in wire:
            while not one.recv(1 << 16).endswith(b"0\r\n\r\n"):
                pass
        held_ms = [1e3 * (r.token_times[-1] - r.started) for r in server.records()]
    assert len(held_ms) == 150
    mean_ms = np.median(held_ms) / np.log(2)  # of an exponential; the mean itself would be the tail's
    assert mean_ms == pytest.approx(100, rel=0.35)
    assert max(held_ms) > 250


def test_seeds_that_are_neighbours_draw_services_of_their_own(tmp_path: Path) -> None:
    held: list[list[float]] = []
    for seed in (1, 2):
        flags: dict[str, Any] = {"service": "exponential", "service_us": 20_000, "first_us": 0, "seed": seed}
        with TruthServer(log=tmp_path / f"log {seed}", **flags) as server:
            for k in range(8):
                _ask(f"{server.url}/v1/completions", _body(2, f"p{k}"))
            held.append([r.token_times[-1] - r.started for r in server.records()])
    for shifted in (held[0][1:], held[0]):
        assert max(abs(a - b) for a, b in zip(shifted, held[1], strict=False)) > 0.005


def test_a_client_that_goes_is_logged_with_what_it_was_sent(tmp_path: Path) -> None:
    with TruthServer(log=tmp_path / "log", first_us=0, gap_us=1_000_000) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as wire:
            wire.sendall(_on_the_wire(_body(3)))
            wire.recv(100)
        records = []
        while not records:  # until it has noticed
            records = list(server.records())
    assert (records[0].status, len(records[0].token_times)) == (CUT, 1)


def test_each_request_of_a_round_is_found_in_the_log_and_compared(tmp_path: Path) -> None:
    workload = {"scenario": "D(24,5)", "concurrency": 2, "round_seconds": 0.5}
    with TruthServer(log=tmp_path / "log", first_us=10_000, gap_us=1_000) as server:
        load = HttpLoad(Workload.model_validate(workload))
        try:
            with recording(window_seconds=0.5) as seen:
                load.open(Endpoint(url=server.url, model="truth"), salt="a")
                (point,) = load.run_round(1, cancel=lambda: False).points
        finally:
            load.close()
        records = list(server.records())
    errors = compare(seen, records, reported_mean_ms=0.0, reported_p99_ms=0.0)
    assert errors.unmatched == 0
    counted = point.histograms["ttft_ms"].count
    assert abs(errors.requests - counted) <= 1  # one may fall between the two readings of the clock
    reported = point.histograms["ttft_ms"].mean()
    assert reported == pytest.approx(errors.truth_ttft_mean + errors.ttft_mean, rel=0.05)
    assert errors.ttft_mean > 0
