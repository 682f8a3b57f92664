"""A simplified winner, and what its flags are worth, in best.json, the report and the closing lines."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from tuner.results.export import write_best
from tuner.results.report import write_report
from tuner.results.tables import closing, status
from tuner.trial.ports import Phase
from tuner.verdict import FlagWorth, Gain, Outcome, Simplified, Source, Verdict

SIMPLE = {"parallel": 8, "flash_attn": True, "cache_type": "f16", "fraction": 0.7}
FLAGS = (
    FlagWorth((("fraction", 0.7, 0.8),), Gain(0.002, -0.003, 0.007), Source.BLOCKS, back=True),
    FlagWorth((("parallel", None, 8),), Gain(0.123, 0.08, 0.171), Source.MODEL),
)
MADE = Simplified(6, 1, ("fraction",), 0.002, 0.006, 0.01, True, "", Gain(0.002, -0.003, 0.007, (0.002,)))
VERDICT = Verdict(
    Outcome.BETTER,
    baseline=0,
    winner=6,
    headline="Trial 6 is better.",
    details=(MADE.told(),),
    gain=Gain(0.9, 0.8, 1.0, (0.9, 0.9)),
    gain_of=6,
    blocks=(3, 4),
    simplified=MADE,
    flags=FLAGS,
)


@pytest.fixture
def run(new_run, lines):
    """A run whose winner, trial 6, was deployed for the simplification alone."""
    made = new_run()
    lines.fill(made)
    for block in (3, 4):
        for trial, value in ((0, 100.0), (1, 190.0), (6, 190.0)):
            more = {"params": SIMPLE} if trial == 6 else {}
            changes = {"phase": Phase.SIMPLIFY, "attempt": block - 2}
            measured = lines.round(1, tokens=round(2.5 * value))
            made.append_round(lines.round_line(trial, 1, value=value, round=measured, **changes))
            made.append_trial(lines.trial_line(trial, value=value, block=block, **changes, **more))
    return made


def test_best_json_names_the_winner_that_the_search_never_tried_and_its_flags(run):
    write_best(run, VERDICT)
    best = json.loads(run.best_json_path.read_text())
    assert best["winner"]["trial"] == 6 and best["winner"]["params"] == SIMPLE
    assert best["winner"]["metrics"]["output_tokens_per_second"] == pytest.approx(190.0)
    assert best["simplified"]["taken"] is True and best["simplified"]["most"] == 0.006
    assert [one["source"] for one in best["flags"]] == ["blocks", "model"]
    assert best["flags"][1]["changes"] == [{"parameter": "parallel", "baseline": None, "winner": 8}]
    assert {one["block"] for one in best["validation"]} == {0, 1, 2, 3, 4}


def test_the_report_has_a_row_for_each_flag_and_the_simplifications_blocks(run):
    write_best(run, VERDICT)
    page = write_report(run).read_text()
    section = page[page.index("What each flag is worth") :]
    for said in (
        "+12.3 %",
        "+8.0 % to +17.1 %",
        "paired blocks",
        "back at the baseline",
        "engine&#39;s default",
    ):
        assert said in section.replace("&#x27;", "&#39;"), said
    assert "winner (trial 6)" in page


def test_the_closing_lines_say_what_went_back(run):
    write_best(run, VERDICT)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(closing(run))
    console.print(status(run, now=1_790_000_500.0))
    said = console.export_text()
    assert "Trial 6 is trial 1 with fraction back at the baseline's" in said
    assert "winner (trial 6)" in said
    assert "block 5 of 5" in said
