"""The baseline measured against itself, read from a run: its noise floor and its drift, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from tuner.results.figures import duration, figure
from tuner.results.lines import RoundLine, TrialLine
from tuner.results.overview import BASELINE, Overview
from tuner.trial.ports import Phase, State
from tuner.verdict import Drift, Level, drift_of
from tuner.verdict.noise_floor import POWER, Design, Floor, Scatter, floor_of, scatter_of

_BEFORE = (Phase.SEARCH, Phase.SENTINEL)  # the validation
_MUCH = 1.0  # a gain that nobody needs a measurement for
IN_100 = f"in {POWER * 100:.0f} of 100 validations"


@dataclass(frozen=True)
class BaselineAgain:
    """What the baseline's own deployments tell of the leading objective."""

    seen: Overview

    @cached_property
    def deployments(self) -> list[TrialLine]:
        """Those that were measured to their end, in every phase, oldest first."""
        found = [one for one in self.seen.trials if one.trial == BASELINE and one.state is State.COMPLETE]
        return sorted(found, key=lambda line: line.started)

    def rounds(self, line: TrialLine) -> list[RoundLine]:
        """Of one deployment, those that count and tell the objective."""
        metric = self.seen.goal.metric
        found = [r for r in self.seen.rounds_of(line.key) if r.round.usable]
        return [r for r in found if 0 < r.metrics.get(metric, math.nan) < math.inf]

    def logs(self, line: TrialLine) -> list[float]:
        """Of the objective in each of those rounds, larger is better.

        Rounds of a search over rates tell the answer so far: the deployment's own value stands for them all.
        """
        rounds, sign = self.rounds(line), 1 if self.seen.goal.maximize else -1
        if any(r.round.rates is not None for r in rounds):
            value = line.value
            return [sign * math.log(value)] if value is not None and 0 < value < math.inf else []
        return [sign * math.log(r.metrics[self.seen.goal.metric]) for r in rounds]

    @cached_property
    def levels(self) -> list[tuple[TrialLine, Level]]:
        """Each deployment as the drift sees it."""
        found = []
        for line in self.deployments:
            logs, rounds = self.logs(line), self.rounds(line)
            if logs:
                at = math.fsum(r.round.started + r.round.seconds / 2 for r in rounds) / len(rounds)
                found.append((line, Level(at, tuple(logs))))
        return found

    @cached_property
    def drift(self) -> Drift | None:
        """Over the whole run, the validation's deployments among them; None for fewer than two."""
        return drift_of([level for _, level in self.levels])

    @cached_property
    def scatter(self) -> Scatter | None:
        """Before the validation: of its deployments in the search."""
        levels, drift = self._before
        return scatter_of(
            [level.logs for level in levels], at=[level.at for level in levels] if drift else ()
        )

    @cached_property
    def _before(self) -> tuple[list[Level], bool]:
        """The levels before the validation, and whether they moved."""
        levels = [level for line, level in self.levels if line.phase in _BEFORE]
        drift = drift_of(levels)
        return levels, drift is not None and drift.moved

    @cached_property
    def floor(self) -> Floor | None:
        """Of the validation as it is planned; None before a baseline, and where none is planned."""
        state, first = self.seen.state, next(iter(self.deployments), None)
        if first is None or self.scatter is None or state.planned_blocks < 2 or state.planned_arms < 2:
            return None
        return floor_of(self.scatter, self._design(first))

    def _design(self, first: TrialLine) -> Design:
        state, rounds = self.seen.state, len(self.seen.rounds_of(first.key))
        held = first.times.get("total", first.ended - first.started) - first.times.get("queue", 0.0)
        measuring = first.times.get("rounds", 0.0)
        return Design(
            arms=state.planned_arms,
            blocks=state.planned_blocks,
            rounds=state.planned_rounds or rounds,
            round_seconds=measuring / rounds if rounds else 0.0,
            other_seconds=max(0.0, held - measuring),
            accelerators=first.accelerator_seconds / held if held > 0 else 0.0,
        )

    def floor_told(self) -> list[str]:
        """What the validation can see, what a finer look would cost, and what is not in it; [] before."""
        if self.floor is None:
            if not self.deployments or self.scatter is not None or self.seen.state.planned_blocks < 2:
                return []
            return ["What the validation can see is not known yet: one deployment of it says too little."]
        return floor_sentences(self.floor, self._window(), self.seen.goal.metric, moved=self._before[1])

    def _window(self) -> str:
        """'20 s': of the windows in a round, all load points together."""
        first = self.deployments[0]
        rounds = self.seen.rounds_of(first.key)
        if not rounds or rounds[0].round.rates is not None:
            return ""
        return f"{sum(p.window_seconds for p in rounds[0].round.points):.3g} s"

    def drift_told(self) -> list[str]:
        """Whether the baseline moved, in a sentence or two; [] for fewer than two deployments."""
        drift = self.drift
        if drift is None:
            return []
        count = len(drift.at)
        over = duration(drift.at[-1] - drift.at[0])
        span = f"{drift.range_share * 100:.1f} % from the lowest to the highest of {count} deployments"
        if not drift.moved:
            why = "no more than its rounds explain"
            if drift.probability < 0.01 or math.isnan(drift.probability):
                why = "too little to matter" if drift.range_share < 0.01 else "which its rounds cannot judge"
            return [f"The baseline was measured {count} times in {over}: {span}, {why}."]
        shares = ", ".join(f"{math.expm1(log) * 100:+.1f} %" for log in drift.logs[1:])
        said = [
            f"The baseline moved: {span} in {over}, more than its rounds explain (after the first: {shares})."
        ]
        sentinels = sum(line.phase is Phase.SENTINEL for line, _ in self.levels)
        if sentinels:
            said.append(
                f"By its {sentinels} sentinel{'s' * (sentinels != 1)} the search's values were levelled "
                "before candidates were chosen; the tables show them as measured, and limits as measured."
            )
        said.append("The verdict compares within blocks, where what moved slowly is common to all.")
        return said

    def to_json(self) -> dict[str, Any]:
        """For best.json: noise floor and drift, null where not known."""
        floor, drift = self.floor, self.drift
        told = None
        if floor is not None:
            told = {
                "gain": floor.gain,
                "low": floor.low,
                "high": floor.high,
                "scatter": asdict(floor.scatter),
                "design": asdict(floor.design),
                "finer": floor.finer,
                "finer_design": asdict(floor.finer_design) if floor.finer_design else None,
                "text": self.floor_told(),
            }
        moved = None
        if drift is not None:
            moved = {
                "moved": drift.moved,
                "probability": drift.probability,
                "range": drift.range_share,
                "at": list(drift.at),
                "gains": [math.expm1(log) for log in drift.logs],
                "phases": [str(line.phase) for line, _ in sorted(self.levels, key=lambda e: e[1].at)],
                "text": self.drift_told(),
            }
        return {"noise_floor": told, "drift": moved}


