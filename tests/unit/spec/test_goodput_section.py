"""The `goodput` section, and the metrics that stand on it or on the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.errors import SpecError
from tuner.spec import Experiment, load_experiment
from tuner.spec.unbuilt import refuse_unbuilt

FILE = """\
name: demo
model: {synthetic: {}}
workload: {scenario: "D(48,64)", concurrency: 16}
parameters: {slots: {values: [1, 2], flag: --parallel}}
"""


def loaded(tmp_path: Path, more: str) -> Experiment:
    file = tmp_path / "demo.yaml"
    file.write_text(FILE + more)
    return load_experiment(file)


def test_goodput_is_an_objective_and_an_slo_where_its_limits_are_set(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        "goodput: {ttft_ms: 500, tpot_ms: 40}\nobjective: {maximize: goodput}\nslo: {goodput_share: 0.99}\n",
    )
    assert found.goodput is not None
    assert (found.goodput.ttft_ms, found.goodput.tpot_ms, found.goodput.e2e_ms) == (500, 40, None)
    refuse_unbuilt(found)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("objective: {maximize: goodput}\n", "got goodput without limits; would be right: a section"),
        ("slo: {load.goodput_share: 0.9}\n", "got load.goodput_share without limits"),
        ("goodput: {}\n", "goodput: got no limit; would be right: at least one"),
        ("goodput: {ttft_ms: 0}\n", "goodput.ttft_ms: got 0"),
        ("goodput: {ttft_p99_ms: 5}\n", "goodput.ttft_p99_ms: got an unknown key"),
        ("goodput: {ttft_ms: 5}\nobjective: {minimize: goodput}\n", "would be right: maximize: goodput"),
        ("objective: {maximize: kv_cache_use_max}\n", "would be right: minimize: kv_cache_use_max"),
        ("slo: {kv_cache_usage_max: 1}\n", "would be right: kv_cache_use_max"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(SpecError) as error:
        loaded(tmp_path, more)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_an_experiment_without_goodput_resolves_as_before(tmp_path: Path) -> None:
    assert "goodput" not in loaded(tmp_path, "").resolved()


def test_the_engines_metrics_are_slos_and_objectives(tmp_path: Path) -> None:
    loaded(tmp_path, "objective: {maximize: prefix_cache_hit_rate}\nslo: {preemptions_per_second: 0}\n")
