"""Ended deployments as a pandas table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas

from tuner.results.lines import TrialLine

_PLAIN = ("trial", "phase", "attempt", "block", "state", "feasible")
_LAST = (
    "accelerator_seconds",
    "price_per_hour",
    "engine_version",
    "node",
    "cold",
    "reason",
    "started",
    "ended",
)


def trials_frame(lines: Sequence[TrialLine]) -> pandas.DataFrame:
    """One row a deployment, in order.

    Columns: trial, phase, attempt, block, state, feasible, params.<name>, value (the first objective),
    values.<i> (the further ones), metrics.<name>, violations.<name>, failure.kind, failure.message,
    times.<part>, and what ran it. A parameter that was not active, and a metric that could not be told,
    are missing values.
    """
    frame = pandas.DataFrame([_row(line) for line in lines])
    if frame.empty:
        return pandas.DataFrame(columns=list(_PLAIN))
    groups = ("params.", "value", "values.", "metrics.", "violations.", "failure.", "times.")
    ordered = [*_PLAIN]
    for group in groups:
        ordered += [c for c in frame.columns if c.startswith(group) and c not in ordered]
    ordered += [c for c in _LAST if c not in ordered]
    frame = frame[ordered]
    return frame.astype({"block": "Int64"})


def _row(line: TrialLine) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(line, name) for name in _PLAIN}
    row["phase"], row["state"] = str(line.phase), str(line.state)
    row["value"] = line.value
    row.update({f"values.{i}": value for i, value in enumerate(line.values) if i})
    for group in ("params", "metrics", "violations", "times"):
        row.update({f"{group}.{name}": value for name, value in getattr(line, group).items()})
    row["failure.kind"] = str(line.failure.kind) if line.failure else None
    row["failure.message"] = line.failure.message if line.failure else None
    row.update({name: getattr(line, name) for name in _LAST})
    return row
