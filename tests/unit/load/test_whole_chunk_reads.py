"""The short way of one chunk in one read gives what the long way gives, however the bytes are split."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.load.http_response import MalformedResponse, ResponseReader
from tuner.load.whole_chunk import ChunkReader

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_SIZE_LINES = st.sampled_from(["{:x}", "{:X}", "{:04x}", "{:x};name=value", " {:x}", "+{:x}", "{:x}_"])


def _chunk(content: bytes, size_line: str) -> bytes:
    return size_line.format(len(content)).encode() + b"\r\n" + content + b"\r\n"


def _answer(reader: ResponseReader, reads: list[bytes]) -> tuple[bytes, bool, bool, str]:
    body = b""
    try:
        for read in reads:
            body += reader.feed(read)
    except MalformedResponse as error:
        return body, reader.complete, reader.reusable, str(error)
    return body, reader.complete, reader.reusable, ""


# Contents of few lengths, so that sizes are met again, and with line breaks and digits inside.
CONTENTS = st.lists(st.text("a\r\n05", max_size=4).map(str.encode), max_size=8)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_reads_give_what_the_long_way_gives(data: st.DataObject) -> None:
    chunks = [_chunk(content, data.draw(_SIZE_LINES)) for content in data.draw(CONTENTS)]
    tail = data.draw(st.sampled_from([b"0\r\n\r\n", b"", b"0\r\nfield: 1\r\n\r\n", b"zz\r\n"]))
    if data.draw(st.booleans()):
        reads = [HEAD, *chunks, tail]
    else:
        whole = b"".join([HEAD, *chunks, tail])
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
        reads = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]
    assert _answer(ChunkReader(), reads) == _answer(ResponseReader(), reads)


@pytest.mark.parametrize("wrong", [b"3\r\nabcde\r\n", b"3\r\nabcXY", b"3\r\nabcd\n"])
def test_a_chunk_whose_size_is_wrong_is_malformed_though_its_size_line_is_known(wrong: bytes) -> None:
    reader = ChunkReader()
    assert reader.feed(HEAD + b"3\r\nabc\r\n") == b"abc"
    assert reader.feed(b"3\r\nabc\r\n") == b"abc"
    assert reader.feed(b"3\r\nabc\r\n") == b"abc"
    with pytest.raises(MalformedResponse):
        reader.feed(wrong)


def test_what_comes_after_the_end_is_no_chunk() -> None:
    reader = ChunkReader()
    for read in (HEAD, b"3\r\nabc\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"):
        reader.feed(read)
    assert reader.complete
    assert reader.feed(b"3\r\nabc\r\n") == b""
    assert not reader.reusable


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"c\r\n----", b"\r\n"),  # inside a longer chunk
        (b"1", b"0123456789abcdef"[: 0x13 - 5] + b"\r\n"),  # the end of a longer size line
        (b"0\r\n", b"\r\n"),  # among the trailers
    ],
)
def test_what_only_looks_like_a_chunk_is_none(before: bytes, after: bytes) -> None:
    lookalike = b"3\r\nabc\r\n"
    known = [HEAD, lookalike, lookalike]
    reads = [*known, before, lookalike, after]
    assert _answer(ChunkReader(), reads) == _answer(ResponseReader(), reads)
