"""Pieces that the report's charts share. A chart is a figure of plotly.js: a plain dict of data and
layout, so that plotly's own objects need no import.

Strings from outside are escaped by `label`, because plotly reads a little HTML in its labels.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from tuner.results.figures import figure
from tuner.results.lines import RoundLine, TrialLine
from tuner.results.overview import BASELINE, outcome, why

Figure = dict[str, Any]
MARGIN = {"l": 64, "r": 16, "t": 12, "b": 44}


def label(text: object) -> str:
    """Text that plotly shows as it is."""
    return html.escape(str(text), quote=False)


def hover(line: TrialLine) -> str:
    """What is said of a trial when it is pointed at."""
    name = "baseline (trial 0)" if line.trial == BASELINE else f"trial {line.trial}"
    rows = [f"<b>{name}</b>: {outcome(line)}"]
    rows += [f"{label(key)} = {label(figure(value))}" for key, value in line.params.items()]
    if said := why(line):
        rows.append(label(said if len(said) <= 90 else said[:89] + "…"))
    return "<br>".join(rows)


def bars(shares: dict[str, float], *, unit: str = "", share: bool = False) -> Figure | None:
    """Horizontal bars, the longest on top; `share` shows percent. None where there are none."""
    if not shares:
        return None
    ordered = sorted(shares.items(), key=lambda item: item[1])
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [length for _, length in ordered],
        "y": [label(name) for name, _ in ordered],
        "marker": {"color": "#5b8def"},
        "hovertemplate": f"%{{y}}: %{{x:{'.1%' if share else '.1f'}}} {label(unit)}<extra></extra>",
    }
    axis: Figure = {"title": {"text": label(unit)}, "rangemode": "tozero"}
    if share:
        axis["tickformat"] = ".0%"
    return {"data": [trace], "layout": {"margin": {**MARGIN, "l": 130}, "xaxis": axis, "yaxis": {}}}


def first_interval(line: TrialLine | RoundLine) -> tuple[float, float]:
    """Of the leading objective; NaN where it cannot be told."""
    return line.intervals[0] if line.intervals else (math.nan, math.nan)


def error_bars(values: Sequence[float], ends: Sequence[tuple[float, float]]) -> Figure:
    """plotly.js's error bars from intervals; an end that is NaN, or infinite, is not drawn."""

    def length(longer: float, shorter: float) -> float:
        return longer - shorter if math.isfinite(longer - shorter) else math.nan

    return {
        "type": "data",
        "symmetric": False,
        "array": [length(high, value) for value, (_, high) in zip(values, ends, strict=True)],
        "arrayminus": [length(value, low) for value, (low, _) in zip(values, ends, strict=True)],
        "thickness": 1,
        "width": 4,
    }
