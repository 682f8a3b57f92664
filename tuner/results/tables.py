"""A run on a terminal: its status, its trials, and the block that closes it."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tuner.results.answers_told import AnswersTold
from tuner.results.baseline_again import BaselineAgain
from tuner.results.figures import broken, duration, figure, limit_text, moment
from tuner.results.limits import baseline_told
from tuner.results.lines import TrialLine
from tuner.results.overview import BASELINE, Overview, outcome, why
from tuner.results.pareto import gain_in, place_of, placed
from tuner.results.run_directory import RunDirectory
from tuner.trial.ports import Phase
from tuner.verdict import Front, Outcome, Verdict
from tuner.verdict.sentences import gain_text
from tuner.verdict.sentences import trials as trial_list

_STYLES = {
    "feasible": "green",
    "infeasible": "yellow",
    "stopped": "blue",
    "failed": "red",
    "interrupted": "dim",
}
_MOST_ROWS = 10  # of the front under a run
_GOOD = (Outcome.BETTER, Outcome.BETTER_TIED, Outcome.ONLY_WINNER_FEASIBLE)


def to_text(renderable: RenderableType, *, width: int = 110) -> str:
    """Plain text, without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(renderable)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def status(run: RunDirectory, *, now: float) -> RenderableType:
    """What `tuner status RUN` prints: how far the run is, who drives it, the best so far.

    Args:
        now: Unix time.
    """
    seen = Overview.of(run)
    state = seen.state
    table = _facts()
    table.add_row("run", Text(f"{run.name} ({seen.progress})"))
    holder = run.holder()
    if holder is not None:
        table.add_row("driver", Text(str(holder)))
    table.add_row("since start", duration((state.ended or now) - state.started))
    if state.paused_until is not None and seen.alive:
        table.add_row("paused", f"until {moment(state.paused_until)} (search.window)")
    planned = f" of {state.planned_trials}" if state.planned_trials else ""
    ended = ", ".join(f"{count} {word}" for word, count in sorted(seen.outcomes.items()))
    table.add_row("trials", Text(f"{len(seen.search)}{planned}" + (f": {ended}" if ended else "")))
    if state.search_ended:
        table.add_row("search ended", Text(state.search_ended))
    under_way = "under way" if seen.alive else "cut off"
    for (trial, phase, attempt), rounds in sorted(seen.under_way.items()):
        said = f"trial {trial}, {phase}, attempt {attempt}: {len(rounds)} rounds"
        if rounds[-1].values:
            said += f", {seen.goal.metric} {figure(rounds[-1].values[0])}"
        table.add_row(under_way, Text(said))
    if state.planned_blocks and seen.validation:
        blocks = len({line.block for line in seen.validation})
        most = max(blocks, state.planned_blocks)  # fewer candidates have more, a simplification adds some
        table.add_row("validation", f"{len(seen.validation)} deployments, block {blocks} of {most}")
    again = BaselineAgain(seen)
    told = {"limits": baseline_told(seen), "noise floor": again.floor_told(), "drift": again.drift_told()[:1]}
    for title, sentences in told.items():
        if sentences:
            table.add_row(title, Text(" ".join(sentences)))
    for sentence in AnswersTold(seen).told():
        table.add_row("answers", Text(sentence))
    table.add_row("best so far", Text(_best_so_far(seen)))
    if seen.front is not None and seen.front.points:
        table.add_row("Pareto front", Text(_front_so_far(seen.front)))
    table.add_row("accelerators", f"{seen.accelerator_hours:.2f} hours")
    if seen.cost is not None:
        table.add_row("cost so far", f"{figure(seen.cost)} at the experiment's prices")
    if seen.verdict is not None:
        table.add_row("verdict", Text(seen.verdict.headline))
        table.add_row("report", Text(str(run.report_path)))
    return table


def trials_table(run: RunDirectory) -> Table:
    """What `tuner trials RUN` prints: one row per ended deployment, in order."""
    seen = Overview.of(run)
    names = seen.state.parameters or _parameters(seen.trials)
    shown = list(dict.fromkeys([*(g.metric for g in seen.state.goals or (seen.goal,)), *seen.state.slos]))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column("trial", no_wrap=True)
    table.add_column("phase", no_wrap=True)
    table.add_column("parameters", overflow="fold", ratio=3)  # one column: a narrow terminal wraps it
    for metric in shown:
        table.add_column(Text(metric), justify="right", overflow="fold")
    if seen.front is not None:
        table.add_column("front", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=2)
    table.add_column("bound by", overflow="fold", ratio=2)
    for line in seen.trials:
        phase = f"{line.phase} {line.attempt}" if line.attempt > 1 or line.block is not None else line.phase
        word = outcome(line)
        table.add_row(
            "0 baseline" if line.trial == BASELINE else str(line.trial),
            str(phase),
            Text(
                " ".join(f"{name}={figure(line.params.get(name))}" for name in names if name in line.params)
            ),
            *(figure(line.metrics.get(metric)) for metric in shown),
            *([place_of(seen.front, line) if line.phase is Phase.SEARCH else ""] if seen.several else []),
            Text(word, style=_STYLES.get(word, "")),
            Text(why(line)),
            Text(seen.bound_by(line)),
        )
    return table


