from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from tuner.results.export import write_best
from tuner.results.figures import broken, duration, figure
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunStatus
from tuner.results.tables import closing, status, to_text, trials_csv, trials_table
from tuner.trial.serving import Serving
from tuner.verdict import Gain, Outcome, Verdict

NewRun = Callable[..., RunDirectory]


def test_status_during_a_run_says_how_far_it_is_and_who_drives_it(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    run.append_trial(lines.trial_line(0, value=100.0))
    run.append_round(lines.round_line(1, 1, value=150.0))
    run.append_round(lines.round_line(1, 2, value=160.0))
    said = to_text(status(RunDirectory.open(run.root, run.name), now=lines.now + 65))
    assert "(running)" in said
    assert "driver" in said
    assert "1 min 05 s" in said
    assert "1 of 12: 1 feasible" in said
    assert "trial 1, search, attempt 1: 2 rounds, output_tokens_per_second 160" in said
    assert "under way" in said


def test_status_tells_a_killed_run_from_a_running_one(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    run.append_round(lines.round_line(1, 1))
    run.release()
    said = to_text(status(run, now=lines.now))
    assert "(killed)" in said
    assert "cut off" in said
    assert "driver" not in said


def test_status_of_a_finished_run_shows_the_verdict(new_run: NewRun, lines: Any) -> None:
    run = new_run(status=RunStatus.FINISHED, ended=lines.now + 120)
    lines.fill(run)
    write_best(run, Verdict(Outcome.NO_BETTER, 0, 0, "Keep the baseline."))
    said = to_text(status(run, now=lines.now + 9999))
    assert "Keep the baseline." in said
    assert "6 deployments, block 3 of 3" in said
    assert "trial 1: output_tokens_per_second 200 (baseline 100; not validated)" in said


def test_an_empty_run_has_a_status(new_run: NewRun, lines: Any) -> None:
    assert "no feasible trial yet" in to_text(status(new_run(), now=lines.now))


def test_each_deployment_is_a_row_with_its_reason(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    said = " ".join(to_text(trials_table(run), width=220).split())
    assert "0 baseline search parallel=8 " in said
    assert "=0.8 100" in said
    assert "failed crash: the engine ended with code 1" in said
    assert "infeasible beyond its limit: ttft_p95_ms +25 %" in said
    assert "stopped hopeless: ttft_p95_ms" in said
    assert "validation" in said


def test_the_csv_is_read_back_with_a_row_for_each_deployment(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    lines.fill(run)
    rows = list(csv.DictReader(io.StringIO(trials_csv(run))))
    assert len(rows) == 12
    assert rows[0]["params.parallel"] == "8"
    assert rows[3]["failure.kind"] == "crash"


def test_square_brackets_in_an_engines_message_are_text(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    run.append_trial(lines.failed_line(1, "[bold]no such[/bold] [/red] flag"))
    assert "[bold]no such[/bold] [/red] flag" in to_text(trials_table(run), width=220)


def test_the_closing_block_names_winner_baseline_gain_and_paths(new_run: NewRun, lines: Any) -> None:
    run = new_run(status=RunStatus.FINISHED)
    lines.fill(run)
    headline = "Trial 1 is better than the baseline: +100.0 % (95 % interval +90.0 % to +110.0 %)."
    gain = Gain(1.0, 0.9, 1.1, (1.0, 1.0, 1.0))
    verdict = Verdict(Outcome.BETTER, 0, 1, headline, gain=gain, gain_of=1, blocks=(0, 1, 2))
    write_best(run, verdict, serving=Serving(command=("llama-server", "--parallel", "8")))
    run.report_path.write_text("")
    said = to_text(closing(run), width=200)
    for expected in (headline, "winner (trial 1)", "llama-server --parallel 8", "best.yaml", "report.html"):
        assert expected in said
    assert "bound by" in said and "not known: the engine does not tell its queue" in said
    assert "to first request" in said


def test_a_run_without_a_verdict_is_closed_without_one(new_run: NewRun) -> None:
    assert "No verdict" in to_text(closing(new_run()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (float("nan"), "-"), (True, "yes"), (8, "8"), (0.85, "0.85"), (1234.567, "1,235"),
        (12.3456, "12.35"), (0.0, "0"), (1e-5, "1e-05"), (float("inf"), "inf"), ("q8_0", "q8_0"),
        (100.0, "100"), (9999.96, "10,000"),
    ],
)  # fmt: skip
def test_figures_have_four_digits(value: object, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (12.4, "12 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_are_said_as_a_person_would(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_long_name_is_broken_behind_its_underscores() -> None:
    assert broken("cost_per_million_output_tokens") == "cost_per_\nmillion_\noutput_tokens"
    assert broken("ttft_p95_ms") == "ttft_p95_ms"
    assert broken("x" * 40) == "x" * 40
