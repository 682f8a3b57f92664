"""What is taken from earlier runs: what matches, what is tried first, what the plan says, what is refused."""

from __future__ import annotations

import argparse

import earlier_runs
import numpy as np
import pytest
import replay_surfaces

from tuner.cli import replay as cli
from tuner.errors import UserError
from tuner.search.assembly import first_points, proposer_of
from tuner.search.auto.model import Trends
from tuner.search.auto.trend import Trend
from tuner.search.earlier.memories import BELIEF, Memories
from tuner.search.earlier.setting import Likeness
from tuner.search.history import History, TrialRecord
from tuner.search.plan import plan_lines
from tuner.search.replay import replay

VLLM = """\
deploy: {backend: kubernetes, image: "vllm/vllm-openai:v0.24.0", accelerators: tp}
storage: {type: pvc, pvc_name: models}
parameters:
  tp: {values: [1, 2, 4], flag: --tensor-parallel-size}
  seqs: {values: [16, 64, 256], flag: --max-num-seqs}
  eager: {type: bool, flag: --enforce-eager}
baseline: {tp: 1, seqs: 16, eager: false}
slo: {ttft_p95_ms: 100}
objective: {maximize: output_tokens_per_second}
"""
HEAD = """\
name: demo
model: {name: llama-8b}
workload: {scenario: "D(48,64)", concurrency: 16, rounds: 3, round_seconds: 10, warmup_seconds: 0}
"""
OTHER = HEAD.replace("llama-8b", "qwen-32b")


def measured(params):
    if params["seqs"] == 256 and params["tp"] == 1:
        return "accelerator_oom"
    rate = 100.0 * params["tp"] ** 0.5 * params["seqs"] ** 0.3 * (0.8 if params["eager"] else 1.0)
    return {"output_tokens_per_second": rate, "ttft_p95_ms": 20.0 * params["tp"]}


@pytest.fixture
def earlier(experiment, tmp_path):
    """A run of every configuration of an experiment: its path."""

    def made(name="a", *, text=VLLM, head=HEAD, figures=measured, most=99):
        run = experiment(text=text, head=head)
        trials = [(p, figures(p)) for p in run.space.grid()][:most]
        return str(earlier_runs.written(tmp_path / "runs", name, run, trials))

    return made


@pytest.fixture
def now(experiment):
    """This run's experiment, warm-started."""

    def made(*runs, text=VLLM, head=HEAD, more=()):
        return experiment(f"search.warm_start={list(runs)}", *more, text=text, head=head)

    return made


def memories(experiment):
    return Memories.of(experiment, experiment.space)


def test_without_earlier_runs_there_is_nothing_to_remember(experiment):
    assert memories(experiment(text=VLLM, head=HEAD)) is None


def test_a_parameter_matches_by_its_flag_and_not_by_its_name(earlier, now):
    renamed = VLLM.replace("seqs:", "slots:").replace("eager:", "seqs:")
    (note,) = memories(now(earlier(), text=renamed)).notes
    assert "parameters: tp, slots (there seqs), seqs (there eager)" in note


def test_what_only_one_of_the_two_tunes_is_said(earlier, now):
    more = VLLM.replace("  eager: {type: bool, flag: --enforce-eager}\n", "  block: {values: [16, 32]}\n")
    more = more.replace("eager: false", "block: 16")
    (note,) = memories(now(earlier(), text=more)).notes
    assert "parameters: tp, seqs; not here: eager; not there: block" in note


def test_another_engine_matches_by_what_a_parameter_means(earlier, now):
    sglang = VLLM.replace("vllm/vllm-openai", "lmsysorg/sglang").replace("tensor-parallel-size", "tp-size")
    sglang = sglang.replace("max-num-seqs", "max-running-requests").replace("enforce-eager", "log-requests")
    (note,) = memories(now(earlier(), text=sglang)).notes
    assert "another engine" in note and "parameters: tp, seqs; not here: eager; not there: eager" in note


def test_the_plan_tells_trials_failures_and_what_is_taken(earlier, now):
    (note,) = memories(now(earlier(), head=OTHER)).notes
    assert "18 trials, 2 failed" in note and "another model" in note
    assert "taken: output_tokens_per_second, ttft_p95_ms; its best" in note  # another model has another edge
    assert "its best is tried first: tp=4 seqs=256 eager=False" in note


def test_the_best_of_an_earlier_run_comes_right_after_the_baseline_whatever_the_sampler(earlier, now):
    best = {"tp": 4, "seqs": 256, "eager": False}
    for sampler in ("auto", "random", "grid"):
        read = now(earlier(sampler), more=[f"search.sampler={sampler}"])
        assert first_points(read, 2)[0] == best
        assert first_points(read, 2)[1] != best


def test_what_is_no_configuration_here_is_not_tried_and_the_plan_says_why(earlier, now):
    smaller = VLLM.replace("[16, 64, 256]", "[16, 64, 128]")
    found = memories(now(earlier(), text=smaller))
    assert found.first == []
    assert "its best has seqs 256, which is not here (one of 16, 64, 128)" in found.notes[0]


