"""The stream's scanner against a plain reader of server-sent events and a full JSON parser, at any split."""

from __future__ import annotations

import json
import random
from array import array
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.load.http_response import ResponseReader
from tuner.load.stream import EventScanner

OUTPUT_KEYS = ("content", "reasoning_content", "reasoning", "tool_calls")

tricky = st.sampled_from(
    [
        "",
        '"',
        "\\",
        '\\"',
        '"text":"x"',
        '\\"text\\":\\"',
        '","content":"',
        "data: [DONE]\n\n",
        "\r\n\r\n",
        '{"error":{"message":"no"}}',
        '"usage":{"completion_tokens":9,"prompt_tokens":8}',
        "\u2028\u00e9\u4e2d\U0001f600",
    ]
)
words = tricky | st.text(max_size=10)
empty_or = st.none() | words
calls = st.lists(
    st.builds(lambda t: {"index": 0, "function": {"name": "f", "arguments": t}}, words), max_size=2
)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": empty_or,
        "reasoning_content": empty_or,
        "reasoning": empty_or,
        "tool_calls": st.none() | calls,
        "refusal": st.none(),
    },
)
finish = {"finish_reason": st.sampled_from([None, "stop", "length"]), "index": st.integers(0, 3)}
choices = st.fixed_dictionaries({"text": words}, optional=finish) | st.fixed_dictionaries(
    {"delta": deltas},
    optional={**finish, "logprobs": st.none() | st.just({"content": [{"token": "a", "logprob": -0.1}]})},
)
usages = st.builds(
    lambda prompt, completion, order: dict(
        sorted(
            {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 4},
            }.items(),
            reverse=order,
        )
    ),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.booleans(),
)
events = st.fixed_dictionaries(
    {"choices": st.lists(choices, max_size=2)},
    optional={
        "usage": st.none() | usages,
        "id": words,
        "model": words,
        "error": st.none(),
        "timings": st.just({"predicted_n": 5}),
    },
)
errors = st.builds(lambda t: {"error": {"code": 500, "message": t}}, words) | st.builds(
    lambda t: {"error": t}, words
)


@dataclass
class Read:
    """What a scanner should have made of a stream."""

    times: list[float] = field(default_factory=list)
    usage: tuple[int | None, int | None] = (None, None)
    first_chunk_tokens: int = 1
    done: bool = False
    error: bool = False


def by_a_full_parser(body: bytes, arrived: list[float]) -> Read:
    """Server-sent events and JSON, read plainly; `arrived[k]` is when byte k had arrived."""
    found, lines, at = Read(), [], 0
    for line in body.split(b"\n"):
        at += len(line) + 1
        text = line.removesuffix(b"\r")
        if text.startswith(b"data:"):
            lines.append((text[5:], arrived[min(at, len(body)) - 1]))
        elif not text and lines:
            joined, last = b"\n".join(part for part, _ in lines).strip(), lines[-1][1]
            lines = []
            if joined == b"[DONE]":
                found.done = True
            elif joined:
                _one(found, json.loads(joined), last)
    return found


def _one(found: Read, event: dict[str, Any], arrived: float) -> None:
    output = any(
        choice.get("text") or any((choice.get("delta") or {}).get(key) for key in OUTPUT_KEYS)
        for choice in event.get("choices", [])
    )
    usage = event.get("usage")
    if usage:
        found.usage = (usage["prompt_tokens"], usage["completion_tokens"])
        if output and not found.times:
            found.first_chunk_tokens = max(1, usage["completion_tokens"])
    if output:
        found.times.append(arrived)
    elif event.get("error") is not None:
        found.error = True


def shuffled(event: Any, rng: random.Random) -> Any:
    """The same JSON with its keys in another order."""
    if isinstance(event, dict):
        keys = list(event)
        rng.shuffle(keys)
        return {key: shuffled(event[key], rng) for key in keys}
    return [shuffled(e, rng) for e in event] if isinstance(event, list) else event


def written(stream: list[dict[str, Any]], rng: random.Random, *, ascii_only: bool, done: bool) -> bytes:
    """The stream as some server might write it: line breaks, comments and spaces drawn at random."""
    style = rng.choice(["\n", "\r\n", "mixed"])

    def br() -> str:
        return rng.choice(["\n", "\r\n"]) if style == "mixed" else style

    separators = rng.choice([(",", ":"), (", ", ": "), (" , ", " : ")])
    pieces = []
    for event in [*stream, *([None] if done else [])]:
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            pieces.append(rng.choice([f": ping{br()}", f":{br()}{br()}", f"id: 7{br()}", f"event: x{br()}"]))
        text = "[DONE]"
        if event is not None:
            text = json.dumps(shuffled(event, rng), ensure_ascii=ascii_only, separators=separators)
        pieces.append(f"data:{rng.choice(['', ' '])}{text}{br()}")
        pieces.append(f": between{br()}" if rng.random() < 0.1 else "")
        pieces.append(br())
    return "".join(pieces).encode("utf-8", "surrogatepass")


