"""Why the search ended stands in the status and in the report."""

from __future__ import annotations

from tuner.results.report import write_report
from tuner.results.tables import status, to_text

WHY = "stopped after 23 trials: what is left to gain is expected below 1 %"


def test_status_and_report_say_why_the_search_ended(new_run, lines):
    run = new_run(search_ended=WHY)
    run.append_trial(lines.trial_line(0))
    assert WHY in to_text(status(run, now=lines.now), width=200)
    write_report(run)
    assert WHY in run.report_path.read_text(encoding="utf-8")


def test_while_it_goes_on_nothing_is_said(new_run, lines):
    assert "search ended" not in to_text(status(new_run(), now=lines.now), width=200)
