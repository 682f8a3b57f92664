"""The framing of responses and the events in them, against a full parser, however reads split them."""

from __future__ import annotations

import json
import random
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.load.http_response import MalformedResponse, ResponseReader
from tuner.load.stream import EventScanner, MalformedStream

texts = st.text(max_size=12) | st.sampled_from(
    ['"text":"x"', '\\"text\\":\\"', "data: [DONE]", "0\r\n\r\n", '"usage":{"completion_tokens":9}', "[DONE]"]
)
deltas = st.one_of(
    st.builds(lambda t: {"choices": [{"index": 0, "text": t, "finish_reason": None}]}, texts),
    st.builds(lambda t: {"choices": [{"delta": {"content": t}}]}, texts),
    st.builds(lambda t: {"choices": [{"delta": {"content": None, "reasoning_content": t}}]}, texts),
    st.builds(lambda t: {"choices": [{"delta": {"role": "assistant", "content": t}}]}, st.just("")),
    st.builds(
        lambda calls: {"choices": [{"delta": {"tool_calls": calls}}]},
        st.lists(st.just({"index": 0, "function": {"arguments": "{"}}), max_size=2),
    ),
    st.just({"choices": [], "usage": None}),
)
usages = st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999))


def carries_output(event: dict[str, Any]) -> bool:
    for choice in event["choices"]:
        delta = choice.get("delta", {})
        if choice.get("text") or any(delta.get(k) for k in ("content", "reasoning_content", "tool_calls")):
            return True
    return False


def encoded(events: list[dict[str, Any]], line_break: str, comments: bool, compact: bool) -> list[bytes]:
    separators = (",", ":") if compact else (", ", ": ")
    lines = []
    for event in events:
        if comments:
            lines.append(f": keep-alive{line_break}{line_break}")
        space = " " if compact else ""
        payload = json.dumps(event, separators=separators, ensure_ascii=not compact)
        lines.append(f"data:{space}{payload}{line_break}{line_break}")
    lines.append(f"data: [DONE]{line_break}{line_break}")
    return [line.encode("utf-8", "surrogatepass") for line in lines]


def framed(pieces: list[bytes], framing: str, rng: random.Random) -> bytes:
    body = b"".join(pieces)
    if framing == "length":
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    if framing == "close":
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5, max=100\r\n\r\n"
    chunks, at = b"", 0
    while at < len(body):
        size = rng.randint(1, 80)
        piece = body[at : at + size]
        chunks += b"%X;ext=1\r\n" % len(piece) + piece + b"\r\n"
        at += size
    trailer = b"X-Trailer: 1\r\n" if rng.random() < 0.5 else b""
    return head + chunks + b"0\r\n" + trailer + b"\r\n"


def split_up(raw: bytes, rng: random.Random) -> list[bytes]:
    pieces, at = [], 0
    while at < len(raw):
        size = rng.choice([1, 2, 3, 7, 40, 400])
        pieces.append(raw[at : at + size])
        at += size
    return pieces


@settings(max_examples=150, deadline=None)
@given(
    events=st.lists(deltas, max_size=12),
    usage=usages,
    line_break=st.sampled_from(["\n", "\r\n"]),
    comments=st.booleans(),
    compact=st.booleans(),
    framing=st.sampled_from(["chunked", "length", "close"]),
    seed=st.integers(0, 10_000),
)
def test_any_split_of_any_stream_is_read_as_a_full_parser_reads_it(
    *,
    events: list[dict[str, Any]],
    usage: tuple[int, int] | None,
    line_break: str,
    comments: bool,
    compact: bool,
    framing: str,
    seed: int,
) -> None:
    rng = random.Random(seed)
    if usage is not None:
        counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": 1}
        events = [*events, {"choices": [], "usage": counts}]
    raw = framed(encoded(events, line_break, comments, compact), framing, rng)
    reader, times = ResponseReader(), array("d")
    scanner = EventScanner(times)
    for now, read in enumerate(split_up(raw, rng)):
        assert not reader.complete
        scanner.feed(reader.feed(read), float(now))
    if framing == "close":
        reader.closed()
    assert reader.complete and reader.status == 200
    assert reader.reusable == (framing != "close")
    scanner.closed(0.0)
    assert len(times) == sum(carries_output(e) for e in events)
    assert list(times) == sorted(times)
    assert scanner.done and scanner.error is None
    assert (scanner.prompt_tokens, scanner.completion_tokens) == (usage or (None, None))


def test_an_event_has_the_time_of_the_read_that_completed_its_line() -> None:
    times = array("d")
    scanner = EventScanner(times)
    scanner.feed(b'data: {"choices":[{"te', 1.0)
    scanner.feed(b'xt":"a"}]}', 2.0)
    scanner.feed(b"\n", 3.0)
    scanner.feed(b'\ndata: {"choices":[{"text":"b"}]}\n\ndata: {"choices":[{"text":"c"}]}\n\n', 4.0)
    assert list(times) == [3.0, 4.0, 4.0]


def test_a_header_that_ends_like_a_last_chunk_ends_no_response() -> None:
    reader = ResponseReader()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5, max=100\r\n\r\n"
    assert reader.feed(head) == b""
    assert not reader.complete
    assert reader.feed(b"5\r\n0\r\n\r\n\r\n") == b"0\r\n\r\n"  # content that looks like the end
    assert not reader.complete
    assert reader.feed(b"0\r\n") == b"" and not reader.complete
    assert reader.feed(b"\r\n") == b"" and reader.complete


def test_an_interim_response_is_passed_over() -> None:
    reader = ResponseReader()
    body = reader.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Busy\r\nContent-Length: 2\r\n\r\nno")
    assert (reader.status, body, reader.complete) == (429, b"no", True)


def test_more_than_was_asked_for_makes_a_connection_unfit_to_keep() -> None:
    reader = ResponseReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK")
    assert reader.complete and not reader.reusable


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
    ],
)
def test_what_is_no_response_is_called_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedResponse):
        ResponseReader().feed(raw)


def test_an_event_that_is_no_json_object_is_called_malformed() -> None:
    with pytest.raises(MalformedStream):
        EventScanner(array("d")).feed(b"data: oops\n\n", 0.0)


def test_an_error_inside_the_stream_is_kept_in_the_servers_words() -> None:
    for body in (b'data: {"error":{"message":"full"}}\n\n', b'error: {"message":"full"}\n\n'):
        scanner = EventScanner(array("d"))
        scanner.feed(body, 0.0)
        assert scanner.error is not None and "full" in scanner.error


def test_usage_beside_every_chunk_tells_the_tokens_of_the_first() -> None:
    scanner = EventScanner(array("d"))
    scanner.feed(b'data: {"choices":[{"text":"ab"}],"usage":{"completion_tokens":2}}\n\n', 0.0)
    scanner.feed(b'data: {"choices":[{"text":"cd"}],"usage":{"completion_tokens":4}}\n\n', 1.0)
    assert (scanner.first_chunk_tokens, scanner.completion_tokens) == (2, 4)