def trials_csv(run: RunDirectory) -> str:
    """What `tuner trials RUN --csv` prints: the columns of `tuner.results.frame`.

    With several objectives there is one more, `front`: knee, front, within noise, or nothing.
    """
    frame, seen = run.frame(), Overview.of(run)
    if seen.several and not frame.empty:
        frame["front"] = [
            place_of(seen.front, one) if one.phase is Phase.SEARCH else "" for one in seen.trials
        ]
    return str(frame.to_csv(index=False))


def closing(run: RunDirectory) -> RenderableType:
    """The block that closes a run: verdict, winner beside baseline, where to look, where the time went."""
    seen = Overview.of(run)
    verdict = seen.verdict
    if verdict is None:
        return Panel(Text("No verdict: the run ended before one could be given."), title=Text(run.name))
    style = "green" if verdict.outcome in _GOOD else "red" if verdict.exit_code else "yellow"
    parts: list[RenderableType] = [Text(verdict.headline, style=f"bold {style}")]
    parts += [Text(sentence) for sentence in verdict.details]
    if verdict.gain is not None and verdict.outcome is Outcome.ONLY_WINNER_FEASIBLE:
        said = f"Gain of trial {verdict.gain_of}: {gain_text(verdict.gain)} in {gain_in(seen, verdict)}"
        parts.append(Text(said))
    parts += [Text(sentence) for sentence in AnswersTold(seen).losers_told()]
    if comparison := _comparison(seen, verdict):
        parts.append(comparison)
    if seen.front is not None and seen.front.points:
        parts.append(_front_table(seen, seen.front, verdict))
    parts.append(_paths(seen))
    return Panel(Group(*parts), title=Text(run.name), border_style=style)


def _comparison(seen: Overview, verdict: Verdict) -> Table | None:
    baseline, winner = seen.line_of(BASELINE), seen.line_of(verdict.winner)
    if winner is None:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("baseline", justify="right")
    table.add_column(
        Text(f"winner (trial {winner.trial})" if verdict.recommends else f"trial {winner.trial}")
    )
    before = baseline.params if baseline else {}
    for name in seen.state.parameters or _parameters(seen.trials):
        old, new = before.get(name), winner.params.get(name)
        table.add_row(Text(name), Text(figure(old)), Text(figure(new), style="bold" if old != new else ""))
    for metric in (*(g.metric for g in seen.state.goals), *seen.state.slos):
        values = [figure(seen.measured(trial).get(metric)) for trial in (BASELINE, winner.trial)]
        limit = f" ({limit_text(metric, seen.state.slos[metric])})" if metric in seen.state.slos else ""
        table.add_row(Text(metric + limit), *values)
    table.add_row("bound by", Text(seen.bound_by(baseline)), Text(seen.bound_by(winner)))
    return table


def _front_table(seen: Overview, front: Front, verdict: Verdict) -> Table:
    """The front with each objective's interval; of a long one its beginning. The details name the others."""
    rows = placed(seen, front, verdict=verdict)[: len(front.points)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text("Pareto front"), title_justify="left")
    table.add_column("trial", no_wrap=True)
    for goal in seen.state.goals:
        table.add_column(Text(broken(goal.metric)), justify="right", overflow="fold")
    table.add_column("")
    for row in rows[:_MOST_ROWS]:
        table.add_row(row.name, *map(Text, row.values), Text(row.place))
    if len(rows) > _MOST_ROWS:
        table.add_row(f"and {len(rows) - _MOST_ROWS} more", *("" for _ in seen.state.goals), "in the report")
    return table


def _front_so_far(front: Front) -> str:
    said = trial_list(front.trials)
    return (
        said if front.knee is None else f"{said}; {'knee' if front.bulges else 'best balanced'}: {front.knee}"
    )


def _paths(seen: Overview) -> Table:
    run, state = seen.run, seen.state
    table = _facts()
    serving = (seen.best or {}).get("serving") or {}
    if serving.get("shell"):
        table.add_row("serve it with", Text(serving["shell"]))
    if run.best_yaml_path.exists():
        table.add_row("as a file", Text(str(run.best_yaml_path)))
    if run.report_path.exists():
        table.add_row("report", Text(str(run.report_path)))
    if state.startup_seconds:
        table.add_row("to first request", Text(parts_text(state.startup_seconds)))
    if state.spent_seconds:
        table.add_row("time", Text(parts_text(state.spent_seconds)))
    return table


def parts_text(parts: dict[str, float]) -> str:
    """'11 s: ray 8.0 s, imports 2.0 s, ours 1.0 s'."""
    said = ", ".join(f"{name} {duration(s)}" for name, s in sorted(parts.items(), key=lambda p: -p[1]))
    return f"{duration(sum(parts.values()))}: {said}"


def _best_so_far(seen: Overview) -> str:
    leader = seen.leader
    if leader is None:
        return "no feasible trial yet"
    values = zip(seen.state.goals or (seen.goal,), leader.values, strict=False)
    said = f"trial {leader.trial}: {', '.join(f'{goal.metric} {figure(value)}' for goal, value in values)}"
    baseline = seen.line_of(BASELINE)
    if baseline is not None and baseline.values and leader.trial != BASELINE:
        said += f" (baseline {', '.join(map(figure, baseline.values))}; not validated)"
    return said


def _parameters(lines: Iterable[TrialLine]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for line in lines for name in line.params))


def _facts() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
