"""The report's section on answers: what each combination of values lost against the baseline."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.results.answers_told import AnswersTold
from tuner.results.figures import figure
from tuner.results.html import Markup, tag
from tuner.results.html import table as html_table
from tuner.results.overview import Overview
from tuner.trial.judgement import Judgement

_HEAD = (
    "asked",
    "change of a log-probability, nats",
    "the baseline's own, up to, nats",
    "lost, nats",
    "other first tokens",
    "other answers",
    "score",
    "score lost",
    "",
)


def answers(seen: Overview) -> Markup:
    """The comparisons, in words and as a table; nothing where answers are not compared."""
    told = AnswersTold(seen)
    sentences = told.told()
    if not sentences:
        return Markup("")
    rows = [*_rows(told, told.of_combinations, ""), *_rows(told, told.again, ", deployed again")]
    return tag(
        "section",
        tag("h2", "Answers"),
        tag(
            "p",
            "The first tokens of answers to fixed prompts, greedily, compared with the baseline's by their "
            "log-probabilities: the mean change over the tokens that the baseline finds likely, weighted by "
            "how likely. What is more than the baseline's own differences (the 95 % bound of one more "
            "of them) is lost.",
            class_="note",
        ),
        tag("ul", *(tag("li", sentence) for sentence in sentences)),
        html_table(_HEAD, rows) if rows else "",
    )


def _rows(told: AnswersTold, found: list[Judgement], where: str) -> Iterator[tuple[object, ...]]:
    for one in found:
        values = " ".join(f"{name}={figure(value)}" for name, value in one.values.items())
        yield (
            f"trial {one.trial}{where}: {values}",
            figure(one.difference),
            figure(one.own),
            figure(one.accuracy_loss),
            f"{one.first_changed:.1%}",
            f"{one.changed:.1%}",
            figure(one.score),
            "-" if one.score_loss is None else f"{one.score_loss:.1%}",
            "too much" if told.lost(one) else "allowed",
        )
