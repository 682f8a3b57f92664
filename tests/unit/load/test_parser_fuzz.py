"""Whatever bytes a server sends, the parsers neither crash nor hang, and no split changes what they say."""

from __future__ import annotations

import random
import time
from array import array

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tuner.load.stream
from tuner.load.http_response import MalformedResponse, ResponseReader
from tuner.load.stream import EventScanner, MalformedStream

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SOUND = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    + HEAD
    + b'30;x=1\r\ndata: {"choices":[{"text":"a"}],"error":null}\n\n\n\n\n\r\n'
    + b'3b\r\ndata: {"usage":{"prompt_tokens":1,"completion_tokens":22}}\n\n\n\r\n'
    + b"10\r\ndata: [DONE]\n\n\n\n\r\n0\r\nX: y\r\n\r\n"
)
LENGTH = b'HTTP/1.0 200 OK\r\nContent-Length: 37\r\n\r\ndata: {"choices":[{"text":"abc"}]}\r\n\r\n'
fragments = st.sampled_from(
    [
        HEAD,
        SOUND,
        LENGTH,
        b"HTTP/1.1 ",
        b"HTTP/1.1 100 X\r\n\r\n",
        b"HTTP/1.1 000 X\r\n\r\n",
        b"HTTP/1.1 204 X\r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"\r\n",
        b"\n\n",
        b"0\r\n\r\n",
        b"5\r\n",
        b"-5\r\n",
        b"ffffffffffffffffffff\r\n",
        b"data:",
        b"data: {",
        b"}\n\n",
        b'"completion_tokens":9',
        b'"text":"',
        b"error:",
    ]
)
anything = st.lists(fragments | st.binary(max_size=30), max_size=12).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sound response with a few bytes changed, lost, doubled or put in."""
    raw = bytearray(draw(st.sampled_from([SOUND, LENGTH])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        end = min(len(raw), at + draw(st.integers(0, 6)))
        raw[at:end] = draw(st.binary(max_size=4) | st.just(bytes(raw[at:end]) * 2))
        raw = raw or bytearray(b"H")
    return bytes(raw)


def verdict(raw: bytes, sizes: list[int], rng: random.Random) -> tuple[object, ...]:
    """What the parsers make of `raw` in reads of such sizes; only their own errors may come."""
    reader, scanner = ResponseReader(), EventScanner(array("d"))
    at = 0
    try:
        while at < len(raw) and not reader.complete:
            size = rng.choice(sizes)
            found = reader.feed(raw[at : at + size])
            at += size
            scanner.feed(found, 0.0)
        reader.closed()
        scanner.closed(0.0)
    except (MalformedResponse, MalformedStream) as error:
        assert "\n" not in str(error)
        return ("malformed",)  # by which of the two hangs on what comes first, and in one read both may be
    return (
        reader.complete,
        reader.status,
        len(scanner.output_times),
        scanner.prompt_tokens,
        scanner.completion_tokens,
        scanner.done,
        scanner.error,
    )


@settings(max_examples=120, deadline=None)
@given(raw=anything | mutated(), seed=st.integers(0, 2**32))
@example(raw=HEAD + b"2\r\nabX\nY", seed=0)
@example(raw=b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", seed=0)
@example(raw=HEAD + b"f" * 900 + b"\r\n", seed=0)
def test_any_bytes_give_a_verdict_and_no_split_changes_it(raw: bytes, seed: int) -> None:
    rng = random.Random(seed)
    whole = verdict(raw, [len(raw) or 1], rng)
    for sizes in ([1], [1, 2, 3], [3, 17]):
        assert verdict(raw, sizes, rng) == whole


def test_usage_of_thousands_of_digits_is_no_usage() -> None:
    scanner = EventScanner(array("d"))
    scanner.feed(b'data: {"usage":{"completion_tokens":' + b"9" * 5000 + b"}}\n\n", 0.0)
    assert scanner.completion_tokens is None


def test_interim_responses_without_number_are_passed_over() -> None:
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 102 Processing\r\n\r\n" * 50_000) == b""
    assert reader.started and not reader.status
    assert reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") == b"ok"
    assert reader.complete


ENDLESS = {
    "a line without an end": b"data: " + b"x" * 1018,
    "an event without an end": b"data: {\n" * 128,
    "comments without a blank line": b": ping\n" * 128,
}


@pytest.mark.parametrize("part", ENDLESS.values(), ids=list(ENDLESS))
def test_an_event_without_end_is_given_up_and_each_read_of_it_is_as_cheap_as_the_first(
    part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    if b"\n" in part:  # many lines: copying with each would show in a sixteenth of it
        monkeypatch.setattr(tuner.load.stream, "_LONGEST_EVENT", 1024 * 1024)
    scanner = EventScanner(array("d"))
    began = time.process_time()
    with pytest.raises(MalformedStream, match="no end"):
        for _ in range(20_000):
            scanner.feed(part, 0.0)
    # Copying all that is held with every read takes minutes here; once over takes a second.
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "part", [b"X-Header: 1\r\n" * 10, b"x" * 700], ids=["a head of fields", "a head of one line"]
)
def test_a_head_without_end_is_given_up(part: bytes) -> None:
    reader = ResponseReader()
    with pytest.raises(MalformedResponse, match="no HTTP response"):
        for _ in range(1000):
            reader.feed(part if reader.started else b"HTTP/1.1 200 OK\r\n" + part)


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_a_connection_is_kept_where_its_version_and_its_words_say_so(
    version: bytes, connection: bytes, kept: bool
) -> None:
    reader = ResponseReader()
    reader.feed(b"HTTP/" + version + b" 200 OK\r\n" + connection + b"Content-Length: 2\r\n\r\nok")
    assert reader.complete and reader.reusable is kept
