"""The report's section on why its verdict is to be believed: in words, then in one picture."""

from __future__ import annotations

from tuner.results import charts_belief
from tuner.results.baseline_again import BaselineAgain
from tuner.results.belief import believed
from tuner.results.html import Charts, Markup, tag
from tuner.results.overview import Overview


def belief(seen: Overview, page: Charts) -> Markup:
    """Nothing before a trial has ended."""
    again = BaselineAgain(seen)
    lines = believed(seen, again)
    if not lines:
        return Markup("")
    picture = page.place("belief", charts_belief.over_the_run(seen, again), height=320)
    caption = (
        "The baseline wherever it was measured, and what was validated, against the baseline's mean; the "
        "grey band is the noise floor before the validation."
    )
    return tag(
        "section",
        tag("h2", "Why to believe it"),
        tag("ul", *(tag("li", line) for line in lines)),
        Markup(picture + tag("p", caption, class_="note")) if picture else Markup(""),
    )
