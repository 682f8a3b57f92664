"""Holds what the load generator saw against the truth server's log, request by request.

Requests and the window's moment are recorded by wrapping two methods in this process alone: the hot path is
the one that everybody runs, plus an append for each request.
"""

from __future__ import annotations

import os
import time
from asyncio import Future
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil
from truth.record import Truth, request_id

from tuner.load.connection import Reply
from tuner.load.exchange import Exchange
from tuner.load.host_usage import HostMeter, HostUsage


@dataclass
class Seen:
    """What was recorded.

    Attributes:
        requests: each request's record and its bytes; of this process only.
        opens, closes: the last window; seconds of time.perf_counter.
        cpu_seconds: used inside it by this process and those that it started.
    """

    requests: list[tuple[Exchange, bytes]] = field(default_factory=list)
    opens: float = 0.0
    closes: float = 0.0
    cpu_seconds: float = 0.0

    def holds(self, at: float) -> bool:
        """Whether a moment lies inside the window."""
        return self.opens <= at < self.closes


@contextmanager
def recording(*, window_seconds: float) -> Iterator[Seen]:
    """Record what the load does in this process while the block lasts; its windows last so long."""
    seen = Seen()
    send, begin, end = Reply.send, HostMeter.begin, HostMeter.end

    def recorded_send(reply: Reply, request: bytes, exchange: Exchange, **named: Any) -> Future[None]:
        seen.requests.append((exchange, request))
        return send(reply, request, exchange, **named)

    def recorded_begin(meter: HostMeter) -> None:
        begin(meter)
        seen.cpu_seconds = -_cpu_seconds()
        seen.opens = time.perf_counter()
        seen.closes = seen.opens + window_seconds

    def recorded_end(meter: HostMeter) -> HostUsage:
        seen.cpu_seconds += _cpu_seconds()
        return end(meter)

    with (
        mock.patch.object(Reply, "send", recorded_send),
        mock.patch.object(HostMeter, "begin", recorded_begin),
        mock.patch.object(HostMeter, "end", recorded_end),
    ):
        yield seen


@dataclass(frozen=True)
class Errors:
    """Client minus server, over requests sent inside the window; ms.

    Attributes:
        requests: how many were compared one by one; 0 where other processes sent them, whose requests are not
            seen here: then the errors are those of the mean and the p99 over all requests.
        unmatched: how many the log does not have.
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


def compare(
    seen: Seen, records: Sequence[Truth], *, reported_mean_ms: float, reported_p99_ms: float
) -> Errors:
    """The errors of one recorded window; NaN where nothing can be compared."""
    known = {record.id: record for record in records}
    pairs: list[tuple[Exchange, Truth]] = []
    unmatched = 0
    for exchange, request in seen.requests:
        if exchange.sent is None or not seen.holds(exchange.sent) or not exchange.output_times:
            continue
        record = known.get(request_id(request.partition(b"\r\n\r\n")[2]))
        if record is None or not len(record.token_times):
            unmatched += 1
        else:
            pairs.append((exchange, record))
    truth = [r for _, r in pairs] or [r for r in records if seen.holds(r.received) and len(r.token_times)]
    true_ms = [r.ttft_ms for r in truth]
    own = [1e3 * (x.output_times[0] - (x.sent or 0.0)) - r.ttft_ms for x, r in pairs]
    late = [_lateness_ms(x, r) for x, r in pairs]
    gaps = [1e3 * np.diff(r.token_times) for r in truth]
    return Errors(
        requests=len(pairs),
        unmatched=unmatched,
        ttft_mean=_mean(own) if pairs else reported_mean_ms - _mean(true_ms),
        ttft_p99=_p99(own) if pairs else reported_p99_ms - _p99(true_ms),
        ttft_max=max(own, default=float("nan")),
        truth_ttft_mean=_mean(true_ms),
        truth_ttft_p99=_p99(true_ms),
        token_p99=_p99(np.concatenate(late) if late else []),
        truth_gap_p99=_p99(np.concatenate(gaps) if gaps else []),
    )


def sent_tokens_per_second(records: Sequence[Truth], seen: Seen) -> float:
    """What the server sent inside the window."""
    sent = sum(int(((r.token_times >= seen.opens) & (r.token_times < seen.closes)).sum()) for r in records)
    return sent / (seen.closes - seen.opens)


def _lateness_ms(exchange: Exchange, record: Truth) -> np.ndarray:
    both = min(len(exchange.output_times), len(record.token_times))
    return 1e3 * (np.array(exchange.output_times[:both]) - record.token_times[:both])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _p99(values: Sequence[float] | np.ndarray) -> float:
    return float(np.quantile(values, 0.99, method="inverted_cdf")) if len(values) else float("nan")


def _cpu_seconds() -> float:
    total = time.process_time()
    for pid in _children():
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            continue  # it has ended
        total += times.user + times.system
    return total


def _children() -> list[int]:
    """Cheaply: psutil would look at every process there is, just before the window opens."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []
