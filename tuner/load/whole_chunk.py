"""The hot path of a chunked response: one whole chunk in one read, which is how engines send a token."""

from __future__ import annotations

from tuner.load.http_response import ResponseReader

_MOST_SIZES = 4096
_LONGEST_SIZE = 8  # hexadecimal digits
# The size line of a chunk -> its size. Engines' chunks have few lengths; looking one up costs a third of
# reading it.
_sizes: dict[bytes, int] = {}


class ChunkReader(ResponseReader):
    """A `ResponseReader` that gives the same answers, sooner where a read is exactly one chunk.

    On the way of a token this saves a tenth of all client CPU.
    """

    __slots__ = ()

    def feed(self, read: bytes) -> bytes:
        """As `ResponseReader.feed`."""
        if self._chunked and not (self._left or self._pending or self._in_trailers):
            line_end = read.find(b"\r\n")
            size = _sizes.get(read[:line_end])
            if size is None:
                _learn(read[:line_end])
            elif len(read) == line_end + 4 + size and read.endswith(b"\r\n"):
                return read[line_end + 2 : -2]
        return super().feed(read)


def _learn(line: bytes) -> None:
    """Only plain sizes above 0: the last chunk, extensions and nonsense take the long way."""
    digits = len(line) <= _LONGEST_SIZE and line.isalnum()
    if digits and len(_sizes) < _MOST_SIZES:
        try:
            size = int(line, 16)
        except ValueError:
            return
        if size:
            _sizes[line] = size
