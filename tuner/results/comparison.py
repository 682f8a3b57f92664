"""Two runs side by side, such as one on a PVC against one on a hostPath: what can be said, and what not.

Runs are independent groups of deployments: nothing is paired across them, and the time that lies between
them is in every ratio but that of the gains, which are paired within each run. Each interval is a 95 % one
by itself; among twenty rows that are alike one is expected to look told apart, so the leading objective's
sentence is the one to rest on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tuner.errors import UserError
from tuner.results.arms import Arm, gains, paired_arms, winner
from tuner.results.comparable import Difference, Load, better, common_metrics, cost, differences
from tuner.results.deploy_times import PartTime, part_times
from tuner.results.figures import duration, figure
from tuner.results.overview import Overview
from tuner.results.run_directory import RunDirectory
from tuner.results.tally import Tally
from tuner.verdict.sentences import share
from tuner.verdict.unpaired import Estimate, Ratio, estimate, welch_ratio

Values = Sequence[float]
_PRICES = ("deploy.price_per_hour", "prices", "deploy.accelerators")


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one pair of arms.

    Attributes:
        metric: its name, or "winner over baseline in <metric>".
        better: "higher" or "lower".
        ratio: B over A.
        subject: what is better or worse.
    """

    metric: str
    better: str
    a: Estimate
    b: Estimate
    ratio: Ratio
    subject: str = "B"

    @property
    def said(self) -> str:
        """What can be said of it, without a full stop."""
        if math.isnan(self.ratio.ratio):
            return f"{self.metric}: no ratio ({self.ratio.why})"
        beyond = self.ratio.ratio - 1
        more = "higher" if beyond >= 0 else "lower"
        found = f"{self.metric} of B is {abs(beyond) * 100:.1f} % {more}"
        if not self.ratio.has_interval:
            return f"{found} (no interval: {self.ratio.why}): cannot be told apart from chance"
        ends = f"95 % interval {share(self.ratio.low - 1)} to {share(self.ratio.high - 1)}"
        return f"{found} ({ends}): {self.judged}"

    @property
    def judged(self) -> str:
        """ "B is better", "B is worse", "not told apart", or "" where there is no interval."""
        if not self.ratio.has_interval:
            return ""
        if not self.ratio.told_apart:
            return "not told apart"
        good = (self.ratio.ratio > 1) == (self.better == "higher")
        return f"{self.subject} was {'better' if good else 'worse'}"

    @classmethod
    def of(cls, metric: str, better: str, a: Values, b: Values, *, subject: str = "B") -> Row:
        """From one value a deployment (or a block) of each run."""
        return cls(metric, better, estimate(a), estimate(b), welch_ratio(a, b), subject)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        sides = {"a": self.a.to_json(), "b": self.b.to_json()}
        return {"metric": self.metric, **sides, "b_over_a": self.ratio.to_json(), "judged": self.judged}


