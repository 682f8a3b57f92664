"""Reads what `search.warm_start` names: a run's directory, or a recorded sweep beside its experiment."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import TunerError, UserError
from tuner.results.run_directory import RunDirectory
from tuner.spec import Experiment, load_experiment
from tuner.trial.objective import violation
from tuner.trial.ports import ParamValue, State
from tuner.trial.rounds import RoundResult

EXPERIMENT = "experiment.yaml"
MOST_TRIALS = 150  # of one earlier run; more are drawn among
_RIGHT = f"a run's directory, or a surface (CSV) with its {EXPERIMENT} beside it"


@dataclass(frozen=True, slots=True)
class EarlierTrial:
    """One deployment that ended.

    Attributes:
        params: of the earlier run's own space.
        metrics: by name; empty where nothing was measured.
        failed: the configuration did not deploy or did not survive.
        complete: measured to its end.
        feasible: within every limit of its own run.
        rounds: how many the figures stand on, as a share of a whole trial's.
    """

    params: Mapping[str, ParamValue]
    metrics: Mapping[str, float]
    failed: bool
    complete: bool
    feasible: bool
    rounds: float = 1.0


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """One entry of `search.warm_start`.

    Attributes:
        name: as the experiment names it.
        trials: those that teach something.
        left_out: that ended and teach nothing: interrupted, or without a trusted figure.
    """

    name: str
    experiment: Experiment
    trials: tuple[EarlierTrial, ...]
    left_out: int = 0


def read_all(experiment: Experiment) -> list[EarlierRun]:
    """The earlier runs that the experiment names.

    Raises:
        UserError: one of them is no run, or cannot be read; one line that names it.
    """
    return [
        _read(named, f"search.warm_start[{index}]")
        for index, named in enumerate(experiment.search.warm_start or ())
    ]


def _read(named: str, where: str) -> EarlierRun:
    path = Path(named)
    is_surface = path.suffix == ".csv"
    folder = path.parent if is_surface else path
    if not path.exists():
        raise UserError(f"{where}: {named}: there is no such path; would be right: {_RIGHT}")
    if not (folder / EXPERIMENT).is_file():
        raise UserError(f"{where}: {named}: no {EXPERIMENT} there; would be right: {_RIGHT}")
    try:
        experiment = load_experiment(folder / EXPERIMENT)
        found = _of_surface(path, named, experiment) if is_surface else _of_run(path, named, experiment)
    except TunerError as error:
        raise UserError(f"{where}: {error}") from error
    return found


def _of_run(path: Path, named: str, experiment: Experiment) -> EarlierRun:
    """Of a finished, unfinished or interrupted run: what ended counts, of the search and the validation."""
    run = RunDirectory(path.resolve().parent, path.resolve().name)
    measured: dict[object, list[RoundResult]] = {}
    for line in run.rounds():
        measured.setdefault(line.key, []).append(line.round)
    trials, left_out = [], 0
    for ended in run.trials():
        rounds = measured.get(ended.key)
        trusted = rounds is None or any(r.usable for r in rounds)
        if ended.state is State.FAILED:
            trials.append(EarlierTrial(ended.params, {}, failed=True, complete=False, feasible=False))
        elif ended.state in (State.COMPLETE, State.STOPPED) and ended.metrics and trusted:
            complete = ended.state is State.COMPLETE
            share = len(rounds) / experiment.workload.rounds if rounds else 1.0
            trials.append(
                EarlierTrial(
                    ended.params,
                    ended.metrics,
                    failed=False,
                    complete=complete,
                    feasible=ended.feasible and complete,
                    rounds=min(1.0, share if complete or rounds else 0.5),
                )
            )
        else:
            left_out += 1
    return EarlierRun(named, experiment, _some(trials), left_out)


def _of_surface(path: Path, named: str, experiment: Experiment) -> EarlierRun:
    from tuner.search.replay.surface import read_surface  # noqa: PLC0415  the replay stands on the search

    def feasible(truth: Mapping[str, float]) -> bool:
        return all(violation(m, truth[m], limit) <= 0 for m, limit in experiment.slo.items())

    trials = [
        EarlierTrial(
            row.params,
            row.truth,
            failed=row.failure is not None,
            complete=row.failure is None,
            feasible=row.failure is None and feasible(row.truth),
        )
        for row in read_surface(path, experiment).rows
    ]
    return EarlierRun(named, experiment, _some(trials))


def _some(trials: Sequence[EarlierTrial]) -> tuple[EarlierTrial, ...]:
    """The same ones each time, the first (the baseline) among them."""
    if len(trials) <= MOST_TRIALS:
        return tuple(trials)
    kept = random.Random(0).sample(range(1, len(trials)), MOST_TRIALS - 1)
    return tuple(trials[i] for i in [0, *sorted(kept)])
