"""Reads the truth server's log (record.h): what was really sent, request by request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WHOLE, CUT, REFUSED = range(3)
_MARK = 0x31555254
_HEAD = np.dtype(
    [
        ("mark", "<u4"),
        ("tokens", "<u4"),
        ("id", "<u8"),
        ("received", "<i8"),
        ("started", "<i8"),
        ("ended", "<i8"),
        ("status", "<u4"),
        ("prompt_tokens", "<u4"),
    ]
)
_FNV_START, _FNV_PRIME, _64_BITS = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Truth:
    """One request as the server saw it; seconds of CLOCK_MONOTONIC, which is Python's perf_counter on Linux.

    Attributes:
        id: `request_id` of its body, or its X-Request-Id.
        started: when it got a place to be served.
        token_times: when each token was handed to the socket.
        status: WHOLE, CUT (the client went) or REFUSED (503).
    """

    id: int
    received: float
    started: float
    ended: float
    status: int
    prompt_tokens: int
    token_times: np.ndarray

    @property
    def ttft_ms(self) -> float:
        """From the request's receipt to its first token."""
        return 1e3 * (float(self.token_times[0]) - self.received)


def read_log(path: Path) -> Iterator[Truth]:
    """Every record, in the order in which requests ended."""
    stored = path.read_bytes()
    at = 0
    while at < len(stored):
        head = np.frombuffer(stored, _HEAD, 1, at)[0]
        if head["mark"] != _MARK:
            raise ValueError(f"{path}: no record at byte {at}")
        at += _HEAD.itemsize
        count = int(head["tokens"])
        times = np.frombuffer(stored, "<i8", count, at) / 1e9
        at += 8 * count
        yield Truth(
            id=int(head["id"]),
            received=int(head["received"]) / 1e9,
            started=int(head["started"]) / 1e9,
            ended=int(head["ended"]) / 1e9,
            status=int(head["status"]),
            prompt_tokens=int(head["prompt_tokens"]),
            token_times=times,
        )


def request_id(body: bytes) -> int:
    """FNV-1a, 64 bit: the id that the server gives a request with this body."""
    value = _FNV_START
    for byte in body:
        value = (value ^ byte) * _FNV_PRIME & _64_BITS
    return value
