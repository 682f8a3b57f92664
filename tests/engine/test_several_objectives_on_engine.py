"""A whole run with two objectives, one of them a cost, on the real engine."""

from __future__ import annotations

import json

import pytest
import whole_runs
import yaml

from tuner.results.overview import Overview
from tuner.results.report import write_report
from tuner.results.runs import find_run

pytestmark = pytest.mark.engine
PRICE = 0.36


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = whole_runs.Lab(tmp_path_factory.mktemp("lab"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def ended(lab):
    file = lab.write()
    spec = yaml.safe_load(file.read_text())
    spec["deploy"]["price_per_hour"] = PRICE
    spec["parameters"] = {"slots": {"values": [1, 4, 8], "flag": "--parallel"}}
    spec["baseline"] = {"slots": 1}
    spec["objective"] = [{"minimize": "cost_per_million_output_tokens"}, {"minimize": "ttft_p95_ms"}]
    spec["slo"] = {"error_rate": 0.01}
    file.write_text(yaml.safe_dump(spec))
    return lab.run(file)


@pytest.fixture(scope="module")
def run(lab, ended):
    assert ended.code == 0, ended.err + ended.out
    return find_run(lab.runs)


def test_a_cost_is_the_price_of_the_seconds_that_the_tokens_took(run):
    measured = [line for line in run.rounds() if line.values]
    assert measured
    for line in measured:
        (point,) = line.round.points
        assert point.price_per_hour == PRICE
        expected = PRICE / 3600 * point.window_seconds / point.output_tokens * 1e6
        assert line.metrics["cost_per_million_output_tokens"] == pytest.approx(expected)


def test_the_front_is_in_best_json_with_the_trial_that_the_verdict_is_about(run):
    best = run.best()
    found = best["pareto"]
    on = [one["trial"] for one in found["front"]]
    assert on and found["knee"] in on
    assert {line.trial for line in run.trials() if line.feasible} >= set(on)
    assert found["about"] in (best["verdict"]["winner"], best["verdict"]["gain_of"])
    assert [one["metric"] for one in found["objectives"]] == [
        "cost_per_million_output_tokens",
        "ttft_p95_ms",
    ]


def test_eight_slots_keep_the_front_where_one_keeps_seven_waiting(run):
    seen = Overview.of(run)
    by_slots = {line.params["slots"]: line.trial for line in seen.search}
    assert by_slots[8] in seen.front.trials
    assert seen.front.place(by_slots[1]) in ("", "near")


def test_the_closing_block_and_the_report_show_it(run, ended):
    said = " ".join(ended.out.replace("│", " ").split())
    assert "on the Pareto front" in said and "This verdict is about trial" in said
    page = write_report(run).read_text(encoding="utf-8")
    assert "chart-front" in page and json.dumps(run.best()["pareto"]["knee"]) in page
