"""Makes a surface of what was measured: a finished run, or a grid of visits (benchmarks/grid.py).

A configuration that was deployed several times becomes one row: the mean of each metric, and `noise_cv` from
how the leading metric differed between deployments. Few repeats tell little of it, so a row's variance is
drawn towards that of all rows together, which counts as PRIOR_DEGREES repeats more.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, variance

from tuner.errors import FailureClass, UserError
from tuner.results.lines import TrialLine
from tuner.results.run_directory import RunDirectory
from tuner.search.replay.cells import FAILURES
from tuner.spec.metrics import METRICS
from tuner.trial.ports import ParamValue, Phase, State

PRIOR_DEGREES = 3
_GRID_FIXED = ("unix_time", "params", "failure", "dirty_rounds", "client_bound_rounds")


@dataclass(frozen=True, slots=True)
class Visit:
    """One deployment: what it measured, or how it failed; `rounds` one by one where they are known."""

    params: Mapping[str, ParamValue]
    metrics: Mapping[str, float]
    deploy_seconds: float
    failure: FailureClass | None = None
    rounds: tuple[Mapping[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """A surface as it will be written.

    Attributes:
        text: the CSV file.
        configurations, failing: how many rows, and how many of them fail.
        left_out: visits that count for nothing, by reason.
    """

    text: str
    configurations: int
    failing: int
    left_out: Mapping[str, int] = field(default_factory=dict)


def from_run(run: RunDirectory, *, by_round: bool = False) -> Recording:
    """A surface of everything that a run deployed, validation included.

    Interrupted deployments and those without a figure for every objective and SLO are left out. A stopped
    one counts with the rounds that it ran.

    Args:
        by_round: a row a round, of each configuration's first deployment, in place of a row each.

    Raises:
        UserError: nothing of it can be recorded.
        WorldError: the run cannot be read.
    """
    state = run.state()
    used = list(dict.fromkeys([*(g.metric for g in state.goals), *state.slos]))
    rounds: dict[tuple[int, Phase, int], list[Mapping[str, float]]] = {}
    if by_round:
        for line in sorted(run.rounds(), key=lambda one: one.round.number):
            rounds.setdefault(line.key, []).append(line.metrics)
    visits, left_out = [], Counter[str]()
    for trial in run.trials():
        why = _unusable(trial, used)
        if why:
            left_out[why] += 1
        else:
            visits.append(_visit(trial, tuple(rounds.get(trial.key, ()))))
    others = [m for m in METRICS if m not in used and _in_all(m, visits)]
    parameters = list(dict.fromkeys([*state.parameters, *(n for v in visits for n in v.params)]))
    return _recording(
        visits,
        parameters=parameters,
        metrics=[*used, *others],
        source=f"run {run.name}",
        left_out=left_out,
        by_round=by_round,
    )


def from_grid(path: Path, *, deploy_seconds: float) -> Recording:
    """A surface of the visits that benchmarks/grid.py wrote; those marked dirty or client-bound do not count.

    Args:
        deploy_seconds: of every visit, which the file does not tell.

    Raises:
        UserError: the file is not there or not of that form.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"{path}: cannot be read: {why}") from error
    if not rows or not {"params", "failure"} <= rows[0].keys():
        right = "a run's directory, or a CSV file with the columns params, failure and metrics"
        raise UserError(f"{path}: got no visits; would be right: {right}")
    metrics = [column for column in rows[0] if column not in _GRID_FIXED]
    visits, left_out = [], Counter[str]()
    for number, row in enumerate(rows, start=2):
        marks = [m for m in ("dirty_rounds", "client_bound_rounds") if row.get(m, "0") not in ("", "0")]
        if marks:
            left_out[marks[0].removesuffix("_rounds").replace("_", "-")] += 1
        else:
            visits.append(_grid_visit(row, metrics, deploy_seconds, f"{path}:{number}"))
    return _recording(
        visits,
        parameters=list(dict.fromkeys(name for v in visits for name in v.params)),
        metrics=metrics,
        source=path.name,
        left_out=left_out,
    )


def _unusable(trial: TrialLine, used: Sequence[str]) -> str:
    if trial.state is State.INTERRUPTED:
        return "interrupted"
    if trial.state is State.FAILED:
        recorded = trial.failure is not None and trial.failure.kind in FAILURES
        return "" if recorded else "failed by no fault of the configuration"
    return "" if all(m in trial.metrics for m in used) else "without a figure for every metric"


