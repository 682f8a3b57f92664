"""What is replayed: surfaces of which the truth is known, and levels of noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from tuner.search.replay import Row, Surface
from tuner.search.replay.noise import NoiseLevels
from tuner.spec import Experiment

METRIC = "output_tokens_per_second"
BASELINE_RATE = 1000.0
DEPLOY_SECONDS = 30.0
TRUE_GAIN = 0.05
BATCHES = (1, 2, 3, 4, 5)
Config = Mapping[str, object]


def _number(config: Config) -> int:
    """0 to 19, the baseline's 0."""
    return (int(config["batch"]) - 1) * 4 + (int(config["slots"]) - 1) * 2 + int(config["mode"] == "b")


def _flat(_config: Config) -> float:
    return 0.0


def _one(config: Config) -> float:
    """One of 20 is 5 % better, the others are up to 12 % worse."""
    number = _number(config)
    if number == 13:
        return TRUE_GAIN
    return -0.12 * (number * 7 % 20) / 20


def _ladder(config: Config) -> float:
    """Steps of half a per cent, shuffled: from 3 % worse to 6.5 % better."""
    number = _number(config)
    return 0.005 * (number * 7 % 20 - 6) if number else 0.0


def _spare(config: Config) -> float:
    """The batch matters; one flag is worth a fifth of the margin, and one a little more than the margin."""
    batch = (0.0, 0.04, 0.07, 0.05, 0.02)[int(config["batch"]) - 1]
    flags = 0.002 * (config["slots"] == 2) + 0.0115 * (config["mode"] == "b")
    return (1 + batch) * (1 + flags) - 1


SURFACES: dict[str, Callable[[Config], float]] = {
    "flat": _flat,
    "one": _one,
    "ladder": _ladder,
    "spare": _spare,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """Levels of noise, and how many trials run side by side."""

    levels: NoiseLevels
    parallel: int = 1


PROFILES: dict[str, Profile] = {
    "rounds": Profile(NoiseLevels(round_cv=0.015, round_correlation=0.6)),
    "deployments": Profile(NoiseLevels(round_cv=0.005, deployment_cv=0.01)),
    "nodes": Profile(NoiseLevels(round_cv=0.005, node_cv=0.02, nodes=3), parallel=3),
    "two nodes": Profile(NoiseLevels(round_cv=0.005, node_cv=0.02, nodes=2), parallel=2),
    "drift": Profile(NoiseLevels(round_cv=0.005, drift_cv_per_hour=0.03, wave_cv=0.02)),
    "strong drift": Profile(NoiseLevels(round_cv=0.005, drift_cv_per_hour=0.10, wave_cv=0.05)),
    "all": Profile(
        NoiseLevels(
            round_cv=0.01,
            round_correlation=0.6,
            deployment_cv=0.007,
            node_cv=0.01,
            drift_cv_per_hour=0.02,
            wave_cv=0.01,
            nodes=3,
        ),
        parallel=3,
    ),
    "rough": Profile(
        NoiseLevels(
            round_cv=0.04,
            round_correlation=0.8,
            deployment_cv=0.03,
            node_cv=0.03,
            drift_cv_per_hour=0.05,
            wave_cv=0.03,
            nodes=2,
        ),
        parallel=2,
    ),
}


@cache
def experiment(
    parallel: int, *, blocks: int | None = None, trials: int | None = None, sentinel: int | None = None
) -> Experiment:
    """The defaults of an experiment, over 20 configurations, all of which the grid sampler tries.

    Args:
        blocks, trials: in place of the default.
        sentinel: the baseline again after so many trials; None for never.
    """
    validation = {} if blocks is None else {"deployments": blocks}
    budget = {} if trials is None else {"trials": trials}
    return Experiment.model_validate(
        {
            "name": "verdict",
            "model": {"path": "/models/none"},
            "deploy": {"backend": "local"},
            "parameters": {
                "batch": {"values": list(BATCHES)},
                "slots": {"values": [1, 2]},
                "mode": {"values": ["a", "b"]},
            },
            "baseline": {"batch": 1, "slots": 1, "mode": "a"},
            "workload": {"scenario": "D(512,128)", "concurrency": 32},
            "objective": {"maximize": METRIC},
            "search": {
                "sampler": "grid",
                "parallel": parallel,
                "sentinel": "none" if sentinel is None else sentinel,
                **budget,
            },
            "validation": validation,
        }
    )


@cache
def surface(name: str, parallel: int) -> Surface:
    """A surface without noise of its own."""
    given = experiment(parallel)
    rows = []
    for number, params in enumerate(given.space.grid()):
        truth = {METRIC: BASELINE_RATE * (1 + SURFACES[name](params))}
        rows.append(
            Row(
                params=dict(params),
                line=number + 2,
                deploy_seconds=DEPLOY_SECONDS,
                failure=None,
                noise_cv=0.0,
                rounds=(truth,),
                truth=truth,
            )
        )
    return Surface(name, "", metrics=[METRIC], rows=rows, experiment=given)
