"""A whole run for the highest rate under the SLOs, on the real engine."""

from __future__ import annotations

import subprocess
import sys

import pytest
import whole_runs

from tuner.results.run_directory import RunDirectory
from tuner.results.runs import find_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = whole_runs.Lab(tmp_path_factory.mktemp("lab"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def ended(lab):
    spec = lab.write(
        model={
            "synthetic": {"hidden_size": 128, "layers": 2, "heads": 4, "kv_heads": 4, "feed_forward": 256}
        },
        parameters={
            "slots": {"values": [1, 8], "flag": "--parallel"},
            "cache_v": {"values": ["f16"], "flag": "--cache-type-v"},
        },
        baseline={"slots": 1, "flash": "off", "cache_v": "f16"},
        workload={
            "scenario": "D(8,8)",
            "concurrency": None,
            "rate_search": {"low": 5, "high": 500, "probes": 12},
            "rounds": 1,
            "round_seconds": 1,
        },
        objective={"maximize": "max_request_rate"},
        slo={"ttft_p50_ms": 100, "error_rate": 0.1},
    )
    return lab.run(spec, seconds=280)


@pytest.fixture(scope="module")
def run(lab, ended) -> RunDirectory:
    assert ended.code == 0, ended.err + ended.out
    return find_run(lab.runs)


def test_it_ends_with_a_verdict_in_requests_per_second(run, ended):
    best = run.best()
    assert best["verdict"]["outcome"] in {"better", "no_better", "only_winner_feasible"}, ended.out
    assert ended.error_lines == []
    searched = [line for line in run.trials() if line.phase == "search"]
    assert len(searched) == 2
    for line in searched:
        (value,), ((low, high),) = line.values, line.intervals
        assert line.feasible and value == low == line.metrics["max_request_rate"] and 5 <= low < high


def test_a_round_tells_its_probes_and_the_answer(run):
    for line in run.rounds():
        rates = line.round.rates
        assert rates is not None and len(rates.probes) == rates.made == 12 >= rates.usable
        assert rates.probes[0].rate == pytest.approx((5 * 500) ** 0.5)
        assert all(5 <= p.rate <= 500 and set(p.late) == {"ttft_p50_ms", "error_rate"} for p in rates.probes)


def test_tables_and_report_say_what_ends_the_rates(lab, run):
    command = [sys.executable, "-m", "tuner", "trials", str(run.path)]
    variables = {**lab.environment, "COLUMNS": "200"}
    shown = subprocess.run(
        command, cwd=lab.folder, env=variables, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0 and "max_request_rate" in shown.stdout and "requests/s" in shown.stdout
    assert "requests/s" in run.report_path.read_text()
