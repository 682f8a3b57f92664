"""Two runs side by side: what is said of them, and how it is shown."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from tuner.cli import compare as command
from tuner.errors import Failure, FailureClass
from tuner.results.comparison import Comparison, Pair, Row, compare
from tuner.results.comparison_table import comparison_table
from tuner.results.run_directory import RunDirectory
from tuner.results.tables import to_text
from tuner.trial.ports import State
from tuner.verdict import Outcome

GOAL = "output_tokens_per_second"
BASELINE = {"parallel": 8}
WINNER = {"parallel": 32}
MakeRun = Callable[..., RunDirectory]
TwoRuns = Callable[..., tuple[RunDirectory, RunDirectory]]


def pair(found: Comparison, title: str) -> Pair:
    return next(one for one in found.pairs if one.title == title)


def row(found: Pair, metric: str) -> Row:
    return next(one for one in found.rows if one.metric == metric)


def test_alike_runs_are_not_told_apart_and_the_sentence_says_by_how_much(two_runs: TwoRuns) -> None:
    found = compare(*two_runs())
    assert [one.title for one in found.pairs] == ["baseline", "winner"]
    sentence = pair(found, "winner").sentence
    assert sentence.startswith(f"Winner: {GOAL} of B is 0.3 % higher (95 % interval -")
    assert sentence.endswith("not told apart.")


def test_a_slower_run_is_worse_in_throughput_and_in_latency(two_runs: TwoRuns) -> None:
    a, b = two_runs(factor=0.8)
    found = pair(compare(a, b), "winner")
    assert row(found, GOAL).ratio.ratio == pytest.approx(0.8, rel=0.02)
    assert row(found, GOAL).judged == "B was worse"
    assert row(found, "ttft_p95_ms").ratio.ratio == pytest.approx(1.25, rel=0.02)
    assert row(found, "ttft_p95_ms").judged == "B was worse"
    assert row(pair(compare(b, a), "winner"), GOAL).judged == "B was better"


def test_drift_between_the_runs_leaves_the_gain_alone(make_run: MakeRun) -> None:
    a = make_run("apvc0000-pvc", {0: (100, 104, 98), 3: (200, 209, 195)})
    b = make_run("bhost000-host", {0: (150, 156, 147), 3: (301, 312, 295)}, started=900.0)
    found = compare(a, b)
    assert row(pair(found, "winner"), GOAL).judged == "B was better"
    assert found.gain is not None
    assert found.gain.judged == "not told apart"
    assert found.gain.ratio.ratio == pytest.approx(1.0, abs=0.01)
    assert found.gain.a.value == pytest.approx(2.0, rel=0.01)


def test_a_smaller_gain_is_told(two_runs: TwoRuns) -> None:
    gain = compare(*two_runs(factor=0.7)).gain
    assert gain is not None
    assert gain.judged == "B's gain was worse"


def test_one_deployment_on_a_side_gives_no_interval_and_no_judgement(make_run: MakeRun) -> None:
    a = make_run("apvc0000-pvc", {0: (100,), 3: (200,)})
    b = make_run("bhost000-host", {0: (50, 51), 3: (80, 81)})
    found = pair(compare(a, b), "winner")
    assert math.isnan(row(found, GOAL).ratio.low)
    assert row(found, GOAL).judged == ""
    assert "no interval: 1 and 2 deployments" in found.sentence
    assert "cannot be told apart from chance" in found.sentence


def test_the_baselines_deployment_of_the_search_counts_and_the_winners_does_not(
    make_run: MakeRun, lines: Any
) -> None:
    searched = [lines.trial_line(t, value=9.0, params=p) for t, p in ((0, BASELINE), (3, WINNER))]
    a = make_run("apvc0000-pvc", {0: (100, 104), 3: (200, 205)}, searched=searched)
    b = make_run("bhost000-host", {0: (100, 104), 3: (200, 205)})
    found = compare(a, b)
    assert row(pair(found, "baseline"), GOAL).a.deployments == 3
    assert row(pair(found, "winner"), GOAL).a.deployments == 2
    assert found.gain is not None
    assert found.gain.a.deployments == 2


def test_rounds_that_cannot_be_trusted_are_left_out_and_said(make_run: MakeRun, lines: Any) -> None:
    searched = [lines.trial_line(0, value=100.0, params=BASELINE)]
    a = make_run("apvc0000-pvc", {0: (300, 305)}, usable=False, searched=searched, winner=0)
    b = make_run("bhost000-host", {0: (100, 104)}, winner=0)
    found = compare(a, b)
    assert row(pair(found, "baseline"), GOAL).a.value == pytest.approx(100.0)
    assert any("A's baseline, 1 deployment: 2 more gave no measurement" in note for note in found.notes)


def test_a_winner_that_was_only_searched_is_said_to_be_flattered(make_run: MakeRun, lines: Any) -> None:
    searched = [lines.trial_line(3, value=210.0, params=WINNER)]
    a = make_run("apvc0000-pvc", {0: (100, 104)}, outcome=Outcome.UNVALIDATED, winner=3, searched=searched)
    b = make_run("bhost000-host", {0: (100, 104), 3: (200, 205)})
    found = compare(a, b)
    assert pair(found, "winner").a.role == "best of the search"
    assert any("which flatters it" in note for note in found.notes)
    assert found.gain is None


def test_a_winner_is_compared_in_both_runs_where_both_measured_its_configuration(make_run: MakeRun) -> None:
    a = make_run("apvc0000-pvc", {0: (100, 104), 3: (200, 205)})
    b = make_run(
        "bhost000-host",
        {0: (100, 104), 3: (210, 215), 5: (190, 195)},
        params={3: {"parallel": 64}, 5: WINNER},
    )
    found = compare(a, b)
    assert [one.title for one in found.pairs] == ["baseline", "winner", "A's winner in both"]
    assert [(one.key, one.a, one.b) for one in pair(found, "winner").params] == [("parallel", "32", "64")]
    same = pair(found, "A's winner in both")
    assert (same.a.trial, same.b.trial) == (3, 5)
    assert same.params == ()


def test_a_run_without_a_winner_is_compared_by_its_baseline(make_run: MakeRun) -> None:
    a = make_run("apvc0000-pvc", {0: (100, 104)}, outcome=Outcome.NOTHING_FEASIBLE, winner=None)
    b = make_run("bhost000-host", {0: (100, 104), 3: (200, 205)})
    found = compare(a, b)
    assert [one.title for one in found.pairs] == ["baseline"]
    assert "A has no winner: Said of it." in found.notes


def test_runs_that_both_keep_their_baseline_are_compared_once(make_run: MakeRun) -> None:
    a = make_run("apvc0000-pvc", {0: (100, 104)}, outcome=Outcome.NO_BETTER, winner=0)
    b = make_run("bhost000-host", {0: (100, 104)}, outcome=Outcome.NO_BETTER, winner=0)
    assert [one.title for one in compare(a, b).pairs] == ["baseline"]


@pytest.mark.parametrize(
    ("started", "said"),
    [(900.0, "B began 5 min 00 s after A had ended"), (-900.0, "A began 5 min 00 s after B had ended")],
)
def test_the_time_between_the_runs_is_said(two_runs: TwoRuns, started: float, said: str) -> None:
    assert said in compare(*two_runs(started=started)).notes[0]


def test_runs_at_the_same_time_are_said_to_overlap(two_runs: TwoRuns) -> None:
    assert "overlap in time" in compare(*two_runs(started=10.0)).notes[0]


def test_failures_are_counted_by_class_beside_trials_and_accelerator_hours(
    make_run: MakeRun, lines: Any
) -> None:
    mount = Failure(FailureClass.MOUNT, "claim models not found")
    searched = [
        lines.failed_line(1),
        lines.trial_line(2, state=State.FAILED, feasible=False, values=(), failure=mount),
        lines.trial_line(4, state=State.STOPPED, feasible=False, accelerator_seconds=3600.0),
    ]
    a = make_run("apvc0000-pvc", {0: (100, 104), 3: (200, 205)}, searched=searched)
    b = make_run("bhost000-host", {0: (100, 104), 3: (200, 205)})
    tally = compare(a, b).tallies[0]
    assert tally.failures == {"crash": 1, "mount": 1}
    assert tally.trials == {"failed": 2, "stopped": 1}
    assert tally.deployments == 7
    assert tally.accelerator_hours == pytest.approx(1.0, abs=0.05)


def test_the_table_shows_both_runs_with_intervals(two_runs: TwoRuns) -> None:
    said = to_text(comparison_table(compare(*two_runs(factor=0.8))), width=140)
    for expected in ("apvc0000-pvc (finished)", "storage.type", "hostPath", "B was worse", "not told apart"):
        assert expected in said
    assert "ttft_p95_ms (at most 500)" in said
    assert "A: winner, trial 3" in said


def test_the_command_takes_beginnings_of_names_and_prints_json(
    two_runs: TwoRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = two_runs()
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = parser.parse_args(["apvc", str(b.path), "--runs", str(a.root), "--json"])
    assert command.run(options) == 0
    document = json.loads(capsys.readouterr().out)
    assert [document["runs"][side]["run"] for side in "ab"] == [a.name, b.name]
    first = document["pairs"][0]["metrics"][0]
    assert first["metric"] == GOAL
    assert first["b_over_a"]["told_apart"] is False
    assert first["a"]["deployments"] == 3
    assert command.run(parser.parse_args(["apvc", "bhost", "--runs", str(a.root)])) == 0
    assert "not told apart" in capsys.readouterr().out
