"""Run directories of earlier runs, for tests of `search.warm_start`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tuner.errors import Failure, FailureClass
from tuner.results.lines import TrialLine
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunState
from tuner.spec import Experiment
from tuner.trial.ports import Phase, State

Measured = Mapping[str, float] | str  # metrics, or the class of a failure


def written(root: Path, name: str, experiment: Experiment, trials: Iterable[tuple[Any, Measured]]) -> Path:
    """A run with these search trials, (params, what was measured) each."""
    state = RunState(experiment=experiment.name, experiment_hash=experiment.hash, started=0.0)
    made = RunDirectory.create(root, name, experiment_yaml=experiment.resolved_yaml(), state=state)
    made.acquire(now=0.0)
    for number, (params, measured) in enumerate(trials):
        made.append_trial(_line(number, params, measured))
    made.release()
    return made.path


def _line(number: int, params: dict[str, Any], measured: Measured) -> TrialLine:
    if isinstance(measured, str):
        failure = Failure(FailureClass(measured), "as it was")
        return TrialLine(number, Phase.SEARCH, 1, State.FAILED, False, params, failure=failure)
    return TrialLine(number, Phase.SEARCH, 1, State.COMPLETE, True, params, metrics=dict(measured))