@dataclass(frozen=True, slots=True)
class Pair:
    """One configuration of each run, with every common metric.

    Attributes:
        params: the parameters whose values are not the same.
        rows: the leading objective first.
    """

    title: str
    a: Arm
    b: Arm
    params: tuple[Difference, ...]
    rows: tuple[Row, ...]

    @property
    def sentence(self) -> str:
        """What can be said of the leading objective."""
        return f"{self.title[:1].upper()}{self.title[1:]}: {self.rows[0].said}."

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "title": self.title,
            "sentence": self.sentence,
            **{side: _arm_json(arm) for side, arm in (("a", self.a), ("b", self.b))},
            "params_that_differ": [one.to_json() for one in self.params],
            "metrics": [row.to_json() for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it.

    Attributes:
        pairs: the baselines first.
        gain: of the winners over their own baselines; None where a run has no validated winner but that.
        times: A's and B's median of each part of coming up.
        notes: what a reader has to know before resting on the figures.
    """

    a: Overview
    b: Overview
    load: Load
    differences: tuple[Difference, ...]
    pairs: tuple[Pair, ...]
    gain: Row | None
    times: tuple[tuple[PartTime, PartTime], ...]
    tallies: tuple[Tally, Tally]
    notes: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """One a pair, and one for the gain."""
        gain = (f"Gain: {self.gain.said}.",) if self.gain else ()
        return (*(pair.sentence for pair in self.pairs), *gain)

    def to_json(self) -> dict[str, Any]:
        """A JSON document (through `tuner.results.plain_json`)."""
        return {
            "schema": 1,
            "runs": {"a": _run_json(self.a), "b": _run_json(self.b)},
            "sentences": list(self.sentences),
            "notes": list(self.notes),
            "differences": [one.to_json() for one in self.differences],
            "load_points": asdict(self.load),
            "pairs": [pair.to_json() for pair in self.pairs],
            "gain": self.gain.to_json() if self.gain else None,
            "deploy_times": [
                {"start": one.start, "part": one.part, "a": one.to_json(), "b": other.to_json()}
                for one, other in self.times
            ],
            "tallies": {"a": self.tallies[0].to_json(), "b": self.tallies[1].to_json()},
        }


def compare(run_a: RunDirectory, run_b: RunDirectory) -> Comparison:
    """Set two runs side by side, finished or not.

    Raises:
        UserError: they are the same run, or have nothing that could be compared: no load point and no
            metric in common, or one of them has measured nothing; one line that says which.
        WorldError: one of them cannot be read.
    """
    if run_a.path.resolve() == run_b.path.resolve():
        raise UserError(f"{run_a.name}: the same run twice; name two")
    load = Load.of(run_a, run_b)
    a, b = Overview.of(run_a), Overview.of(run_b)
    metrics = common_metrics(a, b, load)
    pairs = tuple(_pair(title, one, other, metrics) for title, one, other in paired_arms(a, b))
    for seen, arms in ((a, [pair.a for pair in pairs]), (b, [pair.b for pair in pairs])):
        if not any(arm.lines for arm in arms):
            raise UserError(f"{seen.run.name}: nothing measured to the end yet that could be compared")
    return Comparison(
        a,
        b,
        load,
        tuple(differences(a, b)),
        pairs,
        _gain(a, b, metrics[0]),
        tuple(part_times(a.trials, b.trials)),
        (Tally.of(a), Tally.of(b)),
        tuple(_notes(a, b, load, pairs)),
    )


def _pair(title: str, a: Arm, b: Arm, metrics: list[str]) -> Pair:
    rows = tuple(Row.of(m, better(m), a.values(m), b.values(m)) for m in metrics)
    names = dict.fromkeys((*a.params, *b.params))
    told = ((n, a.params.get(n), b.params.get(n)) for n in names if a.params.get(n) != b.params.get(n))
    return Pair(title, a, b, tuple(Difference(n, figure(x), figure(y)) for n, x, y in told), rows)


def _gain(a: Overview, b: Overview, metric: str) -> Row | None:
    first, second = gains(a, metric), gains(b, metric)
    if not first or not second:
        return None
    name = f"winner over baseline in {metric}"
    return Row.of(name, better(metric), first, second, subject="B's gain")


def _notes(a: Overview, b: Overview, load: Load, pairs: tuple[Pair, ...]) -> list[str]:
    notes = [_between(a, b)]
    for name, only in (("A", load.only_a), ("B", load.only_b)):
        if only:
            notes.append(f"Load points of {name} alone are left out: {', '.join(only)}.")
    workload = [one.key for one in differences(a, b) if one.key.startswith("workload.")]
    if rest := [key for key in workload if not key.startswith("workload.points.")]:
        notes.append(f"The loads are not quite alike: {', '.join(rest)} differ.")
    priced = any(cost(row.metric) for pair in pairs for row in pair.rows)
    if priced and [one for one in differences(a, b) if one.key.startswith(_PRICES)]:
        notes.append("The prices differ: a ratio of costs holds both the speed and the price.")
    for name, seen in (("A", a), ("B", b)):
        if winner(seen) is None:
            why = seen.verdict.headline if seen.verdict else "no trial was feasible so far"
            notes.append(f"{name} has no winner: {why.rstrip('.')}.")
    told = {(side, arm.trial): arm for p in pairs for side, arm in (("A", p.a), ("B", p.b))}
    for (side, _), arm in told.items():
        if arm.flattered:
            notes.append(f"{side}'s {arm}: chosen by the figure that stands here, which flatters it.")
        if arm.left_out:
            notes.append(f"{side}'s {arm}: {arm.left_out} more gave no measurement that can be trusted.")
    return notes


def _between(a: Overview, b: Overview) -> str:
    """What the time at which the runs were made does to the ratios."""
    (name, first), (later, second) = sorted((("A", a), ("B", b)), key=lambda side: side[1].state.started)
    gap = second.state.started - _ended(first)
    if gap < 0 or first.alive:
        return "The runs overlap in time: on nodes that they share, each was part of the other's noise."
    return (
        f"{later} began {duration(gap)} after {name} had ended: what changed on the machines in between is "
        "in every ratio but the gain's, and in no interval. Several runs of each in turn would tell."
    )


def _ended(seen: Overview) -> float:
    return max((seen.state.ended or seen.state.started, *(line.ended for line in seen.trials)))


def _arm_json(arm: Arm) -> dict[str, Any]:
    return {
        "role": arm.role,
        "trial": arm.trial,
        "params": arm.params,
        "phases": [line.phase for line in arm.lines],
        "deployments": len(arm.lines),
        "left_out": arm.left_out,
    }


def _run_json(seen: Overview) -> dict[str, Any]:
    verdict = seen.verdict
    return {
        "run": seen.run.name,
        "experiment": seen.state.experiment,
        "status": seen.progress,
        "started": seen.state.started,
        "ended": seen.state.ended,
        "verdict": verdict.headline if verdict else None,
    }
