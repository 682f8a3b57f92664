"""Where several objectives are shown: status, trials, the closing block, the report, best.json."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from tuner.results.export import write_best
from tuner.results.overview import Overview
from tuner.results.report import write_report
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunStatus
from tuner.results.tables import closing, status, to_text, trials_csv, trials_table
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, State
from tuner.verdict import Gain, ObjectiveGain, Outcome, Verdict

NewRun = Callable[..., RunDirectory]
TOKENS, COST = "output_tokens_per_second", "cost_per_million_tokens"
# trial -> tokens, cost: 0 is the cheapest, 2 the fastest, 1 the knee, 3 within the noise of 1, 4 beaten
FIGURES = {0: (100.0, 1.0), 1: (190.0, 1.2), 2: (200.0, 4.0), 3: (189.0, 1.3), 4: (90.0, 3.0)}
OBJECTIVES = (
    ObjectiveGain(TOKENS, True, 0.6, Gain(0.9, 0.8, 1.0, (0.9, 0.9))),
    ObjectiveGain(COST, False, 0.4, Gain(-0.2, -0.3, -0.1, (-0.2, -0.2))),
)


@pytest.fixture
def run(new_run: NewRun, lines: Any) -> RunDirectory:
    """A finished search of two objectives, with a sixth trial beyond a limit, and no verdict yet."""
    made = new_run(status=RunStatus.FINISHED, goals=(Goal(TOKENS, True), Goal(COST, False)))
    for trial, (tokens, cost) in FIGURES.items():
        made.append_trial(line(lines, trial, tokens, cost))
    made.append_trial(line(lines, 5, 900.0, 0.1, feasible=False, violations={"ttft_p95_ms": 0.5}))
    made.append_trial(line(lines, 6, 800.0, 0.1, state=State.STOPPED))
    return made


def line(lines: Any, trial: int, tokens: float, cost: float, **more: Any) -> Any:
    return lines.trial_line(
        trial,
        values=(tokens, cost),
        intervals=((tokens * 0.97, tokens * 1.03), (cost * 0.9, cost * 1.1)),
        metrics={TOKENS: tokens, COST: cost, "ttft_p95_ms": 100.0},
        params={"parallel": 2**trial},
        **more,
    )


def better(**more: Any) -> Verdict:
    return Verdict(
        Outcome.BETTER, 0, 1, "Better in the balance.", gain=Gain(0.4, 0.3, 0.5, (0.4, 0.4)), gain_of=1,
        blocks=(0, 1), objectives=OBJECTIVES, **more,
    )  # fmt: skip


def test_the_front_holds_feasible_trials_alone(run: RunDirectory) -> None:
    front = Overview.of(run).front
    assert front is not None
    assert (front.trials, front.knee) == ((2, 1, 0), 1)
    assert [p.trial for p in front.near] == [3]


def test_one_objective_has_no_front(new_run: NewRun, lines: Any) -> None:
    made = new_run()
    lines.fill(made)
    assert Overview.of(made).front is None
    assert "front" not in to_text(trials_table(made), width=250).splitlines()[0]
    assert write_best(made, Verdict(Outcome.NO_BETTER, 0, 0, "Keep it."))["pareto"] is None


def test_status_names_the_front_and_its_knee(run: RunDirectory, lines: Any) -> None:
    said = " ".join(to_text(status(run, now=lines.now)).split())
    assert "Pareto front trials 2, 1 and 0; knee: 1" in said
    assert f"best so far trial 1: {TOKENS} 190, {COST} 1.2 (baseline 100, 1; not validated)" in said


def test_each_trial_says_its_place(run: RunDirectory) -> None:
    rows = list(csv.DictReader(io.StringIO(trials_csv(run))))
    assert [row["front"] for row in rows] == ["front", "knee", "front", "within noise", "", "", ""]
    text = to_text(trials_table(run), width=250)
    assert COST in text and "within noise" in text


def test_what_the_validation_threw_out_is_off_the_front(run: RunDirectory) -> None:
    write_best(run, better(out=(2,)))
    front = Overview.of(run).front
    assert front is not None and 2 not in front.trials


def test_best_json_holds_front_knee_weights_and_whom_the_verdict_is_about(run: RunDirectory) -> None:
    write_best(run, better())
    found = json.loads(run.best_json_path.read_text())["pareto"]
    assert (found["knee"], found["about"], found["bulges"]) == (1, 1, True)
    assert [one["trial"] for one in found["front"]] == [2, 1, 0]
    assert found["front"][1]["params"] == {"parallel": 2}
    assert found["front"][1]["values"] == [190.0, 1.2]
    assert [one["trial"] for one in found["within_noise"]] == [3]
    assert [(one["metric"], one["weight"]) for one in found["objectives"]] == [(TOKENS, 0.6), (COST, 0.4)]
    assert "Das" in found["method"]


def test_the_closing_block_lists_the_front_with_intervals(run: RunDirectory) -> None:
    write_best(run, better())
    said = " ".join(to_text(closing(run), width=200).split())
    assert "Pareto front" in said and "knee, the verdict's" in said
    assert "190 (184.3 to 195.7)" in said


def test_the_report_shows_front_knee_method_and_each_gain(run: RunDirectory, lines: Any) -> None:
    for block in (0, 1):
        for trial in (0, 1):
            run.append_trial(
                line(lines, trial, *FIGURES[trial], phase=Phase.VALIDATION, attempt=block + 1, block=block)
            )
    write_best(run, better())
    page = write_report(run).read_text(encoding="utf-8")
    for expected in (
        "Pareto front", "knee, the verdict&#x27;s", "may be on it, within the noise", "chart-front",
        "Das, Structural",
        "Trial 1 against the baseline", "-20.0 % (95 % interval -30.0 % to -10.0 %)", "worse",
        "in the balance of the objectives",
    ):  # fmt: skip
        assert expected in page, expected


def test_a_chart_of_three_objectives_says_which_it_shows(new_run: NewRun, lines: Any) -> None:
    goals = (Goal(TOKENS, True), Goal(COST, False), Goal("ttft_p95_ms", False))
    made = new_run(goals=goals)
    for trial, values in enumerate([(100.0, 1.0, 50.0), (200.0, 2.0, 70.0)]):
        ends = tuple((v * 0.9, v * 1.1) for v in values)
        made.append_trial(lines.trial_line(trial, values=values, intervals=ends))
    page = write_report(made).read_text(encoding="utf-8")
    assert "The chart shows the first two of 3 objectives." in page


def test_before_any_feasible_trial_the_report_says_so(new_run: NewRun, lines: Any) -> None:
    made = new_run(goals=(Goal(TOKENS, True), Goal(COST, False)))
    made.append_trial(lines.failed_line(0))
    assert "No feasible trial has been measured" in write_report(made).read_text(encoding="utf-8")
    assert "no feasible trial yet" in to_text(status(made, now=lines.now))


def test_a_gain_in_a_cost_says_which_way_it_is_told(new_run: NewRun, lines: Any) -> None:
    made = new_run(goals=(Goal(COST, False),))
    lines.fill(made)
    gain = Gain(0.25, 0.2, 0.3, (0.25, 0.25))
    write_best(made, Verdict(Outcome.ONLY_WINNER_FEASIBLE, 0, 1, "Only trial 1.", gain=gain, gain_of=1))
    said = " ".join(to_text(closing(made), width=200).split())
    assert f"in {COST} (baseline over trial: less is better)" in said
    page = write_report(made).read_text(encoding="utf-8")
    assert f"Gain of trial 1 over the baseline in {COST} (baseline over trial" in page


def test_what_the_run_has_cost_is_told_where_there_is_a_price(new_run: NewRun, lines: Any) -> None:
    made = new_run()
    made.append_trial(lines.trial_line(0, times={"total": 110.0, "queue": 10.0}, price_per_hour=7.2))
    made.append_trial(lines.trial_line(1, times={"total": 60.0}, price_per_hour=3.6))
    assert Overview.of(made).cost == pytest.approx(0.2 + 0.06)
    assert "cost so far 0.26 at" in " ".join(to_text(status(made, now=lines.now)).split())
    assert "cost of the run" in write_report(made).read_text(encoding="utf-8")


def test_without_a_price_nothing_is_said_of_cost(new_run: NewRun, lines: Any) -> None:
    made = new_run()
    lines.fill(made)
    assert Overview.of(made).cost is None
    assert "cost" not in to_text(status(made, now=lines.now))
