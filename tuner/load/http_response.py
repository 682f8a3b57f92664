"""Framing of an HTTP/1.1 response: what has been read becomes body bytes, wherever the reads split it."""

from __future__ import annotations

_LONGEST_HEAD = 65_536
_LONGEST_SIZE_LINE = 1_024
_MOST_DIGITS = 15  # of a length: more is no length, and int() refuses thousands of them
_HEX = frozenset(b"0123456789abcdefABCDEF")


class MalformedResponse(Exception):
    """The bytes are no HTTP/1.1 response; one line."""


class ResponseReader:
    """Reads one response: feed it what arrives, take body bytes back.

    Attributes:
        status: the status code; 0 until the head is complete. Interim 1xx heads are skipped.
        reusable: whether the server keeps the connection after this response.
        complete: whether the response has ended by its own framing.
    """

    __slots__ = (
        "_chunked",
        "_in_trailers",
        "_interim",
        "_left",
        "_pending",
        "_until_close",
        "complete",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self.status = 0
        self.reusable = True
        self.complete = False
        self._chunked = False
        self._until_close = False
        self._in_trailers = False
        self._interim = False
        self._left = 0  # bytes still to come: of the body, or of the open chunk and its line break
        self._pending = b""

    @property
    def started(self) -> bool:
        """Whether anything at all has arrived."""
        return bool(self.status or self._pending or self._interim)

    def feed(self, read: bytes) -> bytes:
        """Take one read; return the body bytes in it, chunk framing removed.

        Raises:
            MalformedResponse: it cannot be a response.
        """
        if self.status == 0:
            read = self._heads(self._pending + read)
            if self.status == 0:
                return b""
        if self.complete:
            self.reusable = self.reusable and not read
            return b""
        if self._chunked:
            return self._dechunk(read)
        if self._until_close:
            return read
        body, surplus = read[: self._left], read[self._left :]
        self._left -= len(body)
        if not self._left:
            self._finish(surplus)
        return body

    def closed(self) -> None:
        """The server closed the connection; that ends a body which has no other end."""
        if self._until_close and self.status:
            self.complete = True

    def _finish(self, surplus: bytes) -> None:
        self.complete = True
        if surplus:
            self.reusable = False  # it says more than it was asked

    def _heads(self, read: bytes) -> bytes:
        """Take heads until one is not interim; return what follows it, or keep what has no end yet."""
        at = 0
        while (end := read.find(b"\r\n\r\n", at)) >= 0:
            self._head(read[at:end])
            at = end + 4
            if self.status:
                self._pending = b""
                return read[at:]
            self._interim = True
        self._pending = read[at:]
        if len(self._pending) > _LONGEST_HEAD or not _may_start(self._pending):
            raise MalformedResponse(f"no HTTP response: {self._pending[:60]!r}")
        return b""

    def _head(self, head: bytes) -> None:
        status_line, *lines = head.split(b"\r\n")
        version, _, rest = status_line.partition(b" ")
        code = rest[:3]
        if not version.startswith(b"HTTP/1.") or not (len(code) == 3 and code.isdigit()):
            raise MalformedResponse(f"no HTTP/1.x status line: {status_line[:60]!r}")
        status = int(code)
        if 100 <= status < 200:
            return
        if not 200 <= status < 1000:
            raise MalformedResponse(f"no HTTP status: {status_line[:60]!r}")
        fields: dict[bytes, bytes] = {}
        for line in lines:
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        self.status = status
        connection = fields.get(b"connection", b"").lower()
        self.reusable = b"close" not in connection and (version != b"HTTP/1.0" or b"keep-alive" in connection)
        if status in (204, 304):
            self.complete = True
        elif b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            self._chunked = True
        elif b"content-length" in fields:
            length = fields[b"content-length"]
            if not length.isdigit() or len(length) > _MOST_DIGITS:
                raise MalformedResponse(f"Content-Length: {length[:40]!r} is no length")
            self._left = int(length)
            self.complete = self._left == 0
        else:
            self._until_close = True
            self.reusable = False

    def _dechunk(self, read: bytes) -> bytes:
        if self._pending:
            read = self._pending + read
            self._pending = b""
        body: list[bytes] = []
        at, end = 0, len(read)
        while at < end:
            if self._in_trailers:
                at = self._trailers(read, at)
                continue
            if self._left:
                at = self._rest_of_chunk(read, at, body)
                continue
            line_end = read.find(b"\r\n", at)
            if line_end < 0:
                if end - at > _LONGEST_SIZE_LINE:
                    raise MalformedResponse(f"no chunk size: {read[at : at + 40]!r}")
                self._pending = read[at:]
                break
            size = _chunk_size(read[at:line_end])
            at = line_end + 2
            if size:
                self._left = size + 2
            else:
                self._in_trailers = True
        return body[0] if len(body) == 1 else b"".join(body)

    def _rest_of_chunk(self, read: bytes, at: int, body: list[bytes]) -> int:
        """Append what of the open chunk's content lies in `read` from `at` on; return where it ends."""
        stop = at + self._left
        content_stop = stop - 2
        if content_stop > at:
            body.append(read[at:content_stop])
        if len(read) >= stop:
            line_break = read[max(at, content_stop) : stop]
            if not b"\r\n".endswith(line_break):
                raise MalformedResponse(f"a chunk is longer than its size says: {line_break!r}")
            self._left = 0
            return stop
        if len(read) > content_stop and read[-1:] != b"\r":
            raise MalformedResponse(f"a chunk is longer than its size says: {read[-1:]!r}")
        self._left = stop - len(read)
        return len(read)

    def _trailers(self, read: bytes, at: int) -> int:
        """Read past the fields after the last chunk; the empty line among them ends the response."""
        line_end = read.find(b"\r\n", at)
        if line_end < 0:
            if len(read) - at > _LONGEST_HEAD:
                raise MalformedResponse("trailers without end")
            self._pending = read[at:]
            return len(read)
        if line_end == at:
            self._finish(read[at + 2 :])
            return len(read)
        return line_end + 2


def _may_start(head: bytes) -> bool:
    return head.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(head)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or len(digits) > _MOST_DIGITS or not _HEX.issuperset(digits):
        raise MalformedResponse(f"{line[:40]!r} is no chunk size")
    return int(digits, 16)
