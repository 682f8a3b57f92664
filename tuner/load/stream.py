"""Server-sent events of a completion, scanned and not decoded: which carry output, and the usage.

JSON escapes every quote inside a string, so a key can be told from text that looks like one by its bytes
alone: `"text":` inside a string reads `\\"text\\":`.
"""

from __future__ import annotations

import re
from array import array

# A non-empty string under one of the keys, or a list of tool calls that is not empty.
_OUTPUT = re.compile(
    rb'"(?:text|content|reasoning_content|reasoning)"\s*:\s*"[^"]|"tool_calls"\s*:\s*\[\s*[^\]\s]'
)
_PROMPT_TOKENS = re.compile(rb'"prompt_tokens"\s*:\s*(\d{1,15})(?!\d)')
_COMPLETION_TOKENS = re.compile(rb'"completion_tokens"\s*:\s*(\d{1,15})(?!\d)')
_ERROR = re.compile(rb'"error"\s*:\s*[{"]')
_LONGEST_EVENT = 16 * 1024 * 1024


class MalformedStream(Exception):
    """What arrived is no stream of JSON events; one line."""


class EventScanner:
    """Scans the body of one streamed completion.

    Reads events as server-sent events do: lines end in LF or CRLF, a blank line ends an event, lines that
    start with a colon are comments, and fields other than `data` (and llama.cpp's `error`) are passed over.

    Attributes:
        output_times: when each event that carries output had arrived, seconds of the caller's clock.
        first_chunk_tokens: tokens in the first of them; 1 unless the server counts along.
        prompt_tokens, completion_tokens: the server's usage, its last word; None where it gives none.
        done: `[DONE]` has been read.
        error: an error that the server sent inside the stream, its JSON text; None where it sent none.
    """

    __slots__ = (
        "_arrived",
        "_event",
        "_held",
        "_tail",
        "completion_tokens",
        "done",
        "error",
        "first_chunk_tokens",
        "output_times",
        "prompt_tokens",
    )

    def __init__(self, output_times: array[float]) -> None:
        self.output_times = output_times
        self.first_chunk_tokens = 1
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.done = False
        self.error: str | None = None
        # Pieces, joined once: a server that sends no end must not make each read cost more than the last.
        self._tail: list[bytes] = []  # a line that has not ended yet
        self._event: list[bytes] = []  # the data lines of an event that has not ended yet
        self._held = 0  # bytes in both
        self._arrived = 0.0  # when its last data line had arrived

    def feed(self, body: bytes, now: float) -> None:
        """Scan body bytes that arrived at `now`.

        Raises:
            MalformedStream: an event's data is neither JSON's object nor `[DONE]`.
        """
        # One whole event in one read is what engines send; the rest of the method is for all else.
        if (
            not self._tail
            and not self._event
            and body.startswith(b"data: {")
            and body.endswith(b"}\n\n")
            and body.find(b"\n") == len(body) - 2
        ):
            self._scan(body, now)
            return
        if self._held > _LONGEST_EVENT:
            raise MalformedStream("an event of the stream has no end")
        self._held += len(body)
        first, *lines = body.split(b"\n")
        if not lines:
            self._tail.append(first)
            return
        if self._tail:
            first, self._tail = b"".join([*self._tail, first]), []
        last = lines.pop()
        self._line(first.removesuffix(b"\r"), now)
        for line in lines:
            self._line(line.removesuffix(b"\r"), now)
        if last:
            self._tail = [last]

    def closed(self, now: float) -> None:
        """The body has ended: an event that lacks only its blank line counts."""
        tail, self._tail = b"".join(self._tail), []
        if tail:
            self._line(tail.removesuffix(b"\r"), now)
        self._line(b"", now)

    def _line(self, line: bytes, now: float) -> None:
        if line.startswith(b"data:"):
            self._event.append(line[5:])
            self._arrived = now
        elif not line:
            self._held = 0
            event, self._event = b"\n".join(self._event).strip(), []
            if event == b"[DONE]":
                self.done = True
            elif event:
                if not (event.startswith(b"{") and event.endswith(b"}")):
                    raise MalformedStream(f"an event is no JSON object: {event[:60]!r}")
                self._scan(event, self._arrived)
        elif line.startswith(b"error:"):
            self.error = line[6:].strip().decode("utf-8", "replace")

    def _scan(self, event: bytes, arrived: float) -> None:
        at = event.find(b'"text":"')
        carries_output = (at >= 0 and event[at + 8] != 0x22) or _OUTPUT.search(event) is not None
        if event.find(b'"completion_tokens"') >= 0:
            self._usage(event, first=carries_output and not self.output_times)
        if carries_output:
            self.output_times.append(arrived)
        elif event.find(b'"error"') >= 0 and _ERROR.search(event):
            self.error = event.removeprefix(b"data: ").strip().decode("utf-8", "replace")

    def _usage(self, event: bytes, *, first: bool) -> None:
        if found := _COMPLETION_TOKENS.search(event):
            self.completion_tokens = int(found[1])
            if first:
                self.first_chunk_tokens = max(1, self.completion_tokens)
        if found := _PROMPT_TOKENS.search(event):
            self.prompt_tokens = int(found[1])
