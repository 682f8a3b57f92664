"""A whole run on a surface, its validation and verdict included, beside what is true of its winner."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tuner.search.conclusion import concluded
from tuner.search.history import History
from tuner.search.levels import middle
from tuner.search.replay.assembled import Assembled, assembled
from tuner.search.replay.noise import Noise, NoiseLevels
from tuner.search.replay.surface import Surface
from tuner.search.replay.truth import Truth
from tuner.spec import Experiment
from tuner.trial.ports import Phase, State
from tuner.verdict import Verdict
from tuner.verdict.noise_floor import Design, scatter_of


@dataclass(frozen=True, slots=True)
class Judged:
    """One replayed run.

    Attributes:
        true_gain: of the configuration that the verdict's gain is of, as `Gain.share`; NaN without a gain.
        best_gain: the largest there was to find.
        would_lose: what is truly lost by what was tried in the winner's place, as a share of the winner's
            value; NaN where nothing was.
        candidates: that were validated.
        seconds, validation_seconds: of the simulated clock.
        floor: the gain that the run said, before its validation, it would see in 80 of 100; NaN where it
            could not.
        moved: the run said that it drifted.
    """

    seed: int
    verdict: Verdict
    true_gain: float
    best_gain: float
    would_lose: float
    candidates: int
    seconds: float
    validation_seconds: float
    floor: float = math.nan
    moved: bool = False

    @property
    def covered(self) -> bool | None:
        """Whether the reported interval holds the true gain; None where none was reported."""
        gain = self.verdict.gain
        if gain is None or not gain.has_interval:
            return None
        return gain.low <= self.true_gain <= gain.high


def judged(
    experiment: Experiment, surface: Surface, seed: int, levels: NoiseLevels, *, truth: Truth | None = None
) -> Judged:
    """Search, validate and conclude once.

    Suggestions cost nothing on the simulated clock, so that the same seed gives the same verdict.

    Args:
        experiment: of one objective.
        seed: of the strategy, of the blocks' order and of the noise.
    """
    search = experiment.search.model_copy(update={"seed": seed})
    given = experiment.model_copy(update={"search": search})
    noise = Noise(levels, seed)
    made = assembled(given, surface, validated=True, noise=noise, free_suggestions=True, truth=truth)
    made.simulation.run()
    history = made.strategy.history
    candidates = made.strategy.candidates()
    verdict = concluded(
        history,
        candidates=candidates,
        space=given.space,
        goals=made.goals,
        objective=made.objective,
        interrupted=False,
        validated=True,
        ending=made.simplifier,
    )
    merit = math.log(made.truth.ratio(history.records[0].params) or math.nan)  # of the baseline, 0 the best
    gain_of = verdict.gain_of
    own = math.log(made.truth.ratio(history.records[gain_of].params)) if gain_of is not None else math.nan
    validation = [d.times for d in history.deployments(Phase.VALIDATION)]
    return Judged(
        seed=seed,
        verdict=verdict,
        true_gain=math.expm1(own - merit),
        best_gain=math.expm1(-merit),
        would_lose=_lost(verdict, made),
        candidates=len(candidates),
        seconds=made.simulation.spent.seconds,
        validation_seconds=math.fsum(sum(times.values()) for times in validation),
        floor=_floor(history, given, len(candidates)),
        moved=history.moved,
    )


def _floor(history: History, experiment: Experiment, candidates: int) -> float:
    """As `tuner.results.baseline_again` tells it, of the validation that was made."""
    goal = experiment.objective[0]
    sign = 1 if goal.is_maximized else -1
    made = [
        d
        for d in history.records[0].deployments
        if d.phase in (Phase.SEARCH, Phase.SENTINEL) and d.state is State.COMPLETE
    ]
    scatter = scatter_of(
        [[sign * math.log(score.values[0]) for score in d.each] for d in made],
        at=[middle(d.rounds) for d in made] if history.moved else (),
    )
    if scatter is None or not candidates:
        return math.nan
    v, rounds = experiment.validation, experiment.validation.rounds or experiment.workload.rounds
    blocks = (v.top + 1) * v.deployments // (candidates + 1)  # the missing candidates' go to the others
    return Design(candidates + 1, blocks, rounds).floor(scatter.of_deployment(rounds))


def _lost(verdict: Verdict, made: Assembled) -> float:
    tried = verdict.simplified
    if tried is None:
        return math.nan
    records = made.strategy.history.records
    left, before = (made.truth.ratio(records[trial].params) for trial in (tried.trial, tried.winner))
    return 1 - left / before
