"""The report's section on what each flag of the winner is worth."""

from __future__ import annotations

from tuner.results.figures import figure
from tuner.results.html import Markup, tag
from tuner.results.html import table as html_table
from tuner.results.overview import Overview
from tuner.verdict import FlagWorth, Source
from tuner.verdict.sentences import share

_HEAD = ("parameter", "baseline", "winner", "worth", "95 % interval", "told by", "")
_TOLD_BY = {
    Source.MODEL: "the model of the search's trials",
    Source.BLOCKS: "paired blocks",
}


def flags(seen: Overview) -> Markup:
    """A row a flag, those worth the most first; nothing where none is known."""
    found = seen.verdict
    if found is None or not found.flags:
        return Markup("")
    ordered = sorted(found.flags, key=lambda one: (one.source is Source.MODEL, -one.gain.share))
    return tag(
        "section",
        tag("h2", "What each flag is worth"),
        tag(
            "p",
            "By how much the winner is better than with the baseline's value of that flag and all else the "
            "same, with a 95 % interval. The model stands on single deployments of the search and is not "
            "validated; paired blocks tell of all their flags together.",
            class_="note",
        ),
        html_table(_HEAD, map(_row, ordered)),
    )


def _row(one: FlagWorth) -> tuple[object, ...]:
    def listed(values: list[object]) -> str:
        return ", ".join("the engine's default" if v is None else figure(v) for v in values)

    gain = one.gain
    worth = tag("b", share(gain.share)) if one.matters else share(gain.share)
    return (
        ", ".join(one.names),
        listed([old for _, old, _ in one.changes]),
        listed([new for _, _, new in one.changes]),
        worth,
        f"{share(gain.low)} to {share(gain.high)}" if gain.has_interval else "",
        _TOLD_BY[one.source],
        "back at the baseline's" if one.back else "",
    )
