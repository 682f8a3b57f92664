"""The validation in charts. None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.results.charts import MARGIN, Figure, error_bars, first_interval, label
from tuner.results.overview import BASELINE, Overview
from tuner.verdict import Gain

_ARMS = ("#8b95a3", "#1f77d0", "#d5502a", "#1a9e73", "#b565c9", "#e08a00", "#22a7b8")


def validation_values(seen: Overview) -> Figure | None:
    """The objective of each configuration in each block."""
    lines = [line for line in seen.validation if line.values and line.block is not None]
    arms = sorted({line.trial for line in lines})
    data = []
    for trial, colour in zip(arms, _ARMS * (1 + len(arms) // len(_ARMS)), strict=False):
        own = [line for line in lines if line.trial == trial]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "baseline" if trial == BASELINE else f"trial {trial}",
                "x": [(line.block or 0) + 1 for line in own],
                "y": [line.values[0] for line in own],
                "error_y": error_bars(
                    [line.values[0] for line in own], [first_interval(line) for line in own]
                ),
                "line": {"color": colour, "dash": "dot"},
                "marker": {"size": 9, "symbol": "star" if trial == BASELINE else "circle"},
            }
        )
    layout = {
        "margin": MARGIN,
        "legend": {"orientation": "h", "y": 1.14},
        "xaxis": {"title": {"text": "block"}, "dtick": 1, "zeroline": False},
        "yaxis": {"title": {"text": label(seen.goal.metric)}, "zeroline": False},
    }
    return {"data": data, "layout": layout} if data else None


def gain_picture(gain: Gain | None, blocks: Sequence[int]) -> Figure | None:
    """The gain in each block, and over them with its interval."""
    if gain is None:
        return None
    names = [f"block {block + 1}" for block in blocks]
    each = {
        "type": "scatter",
        "mode": "markers",
        "x": list(gain.blocks),
        "y": names,
        "marker": {"size": 10, "color": "#8b95a3"},
        "hovertemplate": "%{y}: %{x:+.1%}<extra></extra>",
    }
    whole = {
        "type": "scatter",
        "mode": "markers",
        "x": [gain.share],
        "y": ["gain, 95 %"],
        "marker": {"size": 13, "color": "#1f77d0", "symbol": "diamond"},
        "hovertemplate": "%{x:+.1%}<extra></extra>",
    }
    if gain.has_interval:
        whole["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [gain.high - gain.share],
            "arrayminus": [gain.share - gain.low],
            "thickness": 2.5,
            "width": 8,
        }
    layout = {
        "margin": {**MARGIN, "l": 86},
        "showlegend": False,
        "xaxis": {
            "tickformat": "+.0%",
            "zeroline": True,
            "zerolinewidth": 2,
            "title": {"text": "over the baseline"},
        },
        "yaxis": {
            "type": "category",
            "autorange": "reversed",
            "categoryorder": "array",
            "categoryarray": [*names, "gain, 95 %"],
        },
    }
    return {"data": [each, whole], "layout": layout}
