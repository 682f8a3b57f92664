"""The Pareto front in a chart: the first two objectives of every feasible trial, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.results.charts import MARGIN, Figure, error_bars, hover, label
from tuner.results.charts_search import COLOURS
from tuner.results.lines import TrialLine
from tuner.results.overview import BASELINE, Overview, wins
from tuner.results.pareto import place_of

_STYLES = {  # place -> name, colour, symbol, size
    "knee": ("knee", "#c2185b", "diamond", 14),
    "balanced": ("on the front, best balanced", "#c2185b", "diamond", 14),
    "front": ("on the front", COLOURS["feasible"], "circle", 10),
    "within noise": ("may be on it, within the noise", COLOURS["feasible"], "circle-open", 9),
    "": ("beaten", COLOURS["interrupted"], "circle-open", 7),
}


def pareto(seen: Overview) -> Figure | None:
    """None for one objective, and where no trial is feasible. The baseline is a star wherever it lies."""
    front = seen.front
    if front is None or not front.points:
        return None
    feasible = [line for line in seen.search if wins(line) and len(line.values) > 1]
    data = []
    for place, (name, colour, symbol, size) in _STYLES.items():
        lines = [line for line in feasible if place_of(front, line) == place]
        if lines:
            data.append(_points(lines, name, colour, symbol, size))
    ends = {p.trial: p.values for p in front.points}
    if len(seen.state.goals) == 2 and len(ends) > 1:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "front",
                "x": [values[0] for values in ends.values()],
                "y": [values[1] for values in ends.values()],
                "line": {"color": COLOURS["feasible"], "width": 1, "dash": "dot"},
                "hoverinfo": "skip",
                "showlegend": False,
            }
        )
    titles = [f"{g.metric} ({'more' if g.maximize else 'less'} is better)" for g in seen.state.goals]
    layout = {
        "margin": MARGIN,
        "legend": {"orientation": "h", "y": 1.12},
        "xaxis": {"title": {"text": label(titles[0])}, "zeroline": False, "type": _scale(feasible, 0)},
        "yaxis": {"title": {"text": label(titles[1])}, "zeroline": False, "type": _scale(feasible, 1)},
    }
    return {"data": data, "layout": layout}


def _points(lines: Sequence[TrialLine], name: str, colour: str, symbol: str, size: int) -> Figure:
    columns = [[line.values[i] for line in lines] for i in (0, 1)]
    ends = [[line.intervals[i] if len(line.intervals) > i else _UNKNOWN for line in lines] for i in (0, 1)]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": columns[0],
        "y": columns[1],
        "error_x": error_bars(columns[0], ends[0]),
        "error_y": error_bars(columns[1], ends[1]),
        "text": [hover(line) for line in lines],
        "hovertemplate": "%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
        "marker": {
            "color": colour,
            "symbol": ["star" if line.trial == BASELINE else symbol for line in lines],
            "size": [13 if line.trial == BASELINE else size for line in lines],
        },
    }


_UNKNOWN = (float("nan"), float("nan"))


def _scale(lines: Sequence[TrialLine], objective: int) -> str:
    """Logarithmic where it spans more than a factor of three."""
    values = [line.values[objective] for line in lines]
    return "log" if min(values) > 0 and max(values) > 3 * min(values) else "linear"
