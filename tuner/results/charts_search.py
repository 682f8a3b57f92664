"""The search in charts: history, each parameter, rounds. None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.results.charts import MARGIN, Figure, error_bars, first_interval, hover, label
from tuner.results.figures import figure
from tuner.results.lines import RoundLine, TrialLine
from tuner.results.overview import BASELINE, Overview, outcome
from tuner.trial.ports import Phase

COLOURS = {
    "feasible": "#1a9e73",
    "infeasible": "#e08a00",
    "stopped": "#5b8def",
    "interrupted": "#8b95a3",
    "failed": "#d5502a",
}
_SYMBOLS = {"feasible": "circle", "infeasible": "circle-open", "stopped": "triangle-down-open"}
MOST_LINES = 40
_MOST_TICKS = 8


def history(seen: Overview) -> Figure | None:
    """The objective by trial, in the order in which they ended, with the best so far."""
    ordered = seen.best_so_far
    if not ordered:
        return None
    place = {line.trial: i for i, (line, _) in enumerate(ordered)}
    data = [
        _points([line for line, _ in ordered if line.values and outcome(line) == word], place, word)
        for word in COLOURS
    ]
    lost = [line for line, _ in ordered if not line.values]
    for word in ("failed", "interrupted", "stopped"):
        data.append(_unmeasured([line for line in lost if outcome(line) == word], place, word))
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best feasible so far",
            "x": [place[line.trial] for line, _ in ordered],
            "y": [best for _, best in ordered],
            "line": {"shape": "hv", "color": COLOURS["feasible"], "width": 2},
            "hoverinfo": "skip",
        }
    )
    ticks = ordered[:: max(1, len(ordered) // 20)]
    layout = {
        "margin": MARGIN,
        "legend": {"orientation": "h", "y": 1.12},
        "xaxis": {
            "title": {"text": "trial, in the order in which they ended"},
            "tickvals": [place[line.trial] for line, _ in ticks],
            "ticktext": [str(line.trial) for line, _ in ticks],
            "zeroline": False,
        },
        "yaxis": {"title": {"text": label(seen.goal.metric)}, "domain": [0.14 if lost else 0, 1]},
    }
    if lost:
        layout["yaxis2"] = {"domain": [0, 0.08], "showticklabels": False, "showgrid": False, "range": [-1, 1]}
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _points(lines: Sequence[TrialLine], place: dict[int, int], word: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": word,
        "x": [place[line.trial] for line in lines],
        "y": [line.values[0] for line in lines],
        "error_y": error_bars([line.values[0] for line in lines], [first_interval(line) for line in lines]),
        "text": [hover(line) for line in lines],
        "hovertemplate": "%{text}<br>%{y:.4g}<extra></extra>",
        "marker": {
            "color": COLOURS[word],
            "symbol": [
                "star" if line.trial == BASELINE else _SYMBOLS.get(word, "x-thin-open") for line in lines
            ],
            "size": [13 if line.trial == BASELINE else 9 for line in lines],
        },
    }


def _unmeasured(lines: Sequence[TrialLine], place: dict[int, int], word: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{word}, not measured",
        "x": [place[line.trial] for line in lines],
        "y": [0 for _ in lines],
        "yaxis": "y2",
        "text": [hover(line) for line in lines],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": COLOURS[word], "symbol": "x", "size": 8},
    }


def by_parameter(seen: Overview, name: str) -> Figure | None:
    """The objective against one parameter."""
    measured = [line for line in seen.search if line.values and name in line.params]
    if not measured:
        return None
    numeric = all(type(line.params[name]) in (int, float) for line in measured)
    data = []
    for word, colour in COLOURS.items():
        lines = [line for line in measured if outcome(line) == word]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": word,
                "showlegend": False,
                "x": [line.params[name] if numeric else label(figure(line.params[name])) for line in lines],
                "y": [line.values[0] for line in lines],
                "text": [hover(line) for line in lines],
                "hovertemplate": "%{text}<br>%{y:.4g}<extra></extra>",
                "marker": {"color": colour, "symbol": _SYMBOLS.get(word, "x-thin-open"), "size": 8},
            }
        )
    axis: Figure = {"title": {"text": label(name)}, "zeroline": False}
    values = sorted({line.params[name] for line in measured}, key=str if not numeric else None)
    if not numeric:
        axis.update(type="category", categoryorder="array", categoryarray=[label(figure(v)) for v in values])
    elif name in seen.state.log_parameters:
        axis["type"] = "log"
    if numeric and len(values) <= _MOST_TICKS:
        axis["tickvals"] = values
        axis["ticktext"] = [figure(value) for value in values]
    return {
        "data": [trace for trace in data if trace["x"]],
        "layout": {"margin": {**MARGIN, "l": 52}, "xaxis": axis, "yaxis": {"zeroline": False, "nticks": 5}},
    }


def rounds(seen: Overview) -> tuple[Figure | None, int]:
    """The objective over the rounds so far with its interval, one line a search deployment.

    Returns:
        The figure, and how many lines were left out because a page of them cannot be read: the best
        trial, the baseline and the newest stay.
    """
    keep = {BASELINE, seen.leader.trial if seen.leader else BASELINE}
    found: dict[int, list[RoundLine]] = {}
    for line in seen.rounds:
        if line.phase is Phase.SEARCH and line.values:
            kept = found.setdefault(line.trial, [])
            if kept and line.attempt != kept[-1].attempt:
                kept.clear()
            kept.append(line)
    newest = [trial for trial in sorted(found, reverse=True) if trial not in keep]
    shown = sorted([t for t in keep if t in found] + newest[: MOST_LINES - len(keep)])
    if not shown:
        return None, 0
    words = {line.trial: outcome(line) for line in seen.search}
    data = [_round_line(found[trial], words.get(trial, "interrupted"), trial in keep) for trial in shown]
    longest = max(len(lines) for lines in found.values())
    ticks = {"tickformat": "d", "tick0": 1, "dtick": -(-longest // 12)}  # whole rounds, a dozen at most
    layout = {
        "margin": MARGIN,
        "legend": {"font": {"size": 11}},
        "xaxis": {"title": {"text": "rounds so far"}, **ticks, "zeroline": False},
        "yaxis": {"title": {"text": label(seen.goal.metric)}, "zeroline": False},
    }
    return {"data": data, "layout": layout}, len(found) - len(shown)


def _round_line(lines: Sequence[RoundLine], word: str, strong: bool) -> Figure:
    trial = lines[0].trial
    values = [line.values[0] for line in lines]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "baseline" if trial == BASELINE else f"trial {trial}",
        "x": [line.round.number for line in lines],
        "y": values,
        "error_y": {
            **error_bars(values, [first_interval(line) for line in lines]),
            "thickness": 1,
            "width": 3,
        },
        "text": [f"{word}; {label(line.decision)}" for line in lines],
        "hovertemplate": "%{y:.4g} after round %{x}<br>%{text}",
        "line": {"color": COLOURS[word], "width": 2.5 if strong else 1},
        "marker": {"size": 7 if strong else 5, "symbol": "star" if trial == BASELINE else "circle"},
        "opacity": 1 if strong else 0.6,
    }
