"""The report's sections on the verdict and the validation."""

from __future__ import annotations

from collections.abc import Iterable

from tuner.results import charts_validation as charts
from tuner.results.figures import figure, limit_text
from tuner.results.html import Charts, Markup, details, facts, tag
from tuner.results.html import table as html_table
from tuner.results.limits import baseline_told
from tuner.results.overview import BASELINE, Overview, outcome, why
from tuner.results.pareto import gain_in
from tuner.verdict import Outcome, Verdict
from tuner.verdict.sentences import share

_TONES = {
    Outcome.BETTER: ("good", "better"),
    Outcome.BETTER_TIED: ("good", "better; several are not told apart"),
    Outcome.NO_BETTER: ("warn", "no better than the baseline"),
    Outcome.ONLY_WINNER_FEASIBLE: ("good", "only the winner is feasible"),
    Outcome.NOTHING_FEASIBLE: ("bad", "nothing is feasible"),
    Outcome.UNVALIDATED: ("none", "not validated"),
}
_USUAL = ("requests_per_second", "ttft_p50_ms", "ttft_p99_ms", "tpot_p50_ms", "itl_p99_ms", "error_rate")


def verdict(seen: Overview) -> Markup:
    """The conclusion first; before there is one, how far the run is."""
    found = seen.verdict
    if found is None:
        return _no_verdict(seen)
    tone, badge = _TONES[found.outcome]
    inside: list[object] = [
        tag("span", badge, class_="badge"),
        tag("div", found.headline, class_="headline"),
        _big_gain(found),
    ]
    if found.details:
        inside.append(tag("ul", *(tag("li", sentence) for sentence in found.details)))
    return tag("section", *inside, class_=f"verdict {tone}")


def _no_verdict(seen: Overview) -> Markup:
    said = f"This run is {seen.progress}: {len(seen.search)} trials have ended, and there is no verdict yet."
    inside: list[object] = [tag("span", seen.progress, class_="badge"), tag("div", said, class_="headline")]
    inside += [tag("div", line) for line in baseline_told(seen)]
    if leader := seen.leader:
        pairs = zip(seen.state.goals or (seen.goal,), leader.values, strict=False)
        value = ", ".join(f"{goal.metric} {figure(value)}" for goal, value in pairs)
        inside.append(tag("div", f"Best so far, not validated: trial {leader.trial}, {value}."))
    return tag("section", *inside, class_="verdict none")


def _big_gain(found: Verdict) -> Markup:
    gain = found.gain
    if gain is None or found.outcome not in (Outcome.BETTER, Outcome.BETTER_TIED):
        return Markup("")
    interval = f"95 % interval {share(gain.low)} to {share(gain.high)}, over {len(gain.blocks)} paired blocks"
    return tag("div", share(gain.share), tag("small", interval), class_="big")


def comparison(seen: Overview) -> Markup:
    """Winner beside baseline (or the best so far), and how to serve it."""
    found = seen.verdict
    trial = found.winner if found else (seen.leader.trial if seen.leader else None)
    winner = seen.line_of(trial)
    if winner is None:
        return Markup("")
    name = f"winner (trial {trial})" if found and found.recommends else f"best so far (trial {trial})"
    if trial == BASELINE:
        name = "baseline, kept" if found and found.recommends else "baseline, the best so far"
    validated = any(line.trial == trial and line.values for line in seen.validation)
    source = "of the validation's merged rounds" if validated else "of the search, not validated"
    return tag(
        "section",
        tag("h2", "Winner and baseline" if found and found.recommends else "Best so far and baseline"),
        _parameters(seen, winner.params, name),
        facts(
            {
                "baseline is bound by": seen.bound_by(seen.line_of(BASELINE)) or "not known",
                f"{name} is bound by": seen.bound_by(winner) or "not known",
            }
        ),
        tag("h3", f"Metrics, {source}"),
        _metrics(seen, trial, name),
        _serving(seen),
    )


def _parameters(seen: Overview, new: dict[str, bool | int | float | str], name: str) -> Markup:
    baseline = seen.line_of(BASELINE)
    old = baseline.params if baseline else {}
    names = list(dict.fromkeys([*seen.state.parameters, *old, *new]))
    rows = []
    for parameter in names:
        before, after = old.get(parameter), new.get(parameter)
        changed = before != after
        shown = tag("span", figure(after), class_="mark") if changed else figure(after)
        rows.append((parameter, figure(before), shown))
    return html_table(("parameter", "baseline", name), rows)


