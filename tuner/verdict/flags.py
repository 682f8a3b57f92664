"""The flags of a winner: what each is worth over the baseline's value, and which may go back to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tuner.trial.ports import ParamValue
from tuner.verdict.gain import Gain
from tuner.verdict.sentences import share

Change = tuple[str, ParamValue | None, ParamValue | None]  # parameter, the baseline's value, the winner's


class Source(StrEnum):
    """What a flag's worth was told by."""

    MODEL = "model"  # the search's trials, all of them together; not validated
    BLOCKS = "blocks"  # paired deployments of the validation


@dataclass(frozen=True, slots=True)
class FlagWorth:
    """Of one parameter of the winner, or of some together.

    Attributes:
        changes: what is worth it; None stands for a value that is left to the engine.
        gain: of the winner's values over the baseline's, all else as the winner has it; a 95 % interval.
        back: they went back to the baseline's values: the gain is what that gave away.
    """

    changes: tuple[Change, ...]
    gain: Gain
    source: Source
    back: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters."""
        return tuple(name for name, _, _ in self.changes)

    @property
    def matters(self) -> bool:
        """Whether its interval excludes 0."""
        return self.gain.low > 0 or self.gain.high < 0

    def __str__(self) -> str:
        """'batch 64 instead of 32: +12.3 % (+8.0 % to +17.1 %)'."""
        changed = ", ".join(
            f"{name} {_shown(new)} instead of {_shown(old)}" for name, old, new in self.changes
        )
        return f"{changed}: {share(self.gain.share)} ({share(self.gain.low)} to {share(self.gain.high)})"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "changes": [
                {"parameter": name, "baseline": old, "winner": new} for name, old, new in self.changes
            ],
            "gain": self.gain.to_json(),
            "source": str(self.source),
            "back": self.back,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FlagWorth:
        """What `to_json` wrote."""
        changes = tuple((one["parameter"], one["baseline"], one["winner"]) for one in stored["changes"])
        return cls(changes, Gain.from_json(stored["gain"]), Source(stored["source"]), stored["back"])


@dataclass(frozen=True, slots=True)
class Simplified:
    """What became of the way back of some flags.

    Attributes:
        trial: with these flags at the baseline's values.
        winner: the trial that it was held against.
        back: the parameters.
        loss: of the trial against the winner, as a share of the winner's value; NaN where not measured.
        most: its one-sided 95 % bound.
        given_up: the same as the winner's gain over the trial, with an interval of 95 %; None as above.
        margin: what it may lose.
        taken: whether the trial took the winner's place.
        why_not: one line where it did not; else "".
    """

    trial: int
    winner: int
    back: tuple[str, ...]
    loss: float
    most: float
    margin: float
    taken: bool
    why_not: str = ""
    given_up: Gain | None = None

    def told(self) -> str:
        """In a sentence."""
        lost = f"it loses {self.loss * 100:.1f} %, at most {self.most * 100:.1f} % (one-sided 95 % bound)"
        if self.taken:
            return (
                f"Trial {self.trial} is trial {self.winner} with {_listed(self.back)} back at the "
                f"baseline's; {lost}, within the margin of {self.margin * 100:g} %."
            )
        measured = "" if math.isnan(self.most) else f" ({lost})"
        return (
            f"Trial {self.trial}, which has {_listed(self.back)} back at the baseline's, does not take the "
            f"place of trial {self.winner}: {self.why_not}{measured}."
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back; what cannot be told is null."""
        found = {name: getattr(self, name) for name in self.__slots__}
        for name in ("loss", "most"):
            found[name] = None if math.isnan(found[name]) else found[name]
        gain = self.given_up.to_json() if self.given_up else None
        return {**found, "back": list(self.back), "given_up": gain}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Simplified:
        """What `to_json` wrote."""
        told = {name: math.nan if stored[name] is None else stored[name] for name in ("loss", "most")}
        gain = Gain.from_json(stored["given_up"]) if stored["given_up"] else None
        return cls(**{**stored, **told, "back": tuple(stored["back"]), "given_up": gain})


def flags_told(flags: Sequence[FlagWorth]) -> list[str]:
    """What the model says of the flags that are kept, those worth the most first; none without any."""
    kept = sorted((f for f in flags if f.source is Source.MODEL), key=lambda f: -f.gain.share)
    matter, rest = [f for f in kept if f.matters], [f for f in kept if not f.matters]
    said = []
    if matter:
        told = "; ".join(map(str, matter))
        said.append(f"What matters, by the model of the search's trials (95 % interval): {told}.")
    if rest:
        told = "; ".join(map(str, rest))
        said.append(f"Not told apart from the baseline's value by that model: {told}.")
    return said


def _shown(value: ParamValue | None) -> str:
    return "the engine's default" if value is None else " ".join(str(value).split())


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