def floor_sentences(floor: Floor, window: str, metric: str, *, moved: bool = False) -> list[str]:
    """Of one floor.

    Args:
        window: the length of a round; "" where that says nothing.
        metric: that the gain is in.
        moved: the baseline drifted between the deployments that the floor is judged by.
    """
    scatter, design = floor.scatter, floor.design
    rounds = f"{design.rounds} round{'s' * (design.rounds != 1)}{f' of {window}' if window else ''}"
    judged = f"{scatter.rounds} rounds of {scatter.deployments} deployment"
    judged += "s" * (scatter.deployments != 1)
    best = "" if scatter.between_known else "at best "
    wide = f"{_percent(floor.low)} to {_percent(floor.high)}, " if floor.low < _MUCH else ""
    said = [
        f"The baseline against itself: {design.blocks} blocks of {rounds} see {best}a gain of "
        f"{_percent(floor.gain)} in {metric} ({IN_100}; {wide}judged by {judged} of it)."
    ]
    if floor.finer:
        said.append(f"{_percent(floor.finer)} {_needs(floor)}.")
    if scatter.between_known:
        differ = _percent(scatter.between)
        drifted = ""
        if moved:
            taken = "taken out" if scatter.deployments > 2 else "included: blocks see less of that"
            drifted = f", what drifted between them {taken}"
        said.append(f"Its deployments differ by {differ} beyond what their rounds explain{drifted}.")
    else:
        said.append("What one start differs by from the next is not in it: it was deployed once so far.")
    return said


def _needs(floor: Floor) -> str:
    finer, design = floor.finer_design, floor.design
    if finer is None:
        return "is out of reach here"
    keys = []
    if finer.blocks != design.blocks:
        keys.append(f"validation.deployments: {finer.blocks}")
    if finer.rounds != design.rounds:
        keys.append(f"validation.rounds: {finer.rounds}")
    cost = duration(finer.seconds - design.seconds)
    if (more := finer.accelerator_hours - design.accelerator_hours) > 0:
        cost = f"{figure(round(more, 2))} accelerator-hours"
    return f"needs {' and '.join(keys)}, {cost} more"


def _percent(share: float) -> str:
    if share > _MUCH:
        return "more than 100 %"
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"


def assumed_told(deviations: Sequence[float], design: Design) -> str:
    """What a validation would see at assumed scatters of one deployment, for a plan."""
    if design.blocks < 2:
        return "one deployment of each gives no interval: no gain can be shown"
    first, *others = deviations
    said = f"{design.blocks} blocks see a gain of {_percent(design.floor(first))} ({IN_100})"
    said = f"assumed, nothing is measured yet: where deployments scatter by {_percent(first)}, {said}"
    said += "".join(f", by {_percent(d)} one of {_percent(design.floor(d))}" for d in others)
    return f"{said}; the baseline tells"
