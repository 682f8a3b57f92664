"""The samplers by name: how each is made, and what it can learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import optuna
from optuna.samplers import BaseSampler

from tuner.errors import UserError


class Reads(Enum):
    """Which trials change what a sampler suggests."""

    ALL = "complete, stopped and failed trials"
    COMPLETE = "complete trials; stopped and failed ones are handed to it in their place"
    NOTHING = "nothing: what failed or was stopped does not change what it suggests"


@dataclass(frozen=True, slots=True)
class SamplerKind:
    """A sampler: `make(seed, startup)`, `startup` being the trials before its model speaks."""

    make: Callable[[int, int], BaseSampler]
    reads: Reads
    spread_first: bool = False  # the first points are drawn far apart instead of at random


def _tpe(seed: int, startup: int) -> BaseSampler:
    return optuna.samplers.TPESampler(
        n_startup_trials=startup, multivariate=True, group=True, constant_liar=True, seed=seed
    )


def _gp(seed: int, startup: int) -> BaseSampler:
    try:
        import torch  # noqa: F401, PLC0415
    except ImportError:
        raise UserError(
            "search.sampler: gp needs torch: pip install 'ray-serving-tuner[gp]', or take tpe"
        ) from None
    return optuna.samplers.GPSampler(n_startup_trials=startup, seed=seed)


def _nsga2(seed: int, startup: int) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(population_size=max(4, startup), seed=seed)


def _random(seed: int, startup: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _qmc(seed: int, startup: int) -> BaseSampler:
    return optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False, scramble=True)


SAMPLERS: dict[str, SamplerKind] = {
    "auto": SamplerKind(_tpe, Reads.ALL, spread_first=True),
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
