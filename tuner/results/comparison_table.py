"""Two runs side by side on a terminal."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tuner.results.comparison import Comparison, Pair, Row
from tuner.results.deploy_times import PartTime
from tuner.results.figures import figure, limit_text
from tuner.results.overview import Overview
from tuner.results.tally import Tally
from tuner.verdict.sentences import share
from tuner.verdict.unpaired import Estimate

_STYLES = {"better": "green", "worse": "red", "apart": "yellow", "": "dim"}  # by the last word
_RATIO = "B over A"


def comparison_table(found: Comparison) -> RenderableType:
    """What `tuner compare` prints: what differs, each pair's metrics, deploy times, and what it cost."""
    parts: list[RenderableType] = [_runs(found)]
    parts += [Text(sentence, style="bold") for sentence in found.sentences]
    parts += [Text(note) for note in found.notes]
    parts += [_pair(pair, found) for pair in found.pairs]
    parts.append(Text("Each interval is a 95 % one by itself, over deployments.", style="dim"))
    if found.times:
        parts.append(_times(found))
    parts.append(_tallies(*found.tallies))
    return Group(*parts)


def _runs(found: Comparison) -> Table:
    table = _table("", "A", "B")
    a, b = found.a, found.b
    table.add_row("run", Text(f"{a.run.name} ({a.progress})"), Text(f"{b.run.name} ({b.progress})"))
    table.add_row("started", _started(a), _started(b))
    for one in found.differences:
        table.add_row(Text(one.key), Text(one.a), Text(one.b))
    if not found.differences:
        table.add_row("differences", "none", "none")
    return table


def _pair(pair: Pair, found: Comparison) -> Table:
    table = _table(
        pair.title, f"A: {pair.a}", f"B: {pair.b}", _RATIO, "", justify=("left", *["right"] * 3, "left")
    )
    for one in pair.params:
        table.add_row(Text(one.key), Text(one.a), Text(one.b), "", "")
    gain = (found.gain,) if found.gain and pair.title == "winner" else ()
    for row in (*pair.rows[:1], *gain, *pair.rows[1:]):
        table.add_row(
            Text(_metric(row.metric, found)),
            Text(_value(row.a)),
            Text(_value(row.b)),
            Text(_ratio(row)),
            Text(row.judged or row.ratio.why, style=_STYLES[row.judged.rpartition(" ")[2]]),
        )
    return table


def _metric(metric: str, found: Comparison) -> str:
    """With the limit, where there is one; with both where they are not the same."""
    limits = [
        limit_text(metric, side.state.slos[name])
        for side in (found.a, found.b)
        for name in (metric, metric.rpartition(".")[2])
        if name in side.state.slos
    ]
    return f"{metric} ({', '.join(dict.fromkeys(limits))})" if limits else metric


def _value(one: Estimate) -> str:
    if not one.has_interval:
        return figure(one.value)
    return f"{figure(one.value)} ({figure(one.low)} to {figure(one.high)})"


def _ratio(row: Row) -> str:
    ratio = row.ratio
    if math.isnan(ratio.ratio):
        return "-"
    said = share(ratio.ratio - 1)
    if not ratio.has_interval:
        return said
    return f"{said} ({(ratio.low - 1) * 100:+.1f} to {(ratio.high - 1) * 100:+.1f})"


def _times(found: Comparison) -> Table:
    table = _table("time to ready, median seconds", "A", "B", justify=("left", "right", "right"))
    for a, b in found.times:
        table.add_row(Text(f"{a.start}: {a.part}" if a.start else a.part), _median(a), _median(b))
    return table


def _median(one: PartTime) -> str:
    return "-" if one.seconds is None else f"{one.seconds:.2f} (of {one.deployments})"


def _tallies(a: Tally, b: Tally) -> Table:
    table = _table("", "A", "B", justify=("left", "right", "right"))
    table.add_row("trials of the search", str(a.trials.total()), str(b.trials.total()))
    _counted(table, a.trials, b.trials, "  {}")
    table.add_row("deployments", str(a.deployments), str(b.deployments))
    _counted(table, a.failures, b.failures, "  failed: {}")
    _counted(table, a.marks, b.marks, "{}", first="rounds")
    table.add_row("accelerator-hours", f"{a.accelerator_hours:.2f}", f"{b.accelerator_hours:.2f}")
    table.add_row("wall minutes", f"{a.seconds / 60:.1f}", f"{b.seconds / 60:.1f}")
    return table


def _counted(table: Table, a: Counter[str], b: Counter[str], said: str, *, first: str = "") -> None:
    names = sorted({*a, *b}, key=lambda name: (name != first, name))
    for name in names:
        if a[name] or b[name]:
            indent = "  " if first and name != first else ""
            table.add_row(Text(indent + said.format(name)), str(a[name]), str(b[name]))


def _started(seen: Overview) -> str:
    return f"{datetime.fromtimestamp(seen.state.started, UTC):%Y-%m-%d %H:%M} UTC"


def _table(*columns: str, justify: tuple[str, ...] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, title in enumerate(columns):
        right = at < len(justify) and justify[at] == "right"
        table.add_column(
            Text(title), justify="right" if right else "left", overflow="fold", no_wrap=title == _RATIO
        )
    return table
