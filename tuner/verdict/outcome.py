"""What a run concludes: one of five outcomes, or that nothing was validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tuner.verdict.flags import FlagWorth, Simplified
from tuner.verdict.gain import Gain
from tuner.verdict.loads import OtherLoad
from tuner.verdict.objectives import ObjectiveGain


class Outcome(StrEnum):
    """The conclusion."""

    BETTER = "better"  # the winner beats the baseline, and the other candidates
    BETTER_TIED = "better_tied"  # several do and are not told apart: the winner is the nearest one
    NO_BETTER = "no_better"  # keep the baseline
    ONLY_WINNER_FEASIBLE = "only_winner_feasible"  # the baseline misses a limit, the winner does not
    NOTHING_FEASIBLE = "nothing_feasible"  # nothing is recommended
    UNVALIDATED = "unvalidated"  # interrupted, switched off or too few blocks: no gain is claimed


@dataclass(frozen=True, slots=True)
class Nearest:
    """The configuration that came nearest to being feasible.

    Attributes:
        violations: the limits it misses: metric -> by what share of the limit.
    """

    trial: int
    violations: dict[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion with what it rests on.

    Attributes:
        baseline: the trial number of the baseline.
        winner: the trial that is recommended: the baseline itself for NO_BETTER, None for
            NOTHING_FEASIBLE. For UNVALIDATED the best of the search so far, which is no recommendation.
        gain: of `gain_of` over the baseline; None where there is no paired block.
        gain_of: the trial that the gain belongs to: the winner, or for NO_BETTER the candidate that was
            not shown to be better.
        tied: the candidates that are not told apart, the winner among them; empty when there are none.
        nearest: for NOTHING_FEASIBLE, where anything was measured.
        blocks: the numbers of the blocks that the gain rests on.
        objectives: where there are several, each with its gain; `gain` is then that of their balance.
        simplified: what became of the winner's flags that may go back; None where nothing was tried.
        loads: the winner beside the baseline at other loads, where those were measured.
        flags: what each flag of the winner is worth; empty where there is no winner but the baseline, or the
            search measured too little to say.
        out: candidates that the validation found failing, beyond a limit, or could not measure.
        headline: one sentence for a person.
        details: further sentences, the weightiest first.
    """

    outcome: Outcome
    baseline: int
    winner: int | None
    headline: str
    details: tuple[str, ...] = ()
    gain: Gain | None = None
    gain_of: int | None = None
    tied: tuple[int, ...] = ()
    nearest: Nearest | None = None
    blocks: tuple[int, ...] = ()
    objectives: tuple[ObjectiveGain, ...] = ()
    out: tuple[int, ...] = ()
    simplified: Simplified | None = None
    flags: tuple[FlagWorth, ...] = ()
    loads: tuple[OtherLoad, ...] = ()

    @property
    def exit_code(self) -> int:
        """Of the process: 3 when nothing is feasible, else 0."""
        return 3 if self.outcome is Outcome.NOTHING_FEASIBLE else 0

    @property
    def recommends(self) -> bool:
        """Whether the winner is a configuration to be put into service on this evidence."""
        return self.winner is not None and self.outcome is not Outcome.UNVALIDATED

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        nearest = self.nearest
        return {
            "outcome": str(self.outcome),
            "headline": self.headline,
            "details": list(self.details),
            "baseline": self.baseline,
            "winner": self.winner,
            "gain": self.gain.to_json() if self.gain else None,
            "gain_of": self.gain_of,
            "tied": list(self.tied),
            "nearest": {"trial": nearest.trial, "violations": nearest.violations} if nearest else None,
            "blocks": list(self.blocks),
            "objectives": [one.to_json() for one in self.objectives],
            "out": list(self.out),
            "simplified": self.simplified.to_json() if self.simplified else None,
            "flags": [one.to_json() for one in self.flags],
            "loads": [one.to_json() for one in self.loads],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Verdict:
        """What `to_json` wrote, in this version or an earlier one."""
        nearest = stored["nearest"]
        return cls(
            outcome=Outcome(stored["outcome"]),
            baseline=stored["baseline"],
            winner=stored["winner"],
            headline=stored["headline"],
            details=tuple(stored["details"]),
            gain=Gain.from_json(stored["gain"]) if stored["gain"] else None,
            gain_of=stored["gain_of"],
            tied=tuple(stored["tied"]),
            nearest=Nearest(nearest["trial"], dict(nearest["violations"])) if nearest else None,
            blocks=tuple(stored["blocks"]),
            objectives=tuple(map(ObjectiveGain.from_json, stored.get("objectives", ()))),
            out=tuple(stored.get("out", ())),
            simplified=Simplified.from_json(stored["simplified"]) if stored.get("simplified") else None,
            flags=tuple(map(FlagWorth.from_json, stored.get("flags", ()))),
            loads=tuple(map(OtherLoad.from_json, stored.get("loads", ()))),
        )
