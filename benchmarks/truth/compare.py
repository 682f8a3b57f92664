"""Holds what the load generator saw against the truth server's log, request by request.

The generator's own objects are recorded by subclassing what makes its requests, in this process only: the hot
path is the one that everybody runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from unittest import mock

import numpy as np
from truth.record import Truth, request_id

from tuner.load import target
from tuner.load.exchange import Exchange
from tuner.load.request_maker import RequestMaker
from tuner.load.window import Account, Window, account


@dataclass
class Seen:
    """What the client recorded.

    Attributes:
        requests: each request's record and its bytes.
        windows: of the rounds' load points, in order.
    """

    requests: list[tuple[Exchange, bytes]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)


@contextmanager
def recording() -> Iterator[Seen]:
    """Record every request that the load makes in this process while the block lasts."""
    seen = Seen()

    class Recorder(RequestMaker):
        """Keeps what it makes."""

        def make(
            self,
            name: str,
            tokens: tuple[int, int],
            *,
            left: int | None = None,
            intended: float | None = None,
        ) -> tuple[Exchange, bytes]:
            """As RequestMaker does."""
            made = super().make(name, tokens, left=left, intended=intended)
            seen.requests.append(made)
            return made

    def recorded(exchanges: Sequence[Exchange], window: Window) -> Account:
        seen.windows.append(window)
        return account(exchanges, window)

    with mock.patch.object(target, "RequestMaker", Recorder), mock.patch.object(target, "account", recorded):
        yield seen


@dataclass(frozen=True)
class Errors:
    """Client minus server, over requests sent inside the window that both know; ms.

    Attributes:
        requests, unmatched: how many were compared; how many the log does not have.
        ttft_mean, ttft_p99, ttft_max: of each request's own error.
        truth_ttft_mean, truth_ttft_p99: of the server's TTFT of the same requests.
        token_p99: how long after it was sent each token was read.
        truth_gap_p99: of the server's gaps, for ITL.
    """

    requests: int
    unmatched: int
    ttft_mean: float
    ttft_p99: float
    ttft_max: float
    truth_ttft_mean: float
    truth_ttft_p99: float
    token_p99: float
    truth_gap_p99: float

    def to_json(self) -> dict[str, float]:
        """As a JSON object."""
        return asdict(self)


def compare(seen: Seen, records: Iterable[Truth]) -> Errors:
    """The errors of one recorded round; NaN where nothing can be compared."""
    window = seen.windows[-1]
    known = {record.id: record for record in records}
    ttft_error_ms: list[float] = []
    truth_ttft_ms: list[float] = []
    late_ms: list[np.ndarray] = []
    gaps_ms: list[np.ndarray] = []
    unmatched = 0
    for exchange, request in seen.requests:
        if exchange.sent is None or not window.holds(exchange.sent) or not exchange.output_times:
            continue
        record = known.get(request_id(request.partition(b"\r\n\r\n")[2]))
        if record is None or not len(record.token_times):
            unmatched += 1
            continue
        ttft_error_ms.append(1e3 * (exchange.output_times[0] - exchange.sent) - record.ttft_ms)
        truth_ttft_ms.append(record.ttft_ms)
        both = min(len(exchange.output_times), len(record.token_times))
        late_ms.append(1e3 * (np.array(exchange.output_times[:both]) - record.token_times[:both]))
        gaps_ms.append(1e3 * np.diff(record.token_times))
    return Errors(
        requests=len(ttft_error_ms),
        unmatched=unmatched,
        ttft_mean=_mean(ttft_error_ms),
        ttft_p99=_p99(ttft_error_ms),
        ttft_max=max(ttft_error_ms, default=float("nan")),
        truth_ttft_mean=_mean(truth_ttft_ms),
        truth_ttft_p99=_p99(truth_ttft_ms),
        token_p99=_p99(np.concatenate(late_ms) if late_ms else []),
        truth_gap_p99=_p99(np.concatenate(gaps_ms) if gaps_ms else []),
    )


def sent_tokens(records: Iterable[Truth], window: Window) -> int:
    """Tokens that the server sent inside the window, of requests that have ended."""
    return sum(
        int(((r.token_times >= window.opens) & (r.token_times < window.closes)).sum()) for r in records
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _p99(values: Sequence[float] | np.ndarray) -> float:
    return float(np.quantile(values, 0.99, method="inverted_cdf")) if len(values) else float("nan")
