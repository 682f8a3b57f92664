"""`rate_search` of the workload, and what must stand beside it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from tuner.errors import SpecError
from tuner.spec import Experiment, load_experiment

HEAD = """\
name: demo
model: {synthetic: {}}
parameters: {slots: {values: [1, 2], flag: --parallel}}
"""
RANGE = 'workload: {scenario: "D(48,64)", rate_search: {low: 1, high: 100}}\n'
WANTED = "objective: {maximize: max_request_rate}\nslo: {ttft_p95_ms: 500, error_rate: 0.01}\n"


def loaded(tmp_path: Path, text: str) -> Experiment:
    file = tmp_path / "demo.yaml"
    file.write_text(HEAD + text)
    return load_experiment(file)


def test_a_range_the_objective_and_a_limit_are_all_that_is_written(tmp_path: Path) -> None:
    found = loaded(tmp_path, RANGE + WANTED)
    (point,) = found.workload.points
    assert point.rate_search is not None and point.rate_search.probes == 6
    assert point.request_rate == point.rate_search.middle == pytest.approx(10.0)
    assert point.concurrency is None and point.arrivals == "poisson"
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(found.resolved()))
    assert load_experiment(again) == found and load_experiment(again).hash == found.hash


def test_the_middle_survives_the_resolved_file_to_the_last_digit(tmp_path: Path) -> None:
    found = loaded(tmp_path, RANGE.replace("low: 1, high: 100", "low: 0.3, high: 7.7") + WANTED)
    (tmp_path / "again.yaml").write_text(found.resolved_yaml())
    (point,) = load_experiment(tmp_path / "again.yaml").workload.points
    assert point.request_rate == math.sqrt(0.3 * 7.7)


LOADS = 'workload: {scenario: "D(48,64)", %s}\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            LOADS % "concurrency: 4" + WANTED,
            "objective.maximize: got max_request_rate without a range of rates; would be right: "
            "workload.rate_search: {low: 1, high: 200} in place of concurrency or request_rate",
        ),
        (LOADS % "concurrency: 4, rate_search: {low: 1, high: 2}" + WANTED, "workload.concurrency: got 4"),
        (LOADS % "request_rate: 4, rate_search: {low: 1, high: 2}" + WANTED, "workload.request_rate: got 4"),
        (LOADS % "ramp_to: 4, rate_search: {low: 1, high: 2}" + WANTED, "workload.ramp_to: got 4"),
        (
            LOADS % "rate_search: {low: 2, high: 2}" + WANTED,
            "got low 2, high 2; would be right: low below high",
        ),
        (
            LOADS % "rate_search: {low: 0, high: 2}" + WANTED,
            "rate_search.low: got 0; would be right: above 0",
        ),
        (
            LOADS % "rate_search: {low: 1}" + WANTED,
            "rate_search.high: got nothing; would be right: a largest",
        ),
        (
            LOADS % "chat: true, conversations: {turns: 3}, rate_search: {low: 1, high: 2}" + WANTED,
            "workload.rate_search: got rate_search with conversations",
        ),
        (
            RANGE,
            "workload.rate_search: got rate_search with objective output_tokens_per_second; would be right: "
            "without it, or objective: {maximize: max_request_rate}",
        ),
        (
            RANGE + "objective: {maximize: max_request_rate}\n",
            "objective.maximize: got max_request_rate without a limit; would be right: slo: {ttft_p95_ms",
        ),
        (
            RANGE
            + "objective: [{maximize: max_request_rate}, {minimize: ttft_p50_ms}]\nslo: {itl_p50_ms: 9}\n",
            "objective: got max_request_rate beside ttft_p50_ms; would be right: max_request_rate alone",
        ),
        (
            RANGE + "objective: {maximize: load.max_request_rate}\nslo: {ttft_p95_ms: 9}\n",
            "got load.max_request_rate; would be right: max_request_rate: there is one load point",
        ),
        (
            RANGE + "objective: {minimize: max_request_rate}\nslo: {ttft_p95_ms: 9}\n",
            "maximize: max_request_rate",
        ),
        (
            'workload: [{name: a, scenario: "D(4,4)", rate_search: {low: 1, high: 2}}, '
            '{name: b, scenario: "D(4,4)", concurrency: 2}]\n' + WANTED,
            "workload.points: got 2 load points; would be right: one load point, with a rate_search",
        ),
        (
            RANGE + "objective: {maximize: max_request_rate}\nslo: {ttft_mean_ms: 500}\n",
            "slo.ttft_mean_ms: got ttft_mean_ms, which a probe cannot judge; would be right: a percentile",
        ),
        (
            RANGE + "objective: {maximize: max_request_rate}\nslo: {error_rate: 0}\n",
            "slo.error_rate: got 0; would be right: above 0 and below 1, such as 0.01",
        ),
        (
            RANGE
            + "goodput: {ttft_ms: 500}\nobjective: {maximize: max_request_rate}\nslo: {goodput_share: 1}\n",
            "slo.goodput_share: got 1; would be right: above 0 and below 1, such as 0.99",
        ),
        (
            LOADS % "concurrency: 4" + "slo: {max_request_rate: 5}\n",
            "slo.max_request_rate: got a limit of max_request_rate; would be right: objective: {maximize",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SpecError) as error:
        loaded(tmp_path, text)
    assert says in str(error.value) and "\n" not in str(error.value)
