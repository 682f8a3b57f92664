"""The report's sections on the search: trials, parameters, rounds, failures, trust, time."""

from __future__ import annotations

from itertools import groupby

from tuner.results import charts, charts_search
from tuner.results.figures import duration, figure
from tuner.results.html import Charts, Markup, details, facts, table, tag
from tuner.results.lines import TrialLine
from tuner.results.overview import BASELINE, Overview, outcome, why
from tuner.trial.ports import State

_MARKS = {
    "client_bound": "client-bound: the load generator may have shaped the figures; never prunes or wins",
    "invalid": "invalid: the asked concurrency or rate was missed; never prunes or wins",
    "contaminated": "contaminated: the prefix cache knew the prompts from before; never prunes or wins",
    "dirty": "dirty: something else used the machine; counts",
    "over_saturated": "over-saturated: the queue grew through the round",
    "unsteady": "unsteady: a trend within the window",
    "few_waves": "few waves: the window spans fewer than three waves of the closed loop",
}


def history(seen: Overview, page: Charts) -> Markup:
    """The trials in order, and all of them as a table."""
    if not seen.search:
        return tag("section", tag("h2", "Search"), tag("p", "No trial has ended yet.", class_="note"))
    ended = ", ".join(f"{count} {word}" for word, count in sorted(seen.outcomes.items()))
    why_ended = f"The search ended: {seen.state.search_ended}. " if seen.state.search_ended else ""
    return tag(
        "section",
        tag("h2", "Search"),
        tag("p", f"{len(seen.search)} trials: {ended}. {why_ended}The star is the baseline.", class_="note"),
        page.place("history", charts_search.history(seen), height=380),
        details("All trials", _all_trials(seen)),
    )


def _all_trials(seen: Overview) -> Markup:
    names = list(dict.fromkeys([*seen.state.parameters, *(n for line in seen.search for n in line.params)]))
    shown = list(dict.fromkeys([*(g.metric for g in seen.state.goals or (seen.goal,)), *seen.state.slos]))
    rows = [
        (
            "0, baseline" if line.trial == BASELINE else line.trial,
            *(figure(line.params.get(name)) for name in names),
            *(figure(line.metrics.get(metric)) for metric in shown),
            outcome(line),
            why(line),
            seen.bound_by(line),
        )
        for line in seen.search
    ]
    return table(("trial", *names, *shown, "outcome", "why", "bound by"), rows)


def parameters(seen: Overview, page: Charts) -> Markup:
    """Importance, and the objective against each parameter."""
    names = list(dict.fromkeys(name for line in seen.search for name in line.params))
    places = [
        page.place(f"parameter-{i}", charts_search.by_parameter(seen, name), height=240)
        for i, name in enumerate(names)
    ]
    drawn = [place for place in places if place]
    if not drawn:
        return Markup("")
    shares = seen.state.importance
    bars = page.place("importance", charts.bars(shares, share=True), height=60 + 26 * len(shares))
    importance = Markup(tag("h3", "Importance for the objective") + bars) if bars else Markup("")
    return tag(
        "section",
        tag("h2", "Parameters"),
        importance,
        tag("h3", f"{seen.goal.metric} against each parameter"),
        tag("div", *drawn, class_="grid"),
    )


def rounds(seen: Overview, page: Charts) -> Markup:
    """How each trial's figure settled over its rounds, and how far the rounds are to be trusted."""
    if not seen.rounds:
        return Markup("")
    picture, left_out = charts_search.rounds(seen)
    note = f" {left_out} older trials are not drawn." if left_out else ""
    trust = seen.trust
    marked = {
        text.partition(":")[0]: f"{trust[mark]} of {trust['rounds']} rounds ({text.partition(': ')[2]})"
        for mark, text in _MARKS.items()
    }
    if seen.round_trip_ms is not None:
        marked["network"] = f"{seen.round_trip_ms:.2f} ms from the load to the engine and back, in every TTFT"
    return tag(
        "section",
        tag("h2", "Rounds"),
        tag("p", f"The objective over the rounds so far, with its 95 % interval.{note}", class_="note"),
        page.place("rounds", picture, height=360),
        tag("h3", "How far the rounds are to be trusted"),
        facts(marked),
    )


def failures(seen: Overview) -> Markup:
    """Deployments that gave no measurement, by class, with the end of their logs."""
    failed = [line for line in seen.trials if line.failure is not None]
    if not failed:
        return Markup("")
    failed.sort(key=lambda line: (str(line.failure and line.failure.kind), line.trial, line.attempt))
    groups = []
    for kind, lines in groupby(failed, key=lambda line: str(line.failure and line.failure.kind)):
        found = list(lines)
        groups.append(tag("h3", f"{kind} ({len(found)})"))
        groups += [_failure(seen, line) for line in found]
    return tag("section", tag("h2", "Failures"), *groups)


def _failure(seen: Overview, line: TrialLine) -> Markup:
    assert line.failure is not None
    name = seen.run.deployment_name(line)
    params = ", ".join(f"{key}={figure(value)}" for key, value in line.params.items())
    retried = " (interrupted: told to nobody)" if line.state is State.INTERRUPTED else ""
    code = "" if line.failure.exit_code is None else f", exit code {line.failure.exit_code}"
    log = line.failure.log_tail or seen.run.log(name)
    return details(
        f"trial {line.trial}, {line.phase}, attempt {line.attempt}{retried}: {line.failure.message}",
        tag("p", f"{name}{code}. {params}", class_="note"),
        tag("pre", log) if log else tag("p", "The engine left no log.", class_="note"),
    )


def time_spent(seen: Overview, page: Charts) -> Markup:
    """Where the time went: before the first request, in deployments, over the run."""
    state = seen.state
    parts = seen.seconds_by_part
    if not (parts or state.startup_seconds or state.spent_seconds):
        return Markup("")
    blocks = [
        tag("div", tag("h3", heading), facts({name: duration(seconds) for name, seconds in found.items()}))
        for heading, found in (
            (f"To the first request: {duration(sum(state.startup_seconds.values()))}", state.startup_seconds),
            ("The run", state.spent_seconds),
        )
        if found
    ]
    chart = page.place("times", charts.bars(parts, unit="seconds"), height=70 + 26 * len(parts))
    if chart:
        blocks.append(tag("div", tag("h3", "All deployments, by part"), chart))
    return tag("section", tag("h2", "Where the time went"), tag("div", *blocks, class_="pair"))
