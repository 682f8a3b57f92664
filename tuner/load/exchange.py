"""One request and what came of it: times at the socket, tokens, outcome."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field

OK = "ok"
REFUSED = "refused"  # no connection to send it on
TIMEOUT = "timeout"
CUT_STREAM = "cut"  # the server closed before the answer was whole
MALFORMED = "malformed"  # the answer is no HTTP, or no stream of events
EMPTY = "empty"  # a whole answer without output
ERROR_IN_STREAM = "error_in_stream"  # status 200, then an error as an event


def http_error(status: int) -> str:
    """The class of an answer with an error status: `http_429`."""
    return f"http_{status}"


@dataclass(slots=True)
class Exchange:
    """One request. Times are seconds of the clock that the connection was given.

    Attributes:
        intended: when it should have been sent (open loop); None where it is sent when its stream is free.
        asked_tokens: (input, output) that the scenario asks for.
        carried_tokens: of the input, what earlier turns of its conversation said or were answered.
        shortened: it asked for less, as a request met on its way, to spread the streams.
        sent: when its last byte was handed to the socket; None until then.
        output_times: when each chunk of output arrived.
        ended: when its outcome was known; None while it is in flight or was abandoned.
        outcome: OK or the class of its failure; "" while it has none.
        detail: the server's own words, or the system's, on one line.
        prompt_tokens, completion_tokens: the server's usage.
        first_chunk_tokens: output tokens in the first chunk.
        reopened: the kept connection had been closed by the server, so a new one was made.
    """

    intended: float | None = None
    asked_tokens: tuple[int, int] = (0, 0)
    carried_tokens: int = 0
    shortened: bool = False
    sent: float | None = None
    output_times: array[float] = field(default_factory=lambda: array("d"))
    ended: float | None = None
    outcome: str = ""
    detail: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_chunk_tokens: int = 1
    reopened: bool = False

    @property
    def began(self) -> float | None:
        """From when its latencies count: the intended send, else the send; None while neither is known."""
        return self.sent if self.intended is None else self.intended

    def end(self, outcome: str, now: float, detail: str = "") -> None:
        """Settle the outcome; the first word stands."""
        if not self.outcome:
            self.outcome, self.ended, self.detail = outcome, now, one_line(detail)


def one_line(text: str | bytes, longest: int = 300) -> str:
    """`text` on one line, cut to `longest` characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    flat = re.sub(r"\s+", " ", text).strip()
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"
