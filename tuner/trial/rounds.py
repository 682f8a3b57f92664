"""What one round of load gave: counts, histograms and how much to trust them; JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from tuner.trial.histogram import Histogram
from tuner.trial.rate_rounds import RateRound

FEWEST_WAVES = 3  # of a closed loop in a window; with fewer the window's place in them shows
HISTOGRAMS = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")


@dataclass(frozen=True, slots=True)
class Trust:
    """How much a measurement can be believed.

    Attributes:
        client_bound: the client's own lag may have shaped the figures; never prunes or wins.
        invalid: achieved concurrency or rate more than 5 % off; never prunes or wins.
        dirty: something else used the machine; counts, and is marked.
        steady: no trend between the window's parts beyond their scatter; also where the load itself ramps.
        over_saturated: the queue grew through the round, by more than the load where that ramps.
        token_source: "usage" (the server's count) or "chunks".
        client_lag_p99_ms: delay of the client's event loop.
        client_cpu_share: of one core; where several processes make the load, that of the busiest.
        client_cpu_cores: of all of them together.
        achieved: mean requests in flight (closed loop) or requests per second (open loop).
        asked: what the load point asked for, in the same unit; of a ramp its mean.
        foreign_cpu_cores: cores used by processes that are neither the client nor the engine.
        steal_share: CPU time stolen by the hypervisor, share of all cores.
        waves: mean number of requests each stream finished in the window (closed loop); 0 for open loop.
        contaminated: the engine's prefix cache answered more of the prompts than the workload implies, so it
            knew them from before: a round of another deployment, or of another client. Its figures are too
            good by an amount that nobody knows, and would be no other trial's: never prunes or wins.
        implied_hit_rate: the share of prompt tokens that the workload itself lets a prefix cache answer.
        lag1: correlation of each part of the window with the one before it; None where the window has too
            few parts, or they do not differ, or the load ramps.
        round_trip_ms: of the network between client and engine; None where it was not measured.
        reasons: one short line for each mark that is set.
    """

    client_bound: bool = False
    invalid: bool = False
    dirty: bool = False
    steady: bool = True
    over_saturated: bool = False
    token_source: str = "usage"
    client_lag_p99_ms: float = 0.0
    client_cpu_share: float = 0.0
    client_cpu_cores: float = 0.0
    achieved: float = 0.0
    asked: float = 0.0
    foreign_cpu_cores: float = 0.0
    steal_share: float = 0.0
    waves: float = 0.0
    contaminated: bool = False
    implied_hit_rate: float = 0.0
    lag1: float | None = None
    round_trip_ms: float | None = None
    reasons: tuple[str, ...] = ()

    @property
    def few_waves(self) -> bool:
        """Whether the window spans fewer waves of the closed loop than it should; counts, and is told."""
        return 0 < self.waves < FEWEST_WAVES

    @property
    def usable(self) -> bool:
        """Whether the measurement may prune a trial or make it win."""
        return not self.unusable

    @property
    def unusable(self) -> tuple[str, ...]:
        """Why it may not, a word for each reason; () where it may."""
        marks = {
            "client-bound": self.client_bound,
            "invalid": self.invalid,
            "contaminated": self.contaminated,
        }
        return tuple(word for word, is_set in marks.items() if is_set)


@dataclass(frozen=True, slots=True)
class PointResult:
    """One load point in one round; everything in it belongs to the same window.

    Attributes:
        window_seconds: length of the window, warm-up and drain outside it.
        requests: completed with success inside the window.
        output_tokens: delivered inside the window.
        input_tokens: of the requests that completed inside the window.
        errors: failed inside the window, by class (refused, timeout, http_429, cut, malformed, ...).
        cut: still in flight when the window ended; their tokens inside the window count.
        histograms: one per name in HISTOGRAMS.
        parts: output tokens per second in each of equal parts of the window (for batch means); () where the
            load ramps.
        engine: the engine's own metrics in the window (see tuner.load.engine_metrics.summary); absent means
            missing, never 0.
        good: requests that ended inside the window within every limit of `goodput`; None where no limits
            are set.
        late: in flight when the window ended, and beyond one of those limits by then.
        accelerators: that the deployment holds; the load does not know it and says 0.
        price_per_hour: of the whole deployment; None where the experiment names no price.
    """

    point: str
    window_seconds: float
    requests: int
    output_tokens: int
    input_tokens: int
    errors: dict[str, int]
    cut: int
    histograms: dict[str, Histogram]
    parts: tuple[float, ...] = ()
    engine: dict[str, float] = field(default_factory=dict)
    trust: Trust = Trust()
    good: int | None = None
    late: int = 0
    accelerators: int = 0
    price_per_hour: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back without loss."""
        return {
            "point": self.point,
            "window_seconds": self.window_seconds,
            "requests": self.requests,
            "output_tokens": self.output_tokens,
            "input_tokens": self.input_tokens,
            "errors": self.errors,
            "cut": self.cut,
            "histograms": {name: h.to_json() for name, h in self.histograms.items()},
            "parts": list(self.parts),
            "engine": self.engine,
            "trust": {**asdict(self.trust), "reasons": list(self.trust.reasons)},
            "good": self.good,
            "late": self.late,
            "accelerators": self.accelerators,
            "price_per_hour": self.price_per_hour,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> PointResult:
        """What `to_json` wrote, in this version or an earlier one; what a later one added is left out."""
        trust = _known(Trust, stored["trust"])
        trust["reasons"] = tuple(trust.get("reasons", ()))
        rest = _known(cls, stored)
        return cls(
            **{
                **rest,
                "histograms": {name: Histogram.from_json(h) for name, h in stored["histograms"].items()},
                "parts": tuple(stored.get("parts", ())),
                "trust": Trust(**trust),
            }
        )


def _known(kind: type[Trust] | type[PointResult], stored: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One pass over all load points.

    Attributes:
        number: 1-based within the deployment.
        started: Unix time of its first request.
        seconds: wall time of the whole round, ramps and drains included.
        points: where rates are searched, the window at the highest of this round's rates that the limits let
            through, or at its lowest rate; none where every probe was ended early.
        rates: the search over rates; None where the rate, or the concurrency, is given.
        load: the multiple of the workload's load at which it was measured; rounds at another one than 1 are
            no part of a deployment's figures.
        losses: metric -> what the deployment's answers lost (see tuner.trial.judgement); empty where answers
            are not compared.
    """

    number: int
    started: float
    seconds: float
    points: tuple[PointResult, ...]
    rates: RateRound | None = None
    load: float = 1.0
    losses: Mapping[str, float] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether every point of it may prune a trial or make it win."""
        return not self.unusable

    @property
    def unusable(self) -> tuple[str, ...]:
        """Why it may not, a word for each reason; () where it may."""
        if self.rates is not None:
            return self.rates.unusable
        return tuple(dict.fromkeys(word for p in self.points for word in p.trust.unusable))

    def served_on(self, *, accelerators: int, price_per_hour: float | None) -> RoundResult:
        """The same round, with what its deployment holds and costs in each point."""
        points = (replace(p, accelerators=accelerators, price_per_hour=price_per_hour) for p in self.points)
        return replace(self, points=tuple(points))

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back without loss."""
        return {
            "number": self.number,
            "started": self.started,
            "seconds": self.seconds,
            "points": [p.to_json() for p in self.points],
            **({"rates": self.rates.to_json()} if self.rates is not None else {}),
            **({"load": self.load} if self.load != 1 else {}),
            **({"losses": dict(self.losses)} if self.losses else {}),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RoundResult:
        """What `to_json` wrote."""
        points = tuple(PointResult.from_json(p) for p in stored["points"])
        rates = RateRound.from_json(stored["rates"]) if stored.get("rates") else None
        load, losses = stored.get("load", 1.0), stored.get("losses", {})
        return cls(stored["number"], stored["started"], stored["seconds"], points, rates, load, losses)
