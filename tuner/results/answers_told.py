"""What configurations' answers lost against the baseline's, read from a run, in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from tuner.results.figures import figure
from tuner.results.overview import BASELINE, Overview
from tuner.spec.accuracy import ACCURACY_LOSS, SCORE_LOSS
from tuner.trial.judgement import Judgement, prediction_bound
from tuner.trial.ports import Phase


@dataclass(frozen=True)
class AnswersTold:
    """The comparisons of one run."""

    seen: Overview

    @property
    def limits(self) -> dict[str, float]:
        """Metric of a loss -> the most of it; empty where answers are not compared."""
        slos = self.seen.state.slos
        return {m: slos[m] for m in (ACCURACY_LOSS, SCORE_LOSS) if m in slos}

    @cached_property
    def of_combinations(self) -> list[Judgement]:
        """Of each combination of values the first look at it, in the order of the trials."""
        found = [
            Judgement.from_json(line.accuracy)
            for line in self.seen.trials
            if line.accuracy is not None and line.phase is not Phase.VALIDATION
        ]
        first = {tuple(one.values.items()): one for one in reversed(found)}
        return sorted(first.values(), key=lambda one: one.trial)

    @cached_property
    def again(self) -> list[Judgement]:
        """Of the candidates in the validation."""
        found = [
            Judgement.from_json(line.accuracy)
            for line in self.seen.trials
            if line.accuracy is not None and line.phase is Phase.VALIDATION and line.trial != BASELINE
        ]
        return sorted({one.trial: one for one in found}.values(), key=lambda one: one.trial)

    @cached_property
    def own(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What those differ by that should answer alike, nats: (on one deployment, between two)."""
        stored = self.seen.run.answers() or {}
        passes = (stored.get("answers") or {}).get("again", ())
        return tuple(passes), tuple(stored.get("further", ()))

    def lost(self, one: Judgement) -> bool:
        """Whether it lost more than is allowed."""
        return bool(self.limits) and one.beyond(self.limits)

    def to_json(self) -> dict[str, Any] | None:
        """For best.json; null where nothing was compared."""
        passes, further = self.own
        if not self.limits or not (passes or further):
            return None
        combinations, candidates = (
            [{**one.to_json(), "allowed": not self.lost(one)} for one in found]
            for found in (self.of_combinations, self.again)
        )
        return {
            "limits": self.limits,
            "own": {"again": passes, "further": further, "bound": prediction_bound([*passes, *further])},
            "combinations": combinations,
            "candidates": candidates,
        }

    def told(self) -> list[str]:
        """A sentence on the baseline, and one on each combination; [] where nothing was compared."""
        if not self.limits or not any(self.own):
            return []
        return [self._own_told(), *map(self._told, self.of_combinations), *map(self._again, self.again)]

    def losers_told(self) -> list[str]:
        """The sentences on what lost more than is allowed."""
        return [self._told(one) for one in self.of_combinations if self.lost(one)] + [
            self._again(one) for one in self.again if self.lost(one)
        ]

    def _own_told(self) -> str:
        passes, further = self.own
        said = [f"by {nats(fmean(passes))} when it is asked again in other batches"] if passes else []
        if further:
            count = f"{len(further)} further deployment{'s' * (len(further) != 1)}"
            said.append(f"by {nats(fmean(further))} on {count} that should answer alike")
        bound = nats(prediction_bound([*passes, *further]))
        return f"The baseline's answers differ from its own {', '.join(said)}: up to {bound} is no loss."

    def _told(self, one: Judgement) -> str:
        name = " ".join(f"{key}={figure(value)}" for key, value in one.values.items())
        said = f"{name or 'without any of the parameters'} (trial {one.trial}): {self._figures(one)}"
        if one.unexpected:
            said += " These values are the baseline's: name in accuracy.parameters what else changes answers."
        return said

    def _again(self, one: Judgement) -> str:
        return f"Trial {one.trial}, deployed again: {self._figures(one)}"

    def _figures(self, one: Judgement) -> str:
        said = (
            f"log-probabilities change by {nats(one.difference)} in the mean, where up to {nats(one.own)} is "
            f"the baseline's own; {one.first_changed:.0%} of first tokens are others"
        )
        if one.score is not None and one.score_loss is not None:
            word = "less" if one.score_loss > 0 else "more"
            said += f"; score {figure(one.score)}, {abs(one.score_loss):.1%} {word} than the baseline's"
        if not self.lost(one):
            return f"{said}. {'Allowed' if one.accuracy_loss else 'No loss'}."
        most = nats(self.limits[ACCURACY_LOSS])
        if SCORE_LOSS in self.limits:
            most += f" and {self.limits[SCORE_LOSS]:.1%} of the score"
        return f"{said}. That is more than the {most} that may be lost: it cannot win."


def nats(value: float) -> str:
    """'0.031 nats'."""
    return f"{value:.2g} nats" if value else "0 nats"
