"""The report's section on the winner at other loads than the workload's."""

from __future__ import annotations

from tuner.results.html import Markup, tag
from tuner.results.html import table as html_table
from tuner.results.overview import Overview
from tuner.verdict import OtherLoad
from tuner.verdict.sentences import misses, share

_HEAD = (
    "times the load",
    "gain over the baseline",
    "95 % interval",
    "limits missed there that the baseline keeps",
    "",
)


def other_loads(seen: Overview) -> Markup:
    """A row a load; nothing where none was measured."""
    found = seen.verdict
    if found is None or not found.loads:
        return Markup("")
    return tag(
        "section",
        tag("h2", "The winner at other loads"),
        tag(
            "p",
            "One round of each deployment of the blocks, after its rounds at the workload's own load.",
            class_="note",
        ),
        html_table(_HEAD, map(_row, found.loads)),
    )


def _row(one: OtherLoad) -> tuple[object, ...]:
    gain = one.gain
    return (
        f"{one.load:g}",
        share(gain.share) if gain else "not measured",
        f"{share(gain.low)} to {share(gain.high)}" if gain and gain.has_interval else "",
        misses(one.missed) if one.missed else "",
        tag("b", f"collapses{f': {one.failed}' if one.failed else ''}") if one.collapses else "holds up",
    )