def _visit(trial: TrialLine, rounds: tuple[Mapping[str, float], ...]) -> Visit:
    """Deploying is all that is neither waiting for its place, warm-up nor rounds."""
    parts = trial.times
    measuring = sum(parts.get(part, 0.0) for part in ("warmup", "rounds"))
    total = parts.get("total", trial.ended - trial.started) - parts.get("queue", 0.0)
    failure = trial.failure.kind if trial.state is State.FAILED and trial.failure is not None else None
    return Visit(trial.params, trial.metrics, max(0.0, total - measuring), failure, rounds)


def _in_all(metric: str, visits: Iterable[Visit]) -> bool:
    measured = [v for v in visits if v.failure is None]
    return bool(measured) and all(metric in v.metrics and math.isfinite(v.metrics[metric]) for v in measured)


def _grid_visit(row: Mapping[str, str], metrics: Sequence[str], deploying: float, where: str) -> Visit:
    try:
        params = json.loads(row["params"])
        failure = FailureClass(row["failure"]) if row["failure"] else None
        figures = {m: float(row[m]) for m in metrics} if failure is None else {}
        return Visit(dict(params), figures, deploying, failure)
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: got what is no visit ({error}); restore or remove the line") from error


def _recording(
    visits: Sequence[Visit],
    *,
    parameters: Sequence[str],
    metrics: Sequence[str],
    source: str,
    left_out: Mapping[str, int],
    by_round: bool = False,
) -> Recording:
    if not any(v.failure is None for v in visits):
        raise UserError(f"{source}: nothing of it can be recorded; would be right: measured configurations")
    grouped: dict[str, list[Visit]] = {}
    for visit in visits:
        grouped.setdefault(json.dumps(visit.params, sort_keys=True), []).append(visit)
    groups = [_agreed(group) for group in grouped.values()]
    noise = _noise(groups, metrics[0])
    fixed = ["deploy_seconds", "failure", *(["round"] if by_round else ["noise_cv"]), "repeats"]
    text = io.StringIO(newline="")
    text.write(f"# recorded by `tuner record` from {source}\n")
    writer = csv.DictWriter(text, [*parameters, *metrics, *fixed], restval="", lineterminator="\n")
    writer.writeheader()
    for group in groups:
        first = group[0]
        common = {name: _cell(first.params[name]) for name in parameters if name in first.params} | {
            "deploy_seconds": f"{fmean(v.deploy_seconds for v in group):.4g}",
            "repeats": str(len(group)),
        }
        if first.failure is not None:
            writer.writerow(common | {"failure": str(first.failure)} | ({"round": "1"} if by_round else {}))
        elif by_round:
            for number, figures in enumerate(first.rounds or (first.metrics,), start=1):
                writer.writerow(common | _figures(figures, metrics) | {"round": str(number)})
        else:
            mean = {m: fmean(v.metrics[m] for v in group) for m in metrics}
            writer.writerow(common | _figures(mean, metrics) | {"noise_cv": f"{noise(group):.4g}"})
    failing = sum(group[0].failure is not None for group in groups)
    return Recording(text.getvalue(), len(groups), failing, dict(left_out))


def _agreed(group: Sequence[Visit]) -> list[Visit]:
    """The visits of the majority: all that measured, or all that failed in the most frequent way."""
    failed = [v for v in group if v.failure is not None]
    if 2 * len(failed) < len(group):
        return [v for v in group if v.failure is None]
    most = Counter(v.failure for v in failed).most_common(1)[0][0]
    return [v for v in failed if v.failure is most]


def _noise(groups: Sequence[Sequence[Visit]], metric: str) -> Callable[[Sequence[Visit]], float]:
    """How far a row's deployments lie apart, as a share of their mean; of all rows where it has one alone."""

    def squares(group: Sequence[Visit]) -> float:
        values = [v.metrics[metric] for v in group]
        return (len(values) - 1) * variance(values) / fmean(values) ** 2 if fmean(values) else 0.0

    repeated = [g for g in groups if g[0].failure is None and len(g) > 1]
    degrees = sum(len(g) - 1 for g in repeated)
    pooled = sum(map(squares, repeated)) / degrees if degrees else 0.0

    def noise(group: Sequence[Visit]) -> float:
        own = squares(group) if len(group) > 1 else 0.0
        return math.sqrt((own + PRIOR_DEGREES * pooled) / (len(group) - 1 + PRIOR_DEGREES))

    return noise


def _figures(metrics: Mapping[str, float], names: Sequence[str]) -> dict[str, str]:
    return {m: f"{metrics[m]:.6g}" for m in names if m in metrics}


def _cell(value: ParamValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
