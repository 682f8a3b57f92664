"""What the default strategy is made of, each part with a switch, so that its worth can be measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AutoOptions:
    """Not part of an experiment: the ablation turns these.

    Attributes:
        design: trials, the baseline among them, that lie far apart before the model speaks.
        design_known: the same where something is expected of the parameters beforehand.
        beforehand: slopes learned elsewhere, by what a parameter means.
        alternate: at every so-manieth suggestion they do not count; 0 for always.
        halving: while nothing is feasible, the probability of coming half as near counts.
        caution: by how much each of the last trials in a row that failed or missed a limit adds to the power
            of the probabilities; 0 for none.
        below: while nothing is feasible, how far below the worst objective the gain is counted from; None:
            the objective does not count then.
        slope: deviation of the slope that every parameter may have over its range, in log units.
        sizes: prior variances of the kernel's parts: main effects, pairs, all together; 0 leaves one out.
        length: prior median and log deviation of the kernel's lengths.
        noise: prior median of the deviation of a whole trial's measurement, in log units.
        slo_models: a model of each SLO metric; without it only the objective of feasible trials counts.
        failure_model: the probability that a configuration deploys; without it failures only count as tried.
        stopped_trials: trials that a rule stopped teach as noisier measurements; without it they do not.
        cost: expected seconds divide the expected gain.
        improvement: the acquisition: "expected" improvement or "probability" of one.
        fit_steps: steps of the optimiser at each fit of the hyperparameters.
        most_points: trials that a model is fitted to at most.
    """

    design: int = 4
    sizes: tuple[float, float, float] = (1.0, 0.6, 0.4)
    length: tuple[float, float] = (1.5, 0.8)
    noise: float = 0.03
    beforehand: bool = True
    alternate: int = 2
    design_known: int = 1
    halving: bool = True
    slo_models: bool = True
    failure_model: bool = True
    stopped_trials: bool = True
    cost: bool = True
    improvement: str = "expected"
    fit_steps: int = 25
    most_points: int = 250
    caution: float = 0.5
    below: float | None = 2.0
    slope: float = 0.25
