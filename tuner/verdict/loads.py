"""What becomes of a winner at other loads than the one it was chosen at: no winner there without a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuner.verdict.gain import Gain
from tuner.verdict.sentences import gain_text, misses


@dataclass(frozen=True, slots=True)
class OtherLoad:
    """The winner beside the baseline at one multiple of the load.

    Attributes:
        gain: of the winner over the baseline there; None where no block measured both.
        missed: the limits that the winner misses there and the baseline keeps -> by what share.
        failed: why a deployment of the winner did not get through it, where the baseline's did; else "".
    """

    load: float
    gain: Gain | None = None
    missed: dict[str, float] = field(default_factory=dict)
    failed: str = ""

    @property
    def collapses(self) -> bool:
        """Whether the winner is none there: it fails, misses a limit that the baseline keeps, or is worse."""
        return bool(self.failed or self.missed or (self.gain is not None and self.gain.high < 0))

    def __str__(self) -> str:
        """'at 1.25 times the load -12.0 % (95 % interval ...), misses ttft_p95_ms by 20.0 %'."""
        said = [gain_text(self.gain)] if self.gain is not None else []
        if self.missed:
            said.append(f"misses {misses(self.missed)}, which the baseline keeps")
        if self.failed:
            said.append(f"fails ({self.failed})")
        return f"at {self.load:g} times the load {', '.join(said) or 'not measured'}"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "load": self.load,
            "gain": self.gain.to_json() if self.gain else None,
            "missed": self.missed,
            "failed": self.failed,
            "collapses": self.collapses,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> OtherLoad:
        """What `to_json` wrote."""
        gain = Gain.from_json(stored["gain"]) if stored["gain"] else None
        return cls(stored["load"], gain, dict(stored["missed"]), stored["failed"])
