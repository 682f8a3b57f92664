"""What a round of a search over rates gave: its probes, and the answer so far; JSON and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class ProbeRecord:
    """One probe, a window at one rate.

    Attributes:
        rate: requests per second, as asked for.
        late: SLO -> share of the requests (of an itl: of the gaps) that were beyond its limit.
        requests: that it was judged on.
        seconds: that it took, ramp and drain included.
        over_saturated: the queue grew, or the probe was ended early because it did: kept up for long, every
            request would be late.
        ended_early: its window was cut short.
        unusable: why it says nothing about the engine, one line; "" where it counts.
    """

    rate: float
    late: dict[str, float]
    requests: int
    seconds: float
    over_saturated: bool = False
    ended_early: bool = False
    unusable: str = ""


@dataclass(frozen=True, slots=True)
class RateRound:
    """A block of probes, and what all probes of the deployment say after it.

    Attributes:
        probes: of this round.
        range_low, range_high: the rates that were searched, requests per second.
        allowed: SLO -> the share that may be late.
        rate: the best estimate of the highest rate under the SLOs, requests per second; NaN where no probe
            met them.
        low, high: its 95 % interval; 0 or infinite where no end is known.
        binding: the SLO that is missed first; "" before one is.
        cliff: 5 % more load makes half of the requests late.
        usable: probes that count, of all rounds so far.
        made: all of them.
        cut: why the block ended before its last probe, one line; "" where it did not.
    """

    probes: tuple[ProbeRecord, ...]
    range_low: float
    range_high: float
    allowed: dict[str, float]
    rate: float
    low: float
    high: float
    binding: str = ""
    cliff: bool = False
    usable: int = 0
    made: int = 0
    cut: str = ""

    @property
    def none_met(self) -> bool:
        """Whether every probe that counts missed an SLO."""
        return math.isnan(self.rate)

    @property
    def unusable(self) -> tuple[str, ...]:
        """Why none of this round's probes counts, a line for each reason; () where one does."""
        if any(not p.unusable for p in self.probes):
            return ()
        return tuple(dict.fromkeys([*(p.unusable for p in self.probes), *([self.cut] if self.cut else [])]))

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back without loss, NaN and infinities as written in it."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RateRound:
        """What `to_json` wrote, as it is or as plain JSON; what a later version added is left out."""
        known = _known(cls, stored)
        for name in ("rate", "low", "high"):
            known[name] = math.nan if known[name] is None else float(known[name])
        probes = tuple(ProbeRecord(**_known(ProbeRecord, probe)) for probe in stored["probes"])
        return cls(**{**known, "probes": probes})


def _known(kind: type[ProbeRecord] | type[RateRound], stored: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}
