"""What is known of a window while it passes: cheap to take each second, and mergeable over processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tuner.load.exchange import OK, Exchange
from tuner.load.window import tokens_so_far
from tuner.trial.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Interim:
    """The figures so far.

    Attributes:
        output_tokens_per_second: chunks of output since the window opened; the server's count is known later.
        requests, failed: ended since the window opened.
        ttft_ms: of the first tokens that arrived since then.
    """

    elapsed_seconds: float
    window_seconds: float
    output_tokens_per_second: float
    requests: int
    failed: int
    ttft_ms: Histogram = field(default_factory=Histogram)

    def told(self) -> dict[str, Any]:
        """As `HttpLoad`'s on_progress is told it."""
        return {
            "elapsed_seconds": self.elapsed_seconds,
            "window_seconds": self.window_seconds,
            "output_tokens_per_second": self.output_tokens_per_second,
            "ttft_p50_ms": self.ttft_ms.quantile(0.5),
            "requests": self.requests,
            "failed": self.failed,
        }


class InterimCount:
    """Counts on from where it stood: a look costs the requests in flight and the new ones, not all of them.

    Args:
        exchanges: grows meanwhile.
    """

    def __init__(self, exchanges: Sequence[Exchange], *, opens: float, closes: float) -> None:
        self._exchanges = exchanges
        self._opens = opens
        self._closes = closes
        self._seen = 0
        self._without_token: list[Exchange] = []
        self._in_flight: list[Exchange] = []
        self._chunks = 0  # of those that have ended
        self._requests = 0
        self._failed = 0
        self._ttft_ms = Histogram()

    def at(self, now: float) -> Interim:
        """The figures at `now`."""
        new = self._exchanges[self._seen :]
        self._seen += len(new)
        waiting = [*self._without_token, *new]
        self._without_token = [x for x in waiting if not self._first_token_counted(x)]
        flying = [*self._in_flight, *new]
        self._in_flight = [x for x in flying if x.ended is None]
        ended = [x for x in flying if x.ended is not None]
        self._chunks += tokens_so_far(ended, self._opens)
        for x in ended:
            if x.ended is not None and x.ended >= self._opens:
                self._requests += x.outcome == OK
                self._failed += x.outcome != OK
        chunks = self._chunks + tokens_so_far(self._in_flight, self._opens)
        elapsed = now - self._opens
        merged = Histogram()
        merged.merge(self._ttft_ms)
        return Interim(
            elapsed_seconds=elapsed,
            window_seconds=self._closes - self._opens,
            output_tokens_per_second=chunks / elapsed if elapsed > 0 else 0.0,
            requests=self._requests,
            failed=self._failed,
            ttft_ms=merged,
        )

    def _first_token_counted(self, x: Exchange) -> bool:
        if not x.output_times:
            return x.ended is not None
        if x.began is not None and x.output_times[0] >= self._opens:
            self._ttft_ms.add(max(0.0, x.output_times[0] - x.began) * 1e3)
        return True
