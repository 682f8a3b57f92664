"""Several objectives in a verdict: what the winner gains in each, and what is said of the front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.verdict.additive import Additive
from tuner.verdict.front import Front
from tuner.verdict.gain import Gain
from tuner.verdict.measured import Validated
from tuner.verdict.sentences import gain_text, trials


@dataclass(frozen=True, slots=True)
class ObjectiveGain:
    """One of several objectives.

    Attributes:
        weight: of it in the balance that the verdict is about.
        gain: of the verdict's trial over the baseline, positive is better in either direction; None where
            there is no paired block.
    """

    metric: str
    maximize: bool
    weight: float
    gain: Gain | None = None

    @property
    def word(self) -> str:
        """better, worse, or not told apart; "" without an interval."""
        if self.gain is None or not self.gain.has_interval:
            return ""
        return "better" if self.gain.low > 0 else "worse" if self.gain.high < 0 else "not told apart"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        gain = self.gain.to_json() if self.gain else None
        return {"metric": self.metric, "maximize": self.maximize, "weight": self.weight, "gain": gain}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ObjectiveGain:
        """What `to_json` wrote."""
        gain = Gain.from_json(stored["gain"]) if stored["gain"] else None
        return cls(stored["metric"], stored["maximize"], float(stored["weight"]), gain)


def objective_gains(
    measured: Sequence[Validated],
    *,
    goals: Sequence[tuple[str, bool]],
    weights: Sequence[float],
    trial: int | None,
    baseline: int,
    blocks: Sequence[int],
) -> tuple[ObjectiveGain, ...]:
    """What `trial` gains over the baseline in each objective, over the blocks that the verdict rests on.

    The interval rests on the scatter of all arms in those blocks, as that of the verdict's gain does.

    Args:
        goals: (metric, whether more is better).
        weights: of each in the balance.
    """
    failing = {one.trial for one in measured if one.failure} - {trial, baseline}
    counted = [one for one in measured if one.block in blocks and one.trial not in failing]
    gains = []
    for (metric, up), weight in zip(goals, weights, strict=True):
        logs, nodes = _logs(counted, metric, up)
        fit, gain = Additive(logs, nodes), None
        if trial is not None and blocks and set(blocks) == set(fit.shared(trial, baseline)):
            gain = fit.gain(trial, baseline)
        gains.append(ObjectiveGain(metric, up, weight, gain))
    return tuple(gains)


def _logs(
    measured: Sequence[Validated], metric: str, up: bool
) -> tuple[dict[int, dict[int, float]], dict[int, dict[int, str]]]:
    """By arm and block: the metric's log, larger is better, and where it was measured."""
    logs: dict[int, dict[int, float]] = {}
    nodes: dict[int, dict[int, str]] = {}
    for one in measured:
        value = one.metrics.get(metric, math.nan)
        if not one.failure and 0 < value < math.inf:
            logs.setdefault(one.trial, {})[one.block] = math.log(value) if up else -math.log(value)
            nodes.setdefault(one.trial, {})[one.block] = one.node
    return logs, nodes


def balance_name(goals: Sequence[tuple[str, bool]], weights: Sequence[float]) -> str:
    """'the balance of a and b': what the gain of several objectives is a gain in."""
    counted = [metric for (metric, _), weight in zip(goals, weights, strict=True) if weight]
    return f"the balance of {' and '.join(filter(None, [', '.join(counted[:-1]), counted[-1]]))}"


def each_objective(gains: Sequence[ObjectiveGain]) -> list[str]:
    """The winner's gain in each objective, one sentence; none where no block tells."""
    told = [f"{g.metric} {gain_text(g.gain)}{f', {g.word}' if g.word else ''}" for g in gains if g.gain]
    if not told:
        return []
    inverse = ", of what is minimised as baseline over trial" if any(not g.maximize for g in gains) else ""
    return [f"In each objective (a plus is better{inverse}): {'; '.join(told)}."]


def trade_told(gains: Sequence[ObjectiveGain], trial: int) -> list[str]:
    """Whether a winner costs something in an objective; nothing where that is not told apart."""
    worse = [g.metric for g in gains if g.word == "worse"]
    if worse:
        return [f"Trial {trial} is a trade: it is worse in {' and '.join(worse)}."]
    every = gains and all(g.word == "better" for g in gains)
    return [f"Trial {trial} is better in every objective."] if every else []


def balance_explained(gains: Sequence[ObjectiveGain]) -> str:
    """What the balance is."""
    counted = ", ".join(f"{g.metric} {g.weight:.2f}" for g in gains if g.weight)
    ignored = [g.metric for g in gains if not g.weight]
    said = f"The balance is the geometric mean of the objectives with these weights: {counted}."
    return f"{said} Left out, having no logarithm: {', '.join(ignored)}." if ignored else said


def front_told(front: Front, about: int | None) -> list[str]:
    """The front, its knee, and which trial the verdict is about."""
    if not front.points:
        return []
    count = len(front.points)
    said = [f"{count} trial{' is' if count == 1 else 's are'} on the Pareto front ({_listed(front.trials)})"]
    if front.near:
        near = _listed(tuple(p.trial for p in front.near))
        said.append(f"{len(front.near)} more may be on it, within the noise ({near})")
    sentences = ["; ".join(said) + "."]
    if front.knee is None:
        return sentences
    kind = "its knee" if front.bulges else "the best balanced on it (the front has no knee)"
    if count == 1:
        kind = "the only one on it"
    if about == front.knee:
        sentences.append(f"This verdict is about trial {about}, {kind}.")
    elif about is not None:
        sentences.append(f"This verdict is about trial {about}; trial {front.knee} is {kind}.")
    else:
        sentences.append(f"Trial {front.knee} is {kind}.")
    return sentences


def _listed(numbers: Sequence[int]) -> str:
    return trials(numbers) if len(numbers) <= 12 else f"{trials(numbers[:12])} and more"
