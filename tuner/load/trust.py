"""Judges how far a window's figures can be believed. Pure.

Every threshold is a constant here, with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.load.host_usage import HostUsage
from tuner.load.window import Account
from tuner.trial.rounds import Trust
from tuner.trial.student_t import t_975

# A late loop reads late, so every latency has up to this much of the client in it. 20 ms is a tenth of a
# tight TTFT limit; an idle loop shows 1 ms.
CLIENT_LAG_P99_LIMIT_MS = 20.0
# Above half of a core queueing in the client itself shows in the tails, well before the core is full.
CLIENT_CPU_SHARE_LIMIT = 0.5
# Load that is not what was asked for measures something else.
ACHIEVED_TOLERANCE = 0.05
# A spinning engine with a neighbour on its core loses up to nine tenths of its speed. A quarter of a core
# is beyond what an idle system, Ray's daemons among it, uses.
FOREIGN_CPU_LIMIT_CORES = 0.25
STEAL_SHARE_LIMIT = 0.05
THROTTLED_SHARE_LIMIT = 0.05
# A trend must be both surer than 95 % and more than a tenth of the mean: a long window finds any trend.
DRIFT_LIMIT = 0.10
# In-flight growth that a steady queue does not show: this share of the arrivals.
QUEUE_GROWTH_LIMIT = 0.10
# Lengths that miss the scenario by more are told.
LENGTH_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """What a load point asked for: `concurrency` (closed loop) or `request_rate` (open)."""

    concurrency: int | None
    request_rate: float | None


def judge(
    made: Account,
    asked: Asked,
    host: HostUsage,
    *,
    lag_ms: Sequence[float],
    window_seconds: float,
    paused_streams: float,
    notes: Sequence[str] = (),
) -> Trust:
    """The trust record of one window.

    Args:
        lag_ms: delays of the event loop, sampled evenly through the window.
        paused_streams: streams that stood idle after failures, mean over the window. Their idleness is the
            server's doing and does not make the window invalid.
        notes: lines to add to the reasons.
    """
    reasons: list[str] = []
    lag = _p99(lag_ms)
    client_bound = lag > CLIENT_LAG_P99_LIMIT_MS or host.client_cpu_share > CLIENT_CPU_SHARE_LIMIT
    if client_bound:
        reasons.append(
            f"client-bound: loop lag p99 {lag:.0f} ms (limit {CLIENT_LAG_P99_LIMIT_MS:.0f}), "
            f"{host.client_cpu_share:.2f} of a core (limit {CLIENT_CPU_SHARE_LIMIT})"
        )
    if asked.concurrency is not None:
        achieved, wanted, waves = (
            made.mean_in_flight,
            float(asked.concurrency),
            made.requests / asked.concurrency,
        )
        off = abs(achieved + paused_streams - wanted) / wanted
    else:
        assert asked.request_rate is not None
        achieved, wanted, waves = made.sent / window_seconds, asked.request_rate, 0.0
        # Against the schedule, not the rate: a short Poisson window holds more or fewer by nature.
        off = abs(made.sent - made.scheduled) / made.scheduled if made.scheduled else 0.0
    invalid = off > ACHIEVED_TOLERANCE
    if invalid:
        reasons.append(f"invalid: {achieved:.4g} achieved, {wanted:.4g} asked for (limit 5 % off)")
    dirty = _dirty_reason(host)
    steady = is_steady(made.parts)
    over_saturated = asked.request_rate is not None and queue_grows(made.in_flight, made.scheduled)
    reasons += [dirty] if dirty else []
    reasons += [] if steady else [f"not steady: tokens/s by part {_brief(made.parts)}"]
    reasons += [f"over-saturated: in flight by part {_brief(made.in_flight)}"] if over_saturated else []
    reasons += _content_reasons(made)
    return Trust(
        client_bound=client_bound,
        invalid=invalid,
        dirty=bool(dirty),
        steady=steady,
        over_saturated=over_saturated,
        token_source=made.token_source,
        client_lag_p99_ms=lag,
        client_cpu_share=host.client_cpu_share,
        achieved=achieved,
        asked=wanted,
        foreign_cpu_cores=host.foreign_cpu_cores,
        steal_share=host.steal_share,
        waves=waves,
        reasons=(*reasons, *notes),
    )


def is_steady(parts: Sequence[float]) -> bool:
    """Whether a straight line through the parts has no slope beyond their scatter (t test, 95 %)."""
    n = len(parts)
    if n < 3:
        return True
    mean_x, mean_y = (n - 1) / 2, math.fsum(parts) / n
    spread_x = math.fsum((k - mean_x) ** 2 for k in range(n))
    slope = math.fsum((k - mean_x) * (y - mean_y) for k, y in enumerate(parts)) / spread_x
    if abs(slope) * (n - 1) <= DRIFT_LIMIT * abs(mean_y):
        return True
    rest = math.fsum((y - mean_y - slope * (k - mean_x)) ** 2 for k, y in enumerate(parts))
    error = math.sqrt(rest / (n - 2) / spread_x)
    quantile = t_975(n - 2)
    return abs(slope) <= quantile * error


def queue_grows(in_flight: Sequence[float], arrivals: int) -> bool:
    """Whether requests pile up: the last third of the window holds more in flight than the first.

    By more than QUEUE_GROWTH_LIMIT of what arrived between the two, and than the scatter of a steady queue
    (of Poisson size: twice the root of its mean).
    """
    third = max(1, len(in_flight) // 3)
    if len(in_flight) < 2 * third or not arrivals:
        return False
    first, last = math.fsum(in_flight[:third]) / third, math.fsum(in_flight[-third:]) / third
    between = arrivals * (len(in_flight) - third) / len(in_flight)
    mean = math.fsum(in_flight) / len(in_flight)
    return last - first > max(QUEUE_GROWTH_LIMIT * between, 2 * math.sqrt(mean), 1.0)


def _dirty_reason(host: HostUsage) -> str:
    marks = []
    if host.foreign_cpu_cores > FOREIGN_CPU_LIMIT_CORES:
        marks.append(f"others used {host.foreign_cpu_cores:.2f} cores (limit {FOREIGN_CPU_LIMIT_CORES})")
    if host.steal_share > STEAL_SHARE_LIMIT:
        marks.append(f"{host.steal_share:.0%} stolen by the hypervisor (limit {STEAL_SHARE_LIMIT:.0%})")
    if host.throttled_share > THROTTLED_SHARE_LIMIT:
        marks.append(f"throttled for {host.throttled_share:.0%} (limit {THROTTLED_SHARE_LIMIT:.0%})")
    return "dirty: " + ", ".join(marks) if marks else ""


def _content_reasons(made: Account) -> list[str]:
    reasons = [
        f"{count} requests failed, {kind}: {made.details.get(kind, '')}".rstrip(": ")
        for kind, count in sorted(made.errors.items())
    ]
    if made.bounded_ttft:
        reasons.append(f"{made.bounded_ttft} TTFTs are lower bounds: no token before the drain ended")
    if made.token_source == "chunks":
        reasons.append("the server sends no usage: chunks are counted as tokens")
    if made.given_output < (1 - LENGTH_TOLERANCE) * made.asked_output:
        share = made.given_output / made.asked_output
        reasons.append(f"answers end early: {share:.0%} of the output asked for")
    return reasons


def _brief(values: Sequence[float]) -> str:
    shown = list(values) if len(values) <= 8 else [*values[:4], *values[-4:]]
    return " ".join(f"{v:.3g}" for v in shown)


def _p99(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[max(0, math.ceil(0.99 * len(ranked)) - 1)]
