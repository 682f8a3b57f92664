"""The report's section on several objectives: what the winner gains in each, the front, the knee."""

from __future__ import annotations

from tuner.results import charts_front
from tuner.results.figures import figure
from tuner.results.html import Charts, Markup, table, tag
from tuner.results.overview import Overview
from tuner.results.pareto import KNEE, NEAR, placed
from tuner.verdict.sentences import gain_text


def front(seen: Overview, page: Charts) -> Markup:
    """Nothing for one objective."""
    found = seen.front
    if found is None:
        return Markup("")
    if not found.points:
        said = tag("p", "No feasible trial has been measured to its end.", class_="note")
        return tag("section", tag("h2", "Pareto front"), said)
    goals, names = seen.state.goals, seen.state.parameters
    rows = [
        (one.name, *one.values, one.place, *(figure(one.line.params.get(name)) for name in names))
        for one in placed(seen, found, verdict=seen.verdict)
    ]
    more = "" if len(goals) == 2 else f" The chart shows the first two of {len(goals)} objectives."
    return tag(
        "section",
        tag("h2", "Pareto front"),
        tag("p", f"What no other feasible trial beats in every objective. {NEAR}{more}", class_="note"),
        page.place("front", charts_front.pareto(seen), height=420),
        table(("trial", *(g.metric for g in goals), "place", *names), rows),
        tag("p", f"{KNEE} Figures are those of the search, one deployment each.", class_="note"),
        _each_objective(seen),
    )


def _each_objective(seen: Overview) -> Markup:
    """The verdict's trial beside the baseline in each objective."""
    verdict = seen.verdict
    if verdict is None or not any(one.gain for one in verdict.objectives):
        return Markup("")
    rows = [
        (one.metric, f"{one.weight:.2f}", gain_text(one.gain) if one.gain else "-", one.word)
        for one in verdict.objectives
    ]
    title = f"Trial {verdict.gain_of} against the baseline, in the validation (a plus is better)"
    return Markup(tag("h3", title) + table(("objective", "weight in the balance", "gain", ""), rows))