def _metrics(seen: Overview, trial: int | None, name: str) -> Markup:
    old, new = seen.measured(BASELINE), seen.measured(trial)
    leading = [*(goal.metric for goal in seen.state.goals), *seen.state.slos]
    rows: list[tuple[object, ...]] = []
    rest: list[tuple[object, ...]] = []
    for metric in dict.fromkeys([*leading, *new]):
        before, after = old.get(metric), new.get(metric)
        limit = seen.state.slos.get(metric)
        (rows if metric in leading or metric in _USUAL else rest).append(
            (
                tag("b", metric) if metric in leading else metric,
                figure(before),
                figure(after),
                share(after / before - 1) if before and after is not None else "",
                "" if limit is None else limit_text(metric, limit),
            )
        )
    head = ("metric", "baseline", name, "change", "limit")
    shown = html_table(head, rows)
    return Markup(shown + details("All metrics", html_table(head, rest))) if rest else shown


def _serving(seen: Overview) -> Markup:
    serving = (seen.best or {}).get("serving") or {}
    path = seen.run.best_yaml_path
    if serving.get("shell"):
        return Markup(tag("h3", "Serve it with") + tag("pre", serving["shell"]))
    if serving.get("kind") == "manifest" and path.exists():
        return Markup(tag("h3", f"Apply {path.name}") + tag("pre", path.read_text(encoding="utf-8")))
    return Markup("")


def validation(seen: Overview, page: Charts) -> Markup:
    """The blocks: what each deployment gave, and the gain in each."""
    if not seen.validation:
        return Markup("")
    found = seen.verdict
    picture = charts.gain_picture(found.gain, found.blocks) if found else None
    caption = ""
    if found and found.gain:
        caption = f"Gain of trial {found.gain_of} over the baseline in {gain_in(seen, found)}"
    panes = [
        tag("div", tag("h3", "Each block"), page.place("blocks", charts.validation_values(seen), height=280))
    ]
    if picture:
        panes.append(tag("div", tag("h3", caption), page.place("gain", picture, height=280)))
    return tag(
        "section",
        tag("h2", "Validation"),
        tag(
            "p",
            "The best of the search and the baseline, deployed again in paired blocks of drawn, balanced "
            "order. A deployment is the unit of the interval; the winner is chosen on other blocks than its "
            "gain is reported from.",
            class_="note",
        ),
        tag("div", *panes, class_="pair"),
        html_table(("block", "trial", "outcome", *_columns(seen), "why"), _blocks(seen)),
    )


def _columns(seen: Overview) -> list[str]:
    return list(dict.fromkeys([*(g.metric for g in seen.state.goals or (seen.goal,)), *seen.state.slos]))


def _blocks(seen: Overview) -> Iterable[tuple[object, ...]]:
    for line in seen.validation:
        yield (
            "-" if line.block is None else line.block + 1,
            "baseline" if line.trial == BASELINE else f"trial {line.trial}",
            outcome(line),
            *(figure(line.metrics.get(metric)) for metric in _columns(seen)),
            why(line),
        )


def run_facts(seen: Overview) -> Markup:
    """What ran, where, and the experiment as it was resolved."""
    state = seen.state
    rows: dict[str, object] = {
        "run": seen.run.name,
        "status": seen.progress,
        "drivers so far": state.sessions,
    }
    versions = sorted({line.engine_version for line in seen.trials if line.engine_version})
    nodes = sorted({line.node for line in seen.trials if line.node})
    if versions:
        rows["engine"] = ", ".join(versions)
    if nodes:
        rows["nodes"] = ", ".join(nodes)
    rows["accelerator-hours"] = f"{seen.accelerator_hours:.3f}"
    if seen.cost is not None:
        rows["cost of the run"] = f"{figure(seen.cost)} at the experiment's prices"
    rows.update({name: value for name, value in state.machine.items() if name not in rows})
    text = seen.run.experiment_yaml()
    unfold = tag("details", tag("summary", "The experiment, resolved"), tag("pre", text)) if text else ""
    return tag("section", tag("h2", "Run and machine"), facts(rows), unfold)
