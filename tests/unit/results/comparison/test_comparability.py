"""What of two runs may be compared, what is refused, and what is listed as different."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tuner.errors import UserError
from tuner.results.comparison import compare
from tuner.results.run_directory import RunDirectory
from tuner.trial.objective import Goal

GOAL = "output_tokens_per_second"
POINT = {"name": "load", "scenario": "D(512,128)", "concurrency": 16}
MakeRun = Callable[..., RunDirectory]
TwoRuns = Callable[..., tuple[RunDirectory, RunDirectory]]


def test_what_the_experiments_ask_for_differently_is_listed(two_runs: TwoRuns) -> None:
    found = compare(*two_runs())
    listed = {one.key: (one.a, one.b) for one in found.differences}
    assert listed == {"storage.type": ("pvc", "hostPath"), "storage.pvc_name": ("models", "-")}


def test_seen_facts_that_differ_are_listed_too(two_runs: TwoRuns) -> None:
    a, b = two_runs(machine={"host": "bench-2", "cores": "2"})
    listed = {one.key: (one.a, one.b) for one in compare(a, b).differences}
    assert listed["machine.host"] == ("bench-1", "bench-2")


def test_a_load_that_is_not_quite_the_same_is_said(two_runs: TwoRuns) -> None:
    found = compare(*two_runs(workload={"rounds": 4}))
    assert "The loads are not quite alike: workload.rounds differ." in found.notes


def test_with_other_load_points_only_the_common_points_metrics_are_compared(two_runs: TwoRuns) -> None:
    more = {"name": "heavy", "scenario": "D(512,128)", "concurrency": 64}
    found = compare(*two_runs(points=(POINT, more)))
    assert [one.metric for one in found.pairs[0].rows] == [f"load.{GOAL}", "load.ttft_p95_ms"]
    assert "Load points of B alone are left out: heavy." in found.notes


def test_an_objective_of_one_run_and_limit_of_the_other_is_compared_by_point(make_run: MakeRun) -> None:
    points = (POINT, {**POINT, "name": "more", "concurrency": 32})
    a = make_run("apvc0000-pvc", {0: (100, 104)}, points=points, slos={}, winner=0)
    goals = (Goal("ttft_p95_ms", False),)
    b = make_run("bhost000-host", {0: (9, 8)}, points=points, goals=goals, slos={GOAL: 1.0}, winner=0)
    metrics = [one.metric for one in compare(a, b).pairs[0].rows]
    assert metrics[:2] == [f"load.{GOAL}", f"more.{GOAL}"]


def test_runs_without_a_common_load_point_are_refused_in_one_line(two_runs: TwoRuns) -> None:
    a, b = two_runs(points=({**POINT, "concurrency": 17},))
    with pytest.raises(UserError, match="no load point is the same in both") as raised:
        compare(a, b)
    assert "16 in flight" in str(raised.value)
    assert "17 in flight" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_runs_without_a_common_metric_are_refused_in_one_line(make_run: MakeRun) -> None:
    points = (POINT, {**POINT, "name": "a"})
    a = make_run("apvc0000-pvc", {0: (1, 2)}, points=points, goals=(Goal(f"a.{GOAL}", True),), slos={})
    other = (POINT, {**POINT, "name": "b"})
    b = make_run("bhost000-host", {0: (1, 2)}, points=other, goals=(Goal(f"b.{GOAL}", True),), slos={})
    with pytest.raises(UserError, match="no objective or limit of either"):
        compare(a, b)


def test_a_run_that_has_measured_nothing_is_refused(make_run: MakeRun) -> None:
    a = make_run("apvc0000-pvc", {0: (100, 104), 3: (200, 205)})
    b = make_run("bhost000-host", {}, winner=0)
    with pytest.raises(UserError, match="bhost000-host: nothing measured"):
        compare(a, b)


def test_a_run_is_not_compared_with_itself(two_runs: TwoRuns) -> None:
    a, _ = two_runs()
    with pytest.raises(UserError, match="the same run twice"):
        compare(a, RunDirectory.open(a.root, a.name))


@pytest.mark.parametrize(("limit", "compared"), [(500.0, True), (400.0, False)])
def test_goodput_is_compared_only_by_the_same_limits(make_run: MakeRun, limit: float, compared: bool) -> None:
    goals = (Goal("goodput", True), Goal(GOAL, True))
    values = {0: (100, 104, 98), 3: (200, 205, 195)}
    a = make_run("agood000-a", values, goals=goals, goodput={"ttft_ms": 500.0})
    b = make_run("bgood000-b", values, goals=goals, goodput={"ttft_ms": limit})
    rows = [row.metric for row in compare(a, b).pairs[0].rows]
    assert ("goodput" in rows) is compared and GOAL in rows


@pytest.mark.parametrize(("price", "said"), [(2.5, False), (5.0, True)])
def test_costs_at_different_prices_are_said_to_be_so(make_run: MakeRun, price: float, said: bool) -> None:
    goals = (Goal(GOAL, True), Goal("cost_per_million_tokens", False))
    values = {0: (100, 104, 98), 3: (200, 205, 195)}
    a = make_run("acost000-a", values, goals=goals)
    b = make_run("bcost000-b", values, goals=goals)
    for run, one in ((a, 2.5), (b, price)):
        file = run.path / "experiment.yaml"
        file.write_text(f"{file.read_text()}deploy: {{price_per_hour: {one}}}\n")
    notes = compare(a, b).notes
    assert any(note.startswith("The prices differ") for note in notes) is said


@pytest.mark.parametrize(("limit", "compared"), [(500.0, True), (400.0, False)])
def test_highest_rates_are_compared_only_under_the_same_slos(
    make_run: MakeRun, limit: float, compared: bool
) -> None:
    goals, values = (
        (Goal("max_request_rate", True), Goal(GOAL, True)),
        {0: (100, 104, 98), 3: (200, 205, 195)},
    )
    a = make_run("arate000-a", values, goals=goals, slos={"ttft_p95_ms": 500.0})
    b = make_run("brate000-b", values, goals=goals, slos={"ttft_p95_ms": limit})
    rows = [row.metric for row in compare(a, b).pairs[0].rows]
    assert ("max_request_rate" in rows) is compared and GOAL in rows
