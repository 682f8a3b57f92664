"""Judges how far a window's figures can be believed. Pure.

Every threshold is a constant here, with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.load.host_usage import HostUsage
from tuner.load.window import Account
from tuner.spec.level import Level
from tuner.trial.batch_means import hang_together, lag1
from tuner.trial.rounds import FEWEST_WAVES, Trust
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
# A share of the prompt tokens. Caches count in blocks, and a first word or two may be alike by chance;
# beyond that a hit means that the engine has met these prompts before.
CONTAMINATION_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """What a load point asked for: `concurrency` (closed loop) or `request_rate` (open).

    Attributes:
        ramp_to: what that goes to over the window; None where it stays.
    """

    concurrency: int | None
    request_rate: float | None
    ramp_to: float | None = None

    @property
    def level(self) -> Level:
        """The same as a height over the window."""
        start = self.request_rate if self.concurrency is None else float(self.concurrency)
        assert start is not None
        return Level(start, start if self.ramp_to is None else self.ramp_to)


def judge(
    made: Account,
    asked: Asked,
    host: HostUsage,
    *,
    lag_ms: Sequence[float],
    window_seconds: float,
    paused_streams: float,
    engine: Mapping[str, float] | None = None,
    implied_hit_rate: float = 0.0,
    round_trip_ms: float | None = None,
    notes: Sequence[str] = (),
) -> Trust:
    """The trust record of one window.

    A load that ramps is not steady, and its parts hang together, because it was asked to: neither is judged.
    Its queue grows with it; it is over-saturated where that grows beyond what the level explains. Its client
    is judged at the ramp's highest point, as if it had used its processor time in proportion to the level.

    Args:
        lag_ms: delays of the event loop, sampled evenly through the window.
        paused_streams: streams that stood idle after failures, mean over the window. Their idleness is the
            server's doing and does not make the window invalid.
        engine: the engine's own metrics in the window.
        implied_hit_rate: share of prompt tokens that the workload lets a prefix cache answer, the tokens
            that a chat template puts before every prompt among them.
        round_trip_ms: of the network; None where it was not measured.
        notes: lines to add to the reasons.
    """
    lag, level = _p99(lag_ms), asked.level
    cpu_share = host.client_cpu_share * level.peak / level.mean
    client_bound = lag > CLIENT_LAG_P99_LIMIT_MS or cpu_share > CLIENT_CPU_SHARE_LIMIT
    load = _load(made, asked, window_seconds, paused_streams)
    offered = engine or {}
    hit_rate = offered.get("prefix_cache_hit_rate")
    contaminated = is_contaminated(hit_rate, implied_hit_rate)
    dirty = _dirty_reason(host)
    correlation = None if level.ramps else lag1(made.parts)
    steady = level.ramps or is_steady(made.parts)
    over_saturated = asked.request_rate is not None and queue_grows(
        made.in_flight, made.scheduled + made.following, level
    )
    told = {
        f"client-bound: loop lag p99 {lag:.0f} ms (limit {CLIENT_LAG_P99_LIMIT_MS:.0f}), "
        f"{cpu_share:.2f} of a core (limit {CLIENT_CPU_SHARE_LIMIT})": client_bound,
        f"invalid: {load.achieved:.4g} achieved, {load.asked:.4g} asked for (limit 5 % off)": load.invalid,
        f"contaminated: the prefix cache answered {hit_rate or 0:.0%} of the prompts, "
        f"the workload implies {implied_hit_rate:.0%}": contaminated,
        dirty: bool(dirty),
        f"a ramp from {level}, not judged for steadiness: tokens/s by part {_brief(made.parts)}": level.ramps,
        f"not steady: tokens/s by part {_brief(made.parts)}": not steady,
        f"over-saturated: in flight by part {_brief(made.in_flight)}": over_saturated,
        f"spans {load.waves:.1f} waves of the closed loop; at least {FEWEST_WAVES} would be right": (
            asked.concurrency is not None and load.waves < FEWEST_WAVES
        ),
        f"parts hang together (lag-1 correlation {correlation or 0:.2f}): its interval is widened": (
            hang_together(correlation, len(made.parts))
        ),
        f"{offered.get('scrapes_missed', 0):.0f} scrapes of the engine's metrics failed or were too slow": (
            bool(offered.get("scrapes_missed"))
        ),
    }
    return Trust(
        client_bound=client_bound,
        invalid=load.invalid,
        dirty=bool(dirty),
        steady=steady,
        over_saturated=over_saturated,
        token_source=made.token_source,
        client_lag_p99_ms=lag,
        client_cpu_share=host.client_cpu_share,
        client_cpu_cores=host.client_cpu_cores,
        achieved=load.achieved,
        asked=load.asked,
        foreign_cpu_cores=host.foreign_cpu_cores,
        steal_share=host.steal_share,
        waves=load.waves,
        contaminated=contaminated,
        implied_hit_rate=implied_hit_rate,
        lag1=correlation,
        round_trip_ms=round_trip_ms,
        reasons=(*(line for line, is_so in told.items() if is_so), *_content_reasons(made), *notes),
    )


@dataclass(frozen=True, slots=True)
class _Load:
    achieved: float
    asked: float
    waves: float
    invalid: bool


def _load(made: Account, asked: Asked, window_seconds: float, paused_streams: float) -> _Load:
    """How near the load came to what was asked for."""
    wanted = asked.level.mean
    if asked.concurrency is not None:
        off = abs(made.mean_in_flight + paused_streams - wanted) / wanted
        return _Load(made.mean_in_flight, wanted, made.requests / wanted, off > ACHIEVED_TOLERANCE)
    # Against the schedule, not the rate: a short Poisson window holds more or fewer by nature.
    off = abs(made.sent - made.scheduled) / made.scheduled if made.scheduled else 0.0
    return _Load(made.sent / window_seconds, wanted, 0.0, off > ACHIEVED_TOLERANCE)


def is_contaminated(hit_rate: float | None, implied: float) -> bool:
    """Whether the engine's prefix cache knew more of the prompts than the workload says it can.

    Every trial and every round has prompts of its own, so hits beyond `implied` come from prompts that were
    sent before: by a run with the same names, by another client of the same engine, or by a proxy that
    answers out of memory. Such a round skips a part of the prefill that every other trial pays for. How
    large a part shows, but not what it was worth, so there is nothing to correct it with: a contaminated
    round is never compared, whichever way it would decide. An engine that does not tell its hit rate cannot
    be judged, and is not.
    """
    return hit_rate is not None and hit_rate > implied + CONTAMINATION_TOLERANCE


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


def queue_grows(in_flight: Sequence[float], arrivals: int, level: Level | None = None) -> bool:
    """Whether requests pile up: the last third of the window holds more in flight than the first explains.

    As many as the first third are explained; on a ramp as many times more as the level is higher (Little's
    law: requests that take as long as before are in flight in proportion to their rate). Beyond that counts
    what is more than QUEUE_GROWTH_LIMIT of what arrived between the two, and than the scatter of a steady
    queue (of Poisson size: twice the root of its mean, or on a ramp of the difference's variance).

    Args:
        level: the rate over the window; None where it stays.
    """
    third = max(1, len(in_flight) // 3)
    if len(in_flight) < 2 * third or not arrivals:
        return False
    first, last = math.fsum(in_flight[:third]) / third, math.fsum(in_flight[-third:]) / third
    between = arrivals * (len(in_flight) - third) / len(in_flight)  # on a ramp too: its middle has its mean
    if level is None or not level.ramps:
        scatter, times = math.sqrt(math.fsum(in_flight) / len(in_flight)), 1.0
    else:
        rates = level.by_part(len(in_flight))
        times = math.fsum(rates[-third:]) / math.fsum(rates[:third])
        scatter = math.sqrt(last + times**2 * first)
    return last - times * first > max(QUEUE_GROWTH_LIMIT * between, 2 * scatter, 1.0)


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