def test_this_runs_limits_choose_the_best_of_a_run_in_the_same_setting(earlier, now):
    found = memories(now(earlier(), text=VLLM.replace("ttft_p95_ms: 100", "ttft_p95_ms: 50")))
    assert found.first == [{"tp": 2, "seqs": 256, "eager": False}]


def test_an_unfinished_run_counts_with_what_ended(earlier, now):
    assert "5 trials" in memories(now(earlier(most=5))).notes[0]


def test_a_run_that_teaches_nothing_is_passed_over_beside_one_that_does(earlier, now, experiment, tmp_path):
    empty = str(earlier_runs.written(tmp_path / "runs", "b", experiment(text=VLLM, head=HEAD), []))
    found = memories(now(earlier(), empty))
    assert found.notes[1] == f"{empty}: 0 trials: nothing to take"
    with pytest.raises(UserError, match="0 trials: nothing to take; would be right"):
        memories(now(empty))


def test_nothing_that_matches_is_refused_in_one_line(earlier, now):
    odd = "deploy: {backend: kubernetes, image: vllm}\nstorage: {type: pvc, pvc_name: models}\n"
    odd += "parameters: {odd: {values: [1, 2]}}\n"
    with pytest.raises(UserError, match="no parameter of it is one here") as caught:
        memories(now(earlier(), head=OTHER, text=odd))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("there", [False, True])
def test_what_is_no_run_is_refused_by_its_place(now, tmp_path, there):
    path = tmp_path / "nothing"
    if there:
        path.mkdir()
    why = "no experiment.yaml there" if there else "there is no such path"
    with pytest.raises(UserError) as caught:
        memories(now(str(path)))
    right = "a run's directory, or a surface (CSV) with its experiment.yaml beside it"
    assert str(caught.value) == f"search.warm_start[0]: {path}: {why}; would be right: {right}"


def test_a_recorded_surface_is_an_earlier_run_too_also_in_a_replay(experiment, tmp_path):
    read = experiment()
    surface = replay_surfaces.made(tmp_path / "surface.csv", read)
    warm = experiment(f"search.warm_start=[{tmp_path / 'surface.csv'}]")
    (note,) = memories(warm).notes
    assert "24 trials, 2 failed" in note and "the same engine, model, accelerator and load" in note
    outcome = replay(warm, surface, 0, trials=2, free_suggestions=True)
    assert outcome.measured.trials == 2


def test_a_replay_prints_what_it_takes(experiment, tmp_path, capsys):
    replay_surfaces.made(tmp_path / "surface.csv", experiment())
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    files = [str(tmp_path / "experiment.yaml"), "--surface", str(tmp_path / "surface.csv")]
    more = ["--set", f"search.warm_start=[{tmp_path / 'surface.csv'}]", "--trials", "2"]
    assert cli.run(parser.parse_args([*files, *more])) == 0
    assert f"warm start: {tmp_path / 'surface.csv'}: 24 trials, 2 failed" in capsys.readouterr().out


def test_shape_is_taken_and_level_is_not(earlier, now, experiment):
    def ten_times_faster(params):
        figures = measured(params)
        return figures if isinstance(figures, str) else {k: 10 * v for k, v in figures.items()}

    configurations = list(experiment(text=VLLM, head=HEAD).space.grid())
    rows = [
        memories(now(earlier(name, figures=figures), head=OTHER)).rows(configurations)
        for name, figures in (("a", measured), ("b", ten_times_faster))
    ]
    apart = rows[1] - rows[0]
    assert np.ptp(apart[:, -2]) == pytest.approx(0, abs=0.02)  # the objective's column, but for its level


def test_where_an_earlier_run_is_not_believed_any_more_what_was_expected_stands_whole(earlier, now):
    found = memories(now(earlier(), head=OTHER))
    assert found.names[:3] == ("sequences", "width", "eager") and len(found.names) == 5
    expected = Trend(np.array([0.3, 0.5, -0.1, 0, 0]), np.full(5, 0.1))
    trends = found.joined(Trends(expected, [None]), ["output_tokens_per_second"], ["ttft_p95_ms"])
    believed, deviation = BELIEF[Likeness.ALIKE]
    assert trends.objective.means[:3] == pytest.approx((1 - believed) * expected.means[:3])
    overruled = trends.objective.means - believed / deviation * trends.objective.together[:, 0]
    assert overruled == pytest.approx(expected.means)


def test_a_sampler_that_does_not_learn_from_earlier_runs_is_named_in_the_plan(earlier, now):
    read = now(earlier(), more=["search.sampler=tpe"])
    lines = plan_lines(read, first=[], warm=memories(read).notes)
    said = [text for title, text in lines if title == "warm start"]
    assert len(said) == 2 and said[1] == "sampler tpe learns nothing of them, but tries their best first"


def test_the_default_sampler_turns_from_where_the_earlier_run_failed(earlier, now):
    read = now(earlier())
    assert "ttft_p95_ms, where it deploys" in memories(read).notes[0]
    history = History(())
    proposer = proposer_of(read, history)
    history.add(TrialRecord(0, read.space.baseline))
    found = [proposer.propose(number) for number in range(1, 3)]
    assert all(not (p["seqs"] == 256 and p["tp"] == 1) for p in found)