def framed(body: bytes, rng: random.Random) -> tuple[bytes, str]:
    """(bytes of a response, framing)."""
    framing = rng.choice(["chunked", "length", "close"])
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * rng.choice([0, 0, 1, 3])
    head = interim + b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    if framing == "length":
        return head + b"content-LENGTH:  %d \r\n\r\n" % len(body) + body, framing
    if framing == "close":
        return head + b"\r\n" + body, framing
    chunks, at = [], 0
    while at < len(body):
        size = rng.choice([1, 2, 5, 30, 300])
        piece = body[at : at + size]
        extension = rng.choice([b"", b";a", b';name="v;w"', b" ; x=1"])
        chunks.append(b"%s%s\r\n%s\r\n" % (b"%x" % len(piece), extension, piece))
        at += size
    trailers = b"".join(rng.choice([b"", b"X-A: 1\r\n", b"Server-Timing: 0\r\n"]) for _ in range(3))
    last = rng.choice([b"0", b"000", b"0;end"])
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(
        chunks
    ) + last + b"\r\n" + trailers + b"\r\n", (framing)


def pieces_of(raw: bytes, rng: random.Random) -> list[bytes]:
    sizes = rng.choice([[1], [1, 2, 3], [1, 7, 64], [200, 1000], [10**6]])
    made, at = [], 0
    while at < len(raw):
        size = rng.choice(sizes)
        made.append(raw[at : at + size])
        at += size
    return made


@settings(max_examples=120, deadline=None)
@given(
    stream=st.lists(events | errors, max_size=8),
    ascii_only=st.booleans(),
    done=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_any_split_of_any_stream_means_what_a_full_parser_says(
    stream: list[dict[str, Any]], ascii_only: bool, done: bool, seed: int
) -> None:
    rng = random.Random(seed)
    body = written(stream, rng, ascii_only=ascii_only, done=done)
    raw, framing = framed(body, rng)
    reader, times = ResponseReader(), array("d")
    scanner = EventScanner(times)
    seen, arrived = b"", []
    for now, read in enumerate(pieces_of(raw, rng)):
        assert not reader.complete
        found = reader.feed(read)
        seen += found
        arrived += [float(now)] * len(found)
        if found:
            scanner.feed(found, float(now))
    assert seen == body
    if framing == "close":
        reader.closed()
    assert reader.complete and reader.reusable == (framing != "close")
    scanner.closed(-1.0)
    wanted = by_a_full_parser(body, arrived)
    assert list(times) == wanted.times
    assert (scanner.prompt_tokens, scanner.completion_tokens) == wanted.usage
    assert scanner.first_chunk_tokens == wanted.first_chunk_tokens
    assert scanner.done == wanted.done
    assert (scanner.error is not None) == wanted.error


@settings(max_examples=50, deadline=None)
@given(stream=st.lists(events, min_size=1, max_size=5), seed=st.integers(0, 2**32))
def test_an_event_that_lacks_only_its_blank_line_counts_when_the_body_ends(
    stream: list[dict[str, Any]], seed: int
) -> None:
    body = written(stream, random.Random(seed), ascii_only=True, done=False)
    whole, cut = EventScanner(array("d")), EventScanner(array("d"))
    whole.feed(body, 1.0)
    whole.closed(1.0)
    cut.feed(body.rstrip(b"\r\n"), 1.0)
    cut.closed(1.0)
    assert cut.output_times == whole.output_times
    assert cut.completion_tokens == whole.completion_tokens


def test_an_event_written_over_several_data_lines_is_one_event() -> None:
    scanner = EventScanner(array("d"))
    scanner.feed(b'data: {"choices":[\ndata: {"text":"a"}],\n', 1.0)
    assert len(scanner.output_times) == 0
    scanner.feed(b'data: "usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n', 2.0)
    assert list(scanner.output_times) == [2.0]
    assert (scanner.prompt_tokens, scanner.completion_tokens) == (3, 1)


@pytest.mark.parametrize(
    "delta",
    [b'{"content":""}', b'{"content":null}', b'{"tool_calls":[]}', b'{"tool_calls":null}', b'{"role":"a"}'],
)
def test_an_empty_delta_is_no_output(delta: bytes) -> None:
    scanner = EventScanner(array("d"))
    scanner.feed(b'data: {"choices":[{"delta":' + delta + b"}]}\n\n", 1.0)
    assert len(scanner.output_times) == 0 and scanner.error is None
