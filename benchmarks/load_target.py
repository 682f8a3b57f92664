"""The cases of the load benchmark and what each is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FIRST_US = 50_000
TOKENS = 100


@dataclass(frozen=True)
class Case:
    """So many streams against a server with this truth.

    Attributes:
        spread: one process of the load is not expected to do; nobody is pinned, all share the machine.
        hopeless: no machine of two cores can; the client has to say so.
    """

    streams: int
    gap_us: int
    seconds: float
    first_us: int = FIRST_US
    tokens: int = TOKENS
    spread: bool = False
    hopeless: bool = False

    @property
    def ideal_tokens_per_second(self) -> float:
        """Of a client that sends the next request at the moment that it has the last token."""
        return self.streams * self.tokens * 1e6 / (self.first_us + (self.tokens - 1) * self.gap_us)


@dataclass(frozen=True)
class Target:
    """One figure beside its limit."""

    name: str
    value: float
    limit: str
    met: bool


def cases(streams: Sequence[int], large: int, seconds: float) -> list[Case]:
    """The small ones at 10 ms gaps, and the large one at 100 ms and at 10 ms."""
    made = [Case(streams=count, gap_us=10_000, seconds=seconds) for count in streams]
    if large:
        made.append(Case(streams=large, gap_us=100_000, seconds=max(seconds, 12.0), spread=True))
        made.append(Case(streams=large, gap_us=10_000, seconds=seconds, spread=True, hopeless=True))
    return made


def judge(case: Case, found: dict[str, Any]) -> list[Target]:
    """The targets of a case; one that failed misses its only one."""
    if "failed" in found:
        return [Target("ran", 0.0, str(found["failed"]), False)]
    if case.hopeless:
        marked = bool(found["client_bound"])
        return [Target("client-bound is said", float(marked), "yes", marked)]
    if case.spread:
        off = abs(found["rate_share"] - 1)
        return [Target("rate off the ideal, %", 100 * off, "<= 5", off <= 0.05)]
    error, limit = found["error"], 0.5 if case.streams <= 64 else 2.0
    made = [
        Target("TTFT error mean, ms", error["ttft_mean"], f"<= {limit:g}", error["ttft_mean"] <= limit),
        Target("TTFT error p99, ms", error["ttft_p99"], f"<= {limit:g}", error["ttft_p99"] <= limit),
    ]
    if case.streams > 64:
        share, cost = found["rate_share"], found["us_per_token"]
        made.append(Target("of the ideal rate, %", 100 * share, ">= 99", share >= 0.99))
        made.append(Target("client CPU a token, us", cost, "<= 20", cost <= 20))
    return made
