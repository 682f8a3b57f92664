"""What one round of load gave: counts, histograms and how much to trust them; JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tuner.trial.histogram import Histogram

HISTOGRAMS = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")


@dataclass(frozen=True, slots=True)
class Trust:
    """How much a measurement can be believed.

    Attributes:
        client_bound: the client's own lag may have shaped the figures; never prunes or wins.
        invalid: achieved concurrency or rate more than 5 % off; never prunes or wins.
        dirty: something else used the machine; counts, and is marked.
        steady: no trend between the window's parts beyond their scatter.
        over_saturated: the queue grew through the round.
        token_source: "usage" (the server's count) or "chunks".
        client_lag_p99_ms: delay of the client's event loop.
        client_cpu_share: of one core.
        achieved: mean requests in flight (closed loop) or requests per second (open loop).
        asked: what the load point asked for, in the same unit.
        foreign_cpu_cores: cores used by processes that are neither the client nor the engine.
        steal_share: CPU time stolen by the hypervisor, share of all cores.
        waves: mean number of requests each stream finished in the window (closed loop); 0 for open loop.
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
    achieved: float = 0.0
    asked: float = 0.0
    foreign_cpu_cores: float = 0.0
    steal_share: float = 0.0
    waves: float = 0.0
    reasons: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the measurement may prune a trial or make it win."""
        return not (self.client_bound or self.invalid)


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
        parts: output tokens per second in each of equal parts of the window (for batch means).
        engine: the engine's own metrics in the window; absent means missing, never 0.
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
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> PointResult:
        """What `to_json` wrote."""
        trust = dict(stored["trust"])
        trust["reasons"] = tuple(trust["reasons"])
        fields = {k: v for k, v in stored.items() if k not in ("histograms", "parts", "trust")}
        return cls(
            **fields,
            histograms={name: Histogram.from_json(h) for name, h in stored["histograms"].items()},
            parts=tuple(stored["parts"]),
            trust=Trust(**trust),
        )


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One pass over all load points.

    Attributes:
        number: 1-based within the deployment.
        started: Unix time of its first request.
        seconds: wall time of the whole round, ramps and drains included.
    """

    number: int
    started: float
    seconds: float
    points: tuple[PointResult, ...]

    @property
    def usable(self) -> bool:
        """Whether every point of it may prune a trial or make it win."""
        return all(p.trust.usable for p in self.points)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back without loss."""
        return {
            "number": self.number,
            "started": self.started,
            "seconds": self.seconds,
            "points": [p.to_json() for p in self.points],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RoundResult:
        """What `to_json` wrote."""
        points = tuple(PointResult.from_json(p) for p in stored["points"])
        return cls(stored["number"], stored["started"], stored["seconds"], points)
