"""The baseline and the validated trials over the run: blocks, noise floor and drift in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuner.results.baseline_again import BaselineAgain
from tuner.results.charts import MARGIN, Figure, error_bars, first_interval, label
from tuner.results.lines import TrialLine
from tuner.results.overview import BASELINE, Overview
from tuner.trial.ports import Phase

_COLOURS = ("#8b95a3", "#1f77d0", "#d5502a", "#1a9e73", "#b565c9", "#e08a00", "#22a7b8")
_SYMBOLS = {Phase.SEARCH: "star", Phase.SENTINEL: "diamond", Phase.VALIDATION: "circle"}


def over_the_run(seen: Overview, again: BaselineAgain) -> Figure | None:
    """None where the baseline was measured only once."""
    baseline = [line for line in again.deployments if _positive(line)]
    if len(baseline) < 2:
        return None
    middle = math.exp(math.fsum(math.log(line.values[0]) for line in baseline) / len(baseline))
    arms = {BASELINE: baseline}
    for line in seen.validation:
        if line.trial != BASELINE and _positive(line):
            arms.setdefault(line.trial, []).append(line)
    ordered = sorted(arms)
    data = [
        _arm(seen, trial, arms[trial], middle, _COLOURS[min(i, len(_COLOURS) - 1)])
        for i, trial in enumerate(ordered)
    ]
    highest = max(abs(value) for trace in data for value in trace["y"])
    floor = again.floor.gain if again.floor is not None else 0.0
    seen_to = 1.4 * max(highest, min(floor, 2 * highest), 0.01)  # bars of few rounds would reach far beyond
    layout: Figure = {
        "margin": MARGIN,
        "legend": {"orientation": "h", "y": 1.14},
        "xaxis": {"title": {"text": "minutes since the run began"}, "zeroline": False},
        "yaxis": {
            "title": {"text": label(f"{seen.goal.metric}, over the baseline")},
            "tickformat": "+.1%",
            "range": [-seen_to, seen_to],
        },
    }
    if floor and math.isfinite(floor):
        ends = -floor / (1 + floor), floor
        band = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": ends[0], "y1": ends[1]}
        layout["shapes"] = [{**band, "fillcolor": "rgba(139,149,163,0.18)", "line": {"width": 0}}]
    return {"data": data, "layout": layout}


def _arm(seen: Overview, trial: int, lines: Sequence[TrialLine], middle: float, colour: str) -> Figure:
    values = [line.values[0] / middle - 1 for line in lines]
    ends = [(low / middle - 1, high / middle - 1) for low, high in map(first_interval, lines)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "baseline" if trial == BASELINE else f"trial {trial}",
        "x": [((line.started + line.ended) / 2 - seen.state.started) / 60 for line in lines],
        "y": values,
        "error_y": error_bars(values, ends),
        "text": [_what(line) for line in lines],
        "hovertemplate": "%{text}: %{y:+.1%}<extra></extra>",
        "line": {"color": colour, "dash": "dot", "width": 1},
        "marker": {"size": 10, "color": colour, "symbol": [_SYMBOLS.get(x.phase, "circle") for x in lines]},
    }


def _what(line: TrialLine) -> str:
    if line.block is not None:
        return f"block {line.block + 1}"
    return "search" if line.phase is Phase.SEARCH else f"sentinel {line.attempt}"


def _positive(line: TrialLine) -> bool:
    return bool(line.values) and 0 < line.values[0] < math.inf
