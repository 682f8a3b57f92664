"""report.html: one file to keep, mail or open offline. The verdict first, then what it rests on."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tuner.results import (
    sections,
    sections_answers,
    sections_belief,
    sections_flags,
    sections_front,
    sections_loads,
    sections_search,
)
from tuner.results.figures import duration
from tuner.results.files import write_whole
from tuner.results.html import Charts
from tuner.results.overview import Overview
from tuner.results.page import page
from tuner.results.run_directory import RunDirectory


def write_report(run: RunDirectory) -> Path:
    """Write report.html from what the run directory holds; also of an unfinished or an empty run.

    Returns:
        Its path.

    Raises:
        UserError, WorldError: it could not be written, or the run could not be read.
    """
    write_whole(run.report_path, render(Overview.of(run)))
    return run.report_path


def render(seen: Overview) -> str:
    """The report as HTML: self-contained, fetching nothing."""
    charts = Charts()
    parts = [
        sections.verdict(seen),
        sections.comparison(seen),
        sections_flags.flags(seen),
        sections_loads.other_loads(seen),
        sections_front.front(seen, charts),
        sections_belief.belief(seen, charts),
        sections.validation(seen, charts),
        sections_answers.answers(seen),
        sections_search.history(seen, charts),
        sections_search.parameters(seen, charts),
        sections_search.rounds(seen, charts),
        sections_search.failures(seen),
        sections_search.time_spent(seen, charts),
        sections.run_facts(seen),
    ]
    started = datetime.fromtimestamp(seen.state.started).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    lasted = "" if seen.state.ended is None else f", {duration(seen.state.ended - seen.state.started)}"
    subtitle = f"{seen.run.name}, started {started}{lasted}"
    return page(title=seen.state.experiment, subtitle=subtitle, sections=parts, charts=charts)
