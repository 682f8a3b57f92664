"""Replayed seeds as a table for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from tuner.search.replay.outcome import Found, Outcome

_MOMENTS = ("measured", "recommended", "kept")


def outcomes_table(outcomes: Sequence[Outcome], summary: Mapping[str, Any]) -> Table:
    """One row a seed, seconds and trials in a cell, then the median and the 90th percentile."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    for title in ("seed", *_MOMENTS, "all", "busy", "at the end"):
        table.add_column(title, justify="right", no_wrap=True)
    for outcome in outcomes:
        found = [_found(getattr(outcome, moment)) for moment in _MOMENTS]
        ratio = f"{outcome.ratio:.1%}" if outcome.ratio else "infeasible"
        table.add_row(
            str(outcome.seed),
            *found,
            _cell(outcome.seconds, outcome.trials),
            f"{outcome.busy_share:.0%}",
            ratio if outcome.recommendation is not None else "none",
        )
    table.add_section()
    for name in ("median", "p90"):
        moments = [summary[moment] for moment in _MOMENTS]
        table.add_row(name, *(_cell(m["seconds"][name], m["trials"][name]) for m in moments))
    return table


def _found(found: Found | None) -> str:
    return "never" if found is None else _cell(found.seconds, found.trials)


def _cell(seconds: float, trials: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds:.0f} s, {trials:g}"
