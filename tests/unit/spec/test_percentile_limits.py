"""Percentiles that the rounds surely hold too few requests for."""

from __future__ import annotations

import pytest

from tuner.errors import SpecError
from tuner.spec import load_experiment

HEAD = """\
name: demo
model: {synthetic: {}}
parameters: {slots: {values: [1, 2], flag: --parallel}}
"""


@pytest.fixture
def read(tmp_path):
    def made(workload, rest="slo: {ttft_p99_ms: 500}\n"):
        path = tmp_path / "experiment.yaml"
        path.write_text(f"{HEAD}workload: {workload}\n{rest}")
        return load_experiment(path)

    return made


OPEN = '{scenario: "D(48,64)", request_rate: 10, rounds: 2, round_seconds: %g}'


def test_an_open_loop_that_sends_too_few_is_refused_in_one_line(read):
    with pytest.raises(SpecError) as caught:
        read(OPEN % 10)
    said = str(caught.value)
    assert "slo.ttft_p99_ms: got ttft_p99_ms of 200 requests, which load sends in 20 s of rounds" in said
    assert "299 requests or more, by 30 s of rounds in all, or a lower percentile" in said


@pytest.mark.parametrize(
    ("workload", "rest"),
    [
        (OPEN % 15, "slo: {ttft_p99_ms: 500}\n"),
        (OPEN % 10, "slo: {ttft_p95_ms: 500}\n"),
        (OPEN % 10, "slo: {ttft_mean_ms: 500, error_rate: 0.01}\n"),
        (OPEN % 10, "slo: {itl_p99_ms: 50}\n"),  # every request has many
        ('{scenario: "D(48,64)", concurrency: 2, rounds: 2, round_seconds: 1}', "slo: {ttft_p99_ms: 500}\n"),
        (OPEN.replace("rate: 10", "rate: 10, ramp_to: 30") % 8, "slo: {e2e_p99_ms: 9}\n"),
    ],
)
def test_what_may_be_enough_is_taken(read, workload, rest):
    read(workload, rest)


def test_an_objective_is_held_to_it_too(read):
    with pytest.raises(SpecError, match=r"objective.*e2e_p99_ms of 20 requests"):
        read(OPEN % 1, "objective: {minimize: e2e_p99_ms}\n")


def test_of_several_load_points_only_those_that_the_limit_is_about_count(read):
    points = '[{name: few, scenario: "D(48,64)", request_rate: 1}, '
    points += '{name: many, scenario: "D(48,64)", request_rate: 50}]'
    read(points, "slo: {many.ttft_p99_ms: 500}\n")
    with pytest.raises(SpecError, match="which few sends"):
        read(points, "slo: {ttft_p99_ms: 500}\n")
