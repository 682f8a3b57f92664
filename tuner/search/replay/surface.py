"""A recorded sweep: a CSV file, one row a configuration or a round of one, read for an experiment.

Columns: the parameters by name (an empty cell: not passed), metrics by name, `deploy_seconds`, `failure`
(empty, or a class of tuner.errors.FailureClass), and, where wanted, `noise_cv` (relative noise of a whole
trial), `round` (from 1; then one row a round) and `repeats` (deployments behind a row, for people). Lines
before the header that start with # are remarks.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tuner.errors import FailureClass, UserError
from tuner.search.replay.cells import Cells, Line
from tuner.search.replay.recorded_space import RecordedSpace
from tuner.spec import Experiment
from tuner.spec.faults import suggestion
from tuner.spec.metrics import METRICS
from tuner.spec.space import Space
from tuner.trial.ports import ParamValue

FIXED = ("deploy_seconds", "failure", "noise_cv", "round", "repeats")
_NEEDED = ("deploy_seconds", "failure")


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded configuration.

    Attributes:
        line: of the file, where it stands first.
        deploy_seconds: until it served, or until it had failed.
        failure: why it gives no measurement; None where it gives one.
        noise_cv: relative standard deviation of a whole trial's figures around `truth`.
        rounds: its metrics as recorded, round by round; one entry where the file has no rounds, none where
            it failed.
        truth: its metrics, over the recorded rounds; empty where it failed.
    """

    params: dict[str, ParamValue]
    line: int
    deploy_seconds: float
    failure: FailureClass | None
    noise_cv: float
    rounds: tuple[Mapping[str, float], ...]
    truth: Mapping[str, float]

    @property
    def by_round(self) -> bool:
        """Whether the differences between its rounds were recorded."""
        return len(self.rounds) > 1


class Surface:
    """The rows of a file, for one experiment.

    Attributes:
        name: the file's.
        sha256: of the file's bytes, 64 hexadecimal digits.
        metrics: the columns that are metrics.
        rows: in the file's order.
        space: the experiment's, cut down to the rows.
    """

    def __init__(
        self,
        name: str,
        sha256: str,
        *,
        metrics: Sequence[str],
        rows: Sequence[Row],
        experiment: Experiment,
    ) -> None:
        self.name = name
        self.sha256 = sha256
        self.metrics = tuple(metrics)
        self.rows = tuple(rows)
        self.space = RecordedSpace(experiment, [row.params for row in rows])
        self._by_key: dict[Hashable, Row] = {self.space.key(row.params): row for row in rows}

    def row(self, params: Mapping[str, ParamValue]) -> Row:
        """The row of a configuration.

        Raises:
            KeyError: it was not recorded.
        """
        return self._by_key[self.space.key(params)]


def read_surface(path: Path, experiment: Experiment) -> Surface:
    """Read a surface and hold it against the experiment.

    Raises:
        UserError: one line: file and line, what was got and what would be right.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file; would be right: a surface (CSV)") from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"{path}: cannot be read: {why}") from error
    lines = text.splitlines()
    skipped = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    reader = csv.reader(lines[skipped:])
    header = [cell.strip() for cell in next(reader, [])]
    metrics = _columns(header, experiment, f"{path}:{skipped + 1}")
    cells = Cells(experiment.space, metrics)
    read = []
    for record in reader:
        if any(record):
            where = f"{path}:{skipped + reader.line_num}"
            if len(record) != len(header):
                raise UserError(f"{where}: got {len(record)} cells; would be right: {len(header)}")
            found = dict(zip(header, (cell.strip() for cell in record), strict=True))
            read.append(cells.line(found, skipped + reader.line_num, where))
    rows = list(_grouped(read, experiment.space, path))
    _check_baseline(rows, experiment, path)
    return Surface(
        path.name,
        hashlib.sha256(content).hexdigest(),
        metrics=metrics,
        rows=rows,
        experiment=experiment,
    )


def _columns(header: Sequence[str], experiment: Experiment, where: str) -> list[str]:
    """The columns that are metrics."""
    parameters = list(experiment.parameters)
    doubled = [c for i, c in enumerate(header) if c in header[:i]]
    if doubled:
        raise UserError(f"{where}: got the column {doubled[0]!r} twice; would be right: each once")
    clash = [p for p in parameters if p in FIXED or p in METRICS]
    if clash:
        raise UserError(f"{where}: the parameter {clash[0]!r} is called as another column; rename it")
    points = [p.name for p in experiment.workload.points]
    metrics = [c for c in header if _is_metric(c, points)]
    known = [*parameters, *FIXED, *METRICS]
    for column in header:
        if column not in metrics and column not in parameters and column not in FIXED:
            right = suggestion(column, known)
            raise UserError(f"{where}: got the unknown column {column!r}; would be right: {right}")
    used = [*(g.metric for g in experiment.objective), *experiment.slo]
    for needed in (*parameters, *_NEEDED, *used):
        if needed not in header:
            raise UserError(f"{where}: got no column {needed!r}, which the experiment or a replay needs")
    return metrics


def _is_metric(column: str, points: Sequence[str]) -> bool:
    point, _, metric = column.rpartition(".")
    return metric in METRICS and (not point or point in points)


def _grouped(read: Sequence[Line], space: Space, path: Path) -> Iterator[Row]:
    """One row a configuration, from the lines of its rounds."""
    found: dict[Hashable, list[Line]] = {}
    for line in read:
        found.setdefault(space.key(line.params), []).append(line)
    for lines in found.values():
        first = lines[0]
        for other in lines[1:]:
            if first.round is None or other.round is None:
                raise UserError(
                    f"{path}:{other.number}: the configuration of line {first.number} again; would be "
                    "right: one row each, or a column `round`"
                )
        failure = next((line.failure for line in lines if line.failure is not None), None)
        lines.sort(key=lambda line: line.round or 0)
        numbers = [line.round for line in lines if line.round is not None]
        if failure is None and numbers and numbers != list(range(1, len(numbers) + 1)):
            raise UserError(f"{path}:{first.number}: got the rounds {numbers}; would be right: 1, 2, 3, ...")
        rounds = tuple(line.metrics for line in lines) if failure is None else ()
        truth = {m: fmean(r[m] for r in rounds) for m in rounds[0]} if rounds else {}
        yield Row(
            params=first.params,
            line=first.number,
            deploy_seconds=first.deploy_seconds,
            failure=failure,
            noise_cv=first.noise_cv,
            rounds=rounds,
            truth=truth,
        )


def _check_baseline(rows: Sequence[Row], experiment: Experiment, path: Path) -> None:
    """The baseline is deployed before all others, so it has to be there and to serve."""
    space = experiment.space
    wanted = space.key(space.baseline)
    row = next((r for r in rows if space.key(r.params) == wanted), None)
    shown = " ".join(f"{n}={v}" for n, v in space.baseline.items()) or "nothing passed"
    if row is None:
        raise UserError(f"{path}: has no row for the baseline ({shown}); would be right: one")
    if row.failure is not None:
        raise UserError(f"{path}:{row.line}: the baseline ({shown}) fails; would be right: one that serves")
