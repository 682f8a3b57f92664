"""The samplers by name: how each is made, and what it can learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from tuner.errors import UserError
from tuner.search.auto.chooser import Chooser
from tuner.search.auto.options import AutoOptions
from tuner.search.auto.sampler import AutoSampler
from tuner.search.auto.trend import Slopes
from tuner.search.earlier.memories import Memories
from tuner.search.history import History
from tuner.search.refusal import Refused, nothing_refused
from tuner.search.spare import Spare
from tuner.spec.space import Space
from tuner.trial.objective import Goal
from tuner.trial.ports import ParamValue


class Reads(Enum):
    """Which trials change what a sampler suggests."""

    ALL = "complete, stopped and failed trials"
    COMPLETE = "complete trials; stopped and failed ones are handed to it in their place"
    NOTHING = "nothing: what failed or was stopped does not change what it suggests"


@dataclass(frozen=True, slots=True)
class Brief:
    """What a sampler is made for.

    Attributes:
        startup: trials before the model of one of Optuna's samplers speaks.
        history: of the run, as it grows.
        distributions: every parameter in Optuna's terms.
        encode: (name, value) -> the value in the terms of its distribution.
        memories: of earlier runs, which the default sampler learns from.
        refused: configurations that are not to be proposed, as far as that is known by then.
        spare: the accelerators that the default sampler's suggestions should fit.
    """

    seed: int
    startup: int
    space: Space
    history: History
    goals: Sequence[Goal]
    slos: Sequence[str]
    distributions: Mapping[str, BaseDistribution]
    encode: Callable[[str, ParamValue], ParamValue]
    memories: Memories | None = None
    refused: Refused = nothing_refused
    spare: Spare | None = None


@dataclass(frozen=True, slots=True)
class SamplerKind:
    """A sampler: how it is made, what it learns from, and for the plan how it goes on after the baseline."""

    make: Callable[[Brief], BaseSampler]
    reads: Reads
    then: str = ""


def auto(brief: Brief, *, options: AutoOptions | None = None, slopes: Slopes | None = None) -> BaseSampler:
    """The default strategy; `options` and `slopes` in place of its own are for measuring their worth."""
    chooser = Chooser(
        brief.space,
        brief.history,
        goals=brief.goals,
        slos=brief.slos,
        seed=brief.seed,
        options=options,
        slopes=slopes,
        memories=brief.memories,
        refused=brief.refused,
        spare=brief.spare,
    )
    return AutoSampler(chooser, brief.distributions, brief.encode, seed=brief.seed)


def _tpe(brief: Brief) -> BaseSampler:
    return optuna.samplers.TPESampler(
        n_startup_trials=brief.startup, multivariate=True, group=True, constant_liar=True, seed=brief.seed
    )


def _gp(brief: Brief) -> BaseSampler:
    try:
        import torch  # noqa: F401, PLC0415
    except ImportError:
        raise UserError(
            "search.sampler: gp needs torch: pip install 'ray-serving-tuner[gp]', or take tpe"
        ) from None
    return optuna.samplers.GPSampler(n_startup_trials=brief.startup, seed=brief.seed)


def _nsga2(brief: Brief) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=max(4, brief.startup), seed=brief.seed)


def _random(brief: Brief) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=brief.seed)


def _qmc(brief: Brief) -> BaseSampler:
    return optuna.samplers.QMCSampler(seed=brief.seed, warn_independent_sampling=False, scramble=True)


SAMPLERS: dict[str, SamplerKind] = {
    "auto": SamplerKind(auto, Reads.ALL, then="by expected gain per second"),
    "tpe": SamplerKind(_tpe, Reads.ALL),
    "gp": SamplerKind(_gp, Reads.COMPLETE),
    "nsga2": SamplerKind(_nsga2, Reads.COMPLETE),
    "qmc": SamplerKind(_qmc, Reads.NOTHING),
    "random": SamplerKind(_random, Reads.NOTHING),
    "grid": SamplerKind(_random, Reads.NOTHING),  # the order is the proposer's own enumeration
}


def startup_trials(trials: int) -> int:
    """How many trials come before the model: a third of the budget, 5 to 10."""
    return max(5, min(10, trials // 3))
