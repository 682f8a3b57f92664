"""Replays: the run's own strategy on a recorded sweep, what each trial costs, and when the best was found."""

from __future__ import annotations

import itertools
import json
import time

import pytest
import replay_surfaces as surfaces

from tuner.cli import main
from tuner.errors import UserError
from tuner.search.replay import Truth, replay
from tuner.search.samplers import SAMPLERS
from tuner.trial.objective import Goal
from tuner.trial.ports import State

BEST = {"slots": 4, "batch": 128, "mode": "fast"}
GOALS = (Goal("output_tokens_per_second", True),)
WIDE = """\
parameters:
  tp: {values: [1, 2, 4], flag: --tp}
  batch: {values: [32, 64, 128, 256], flag: -b}
deploy: {accelerators: "tp"}
baseline: {tp: 1, batch: 32}
objective: {maximize: output_tokens_per_second}
"""


def free(experiment, surface, seed=0, **more):
    return replay(experiment, surface, seed, free_suggestions=True, **more)


def test_a_grid_measures_and_recommends_the_best(experiment, tmp_path):
    given = experiment("search.sampler=grid", "search.trials=24", "search.early_stop=none")
    outcome = free(given, surfaces.made(tmp_path / "s.csv", given), keep_lines=True)
    assert outcome.recommendation == BEST and outcome.ratio == 1
    assert outcome.states == {"complete": 22, "failed": 2}
    assert outcome.trials == len(outcome.lines) == 24
    found = next(i for i, line in enumerate(outcome.lines) if line.params == BEST)
    assert outcome.measured.trials == outcome.recommended.trials == outcome.kept.trials == found + 1
    before = sum(3 if line.state is State.FAILED else 32 for line in outcome.lines[: found + 1])
    assert outcome.measured.seconds == pytest.approx(before)
    assert outcome.seconds == 22 * 32 + 2 * 3


def test_a_stopped_trial_costs_the_rounds_that_it_ran(experiment, tmp_path):
    given = experiment("search.sampler=grid", "search.trials=24", "search.early_stop=hopeless")
    outcome = free(given, surfaces.made(tmp_path / "s.csv", given))
    assert outcome.states == {"complete": 18, "failed": 2, "stopped": 4}
    assert outcome.seconds == 18 * 32 + 2 * 3 + 4 * 12


def test_the_same_seed_gives_the_same_run_and_another_seed_another(experiment, tmp_path):
    given = experiment("search.trials=12", "search.sampler=tpe")
    surface = surfaces.made(
        tmp_path / "s.csv", given, lambda p: surfaces.usual_row(p) | {"noise_cv": 0.05}, columns=["noise_cv"]
    )
    one, again, other = (free(given, surface, seed, keep_lines=True) for seed in (1, 1, 2))
    assert [line.to_json() for line in one.lines] == [line.to_json() for line in again.lines]
    assert [line.params for line in one.lines] != [line.params for line in other.lines]
    assert one.lines[0].metrics != other.lines[0].metrics


@pytest.mark.parametrize("sampler", ["auto", "tpe", "random", "grid", "qmc", "nsga2"])
def test_nothing_is_proposed_that_was_not_recorded(experiment, tmp_path, sampler):
    assert sampler in SAMPLERS
    text = surfaces_text("  slots: {low: 1, high: 4000}\n  share: {low: 0.1, high: 0.9}\n")
    given = experiment("search.trials=20", f"search.sampler={sampler}", text=text)
    path = tmp_path / "s.csv"
    rows = [(s, round(0.1 + 0.01 * s, 2), 100 + s) for s in range(1, 13)]
    path.write_text(
        "slots,share,output_tokens_per_second,deploy_seconds,failure\n"
        + "".join(f"{s},{share},{value},1,\n" for s, share, value in rows)
    )
    surface = surfaces.read_surface(path, given)
    outcome = free(given, surface, keep_lines=True)
    assert {(p["slots"], p["share"]) for p in (line.params for line in outcome.lines)} == {
        r[:2] for r in rows
    }
    assert outcome.ended == "every configuration of the space was tried"
    assert outcome.recommendation == {"slots": 12, "share": 0.22}


def surfaces_text(parameters):
    return f"parameters:\n{parameters}baseline: {{slots: 1, share: 0.11}}\n"


def test_noise_hides_the_best_from_the_recommendation_and_not_from_what_counts_as_found(experiment, tmp_path):
    given = experiment("search.trials=24", "search.sampler=grid", "search.early_stop=none")
    surface = surfaces.made(
        tmp_path / "s.csv", given, lambda p: surfaces.usual_row(p) | {"noise_cv": 0.3}, columns=["noise_cv"]
    )
    outcomes = [free(given, surface, seed) for seed in range(12)]
    assert all(o.measured is not None for o in outcomes)
    assert 0 < sum(o.kept is not None for o in outcomes) < 12
    assert all(o.recommended is None or o.recommended.seconds >= o.measured.seconds for o in outcomes)


def test_trials_side_by_side_take_less_time_and_as_many_accelerator_seconds(experiment, tmp_path):
    given, surface = wide(experiment, tmp_path)
    one = free(given, surface)
    four = free(given, surface, parallel=4)
    assert one.accelerator_seconds == pytest.approx(four.accelerator_seconds) == 32 * 4 * (1 + 2 + 4)
    assert one.seconds == 12 * 32 and four.seconds < 0.35 * one.seconds
    assert one.busy_share == pytest.approx(7 / 3 / 4, abs=0.1)


def test_a_trial_waits_for_the_accelerators_that_it_takes_and_holds_the_others_back(experiment, tmp_path):
    given, surface = wide(experiment, tmp_path)
    outcome = free(given, surface, parallel=8, accelerators=4, keep_lines=True)
    edges = sorted({line.ended for line in outcome.lines})
    for moment in (edge - 0.5 for edge in edges):
        taken = sum(
            line.params["tp"]
            for line in outcome.lines
            if line.started + line.times["queue"] < moment < line.ended
        )
        assert taken <= 4
    assert outcome.busy_share > 0.6
    started = [line.started + line.times["queue"] for line in sorted(outcome.lines, key=lambda x: x.trial)]
    assert started == sorted(started)
    with pytest.raises(UserError, match="takes 4 accelerators; would be right: at least so many"):
        free(given, surface, accelerators=3)


def wide(experiment, tmp_path):
    given = experiment(
        "search.trials=12",
        "search.sampler=grid",
        "search.early_stop=none",
        text=WIDE,
    )
    row = {"deploy_seconds": 2}
    return given, surfaces.made(
        tmp_path / "s.csv", given, lambda p: row | {"output_tokens_per_second": 100 * p["tp"] + p["batch"]}
    )


def test_suggestions_are_charged_to_the_clock_and_delay_no_running_trial(experiment, tmp_path):
    given = experiment("search.trials=13", "search.sampler=random", "search.early_stop=none")
    row = {"ttft_p95_ms": 10, "deploy_seconds": 2}
    surface = surfaces.made(
        tmp_path / "s.csv", given, lambda p: row | {"output_tokens_per_second": 100 + p["batch"]}
    )
    ticks = itertools.count()
    outcome = replay(given, surface, 0, parallel=3, keep_lines=True, timed=lambda: float(next(ticks)))
    busy = [line.times["rounds"] + line.times["deploying"] for line in outcome.lines]
    assert busy == [32.0] * 13  # a running trial is as long as ever
    assert outcome.suggestion_seconds >= 13 and outcome.longest_suggestion_seconds >= 1
    starts = sorted(line.started + line.times["queue"] for line in outcome.lines)
    assert all(b - a >= 1 for a, b in itertools.pairwise(starts))  # one suggestion at a time
    assert outcome.seconds > free(given, surface, parallel=3).seconds


def test_a_search_can_end_once_it_has_found_a_good_one(experiment, tmp_path):
    given = experiment("search.sampler=grid", "search.trials=24")
    surface = surfaces.made(tmp_path / "s.csv", given)
    whole, short = free(given, surface), free(given, surface, until_found=True)
    assert short.measured == whole.measured and short.recommended == whole.recommended
    assert short.seconds == short.recommended.seconds < whole.seconds


def test_good_is_what_truly_lies_within_three_per_cent_and_every_limit(experiment, tmp_path):
    given = experiment()
    surface = surfaces.made(tmp_path / "s.csv", given)
    truth = Truth(surface, GOALS, {"ttft_p95_ms": 100})
    assert truth.optimum.params == BEST and [row.params for row in truth.good] == [BEST]
    assert truth.ratio({**BEST, "mode": "safe"}) == pytest.approx(1 / 1.1)
    assert truth.ratio({"slots": 8, "batch": 64, "mode": "fast"}) == 0
    assert len(Truth(surface, GOALS, {"ttft_p95_ms": 100}, share=0.1).good) == 3
    with pytest.raises(UserError, match="no row of it is feasible"):
        Truth(surface, GOALS, {"ttft_p95_ms": 10})


@pytest.mark.engine  # five seconds
def test_a_thousand_random_trials_take_seconds(experiment, tmp_path):
    text = "parameters:\n  a: {low: 1, high: 40}\n  b: {low: 1, high: 30}\nbaseline: {a: 1, b: 1}\n"
    given = experiment("search.trials=1000", "search.sampler=random", text=text)
    surface = surfaces.made(
        tmp_path / "s.csv",
        given,
        lambda p: {"output_tokens_per_second": p["a"] * p["b"], "deploy_seconds": 30, "noise_cv": 0.03},
        columns=["noise_cv"],
    )
    began = time.process_time()
    assert replay(given, surface, 0).trials == 1000
    assert time.process_time() - began < 30  # it takes about 4


def test_the_command_prints_every_seed_and_the_surfaces_hash(experiment, tmp_path, capsys):
    given = experiment("search.trials=8")
    path = surfaces.write(tmp_path / "s.csv", given, remarks="# where it is from\n")
    words = ["replay", given.source, "--surface", str(path), "--seeds", "0-2,9", "--free-suggestions"]
    assert main([*words, "--json", "--sampler", "random", "--trials", "6", "--early-stop", "none"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [seed["seed"] for seed in told["seeds"]] == [0, 1, 2, 9]
    assert len(told["surface_sha256"]) == 64 and told["configurations"] == 24 and told["failing"] == 2
    assert told["optimum"]["params"] == BEST and told["sampler"] == "random" and told["early_stop"] == "none"
    assert all(seed["trials"] == 6 for seed in told["seeds"])
    assert set(told["summary"]["measured"]) == {"found", "seconds", "trials", "accelerator_seconds"}
    assert main([*words, "--sampler", "random"]) == 0
    assert "median" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--seeds", "5-1"], "a range that goes up"),
        (["--seeds", "x"], "such as 0-59"),
        (["--parallel", "0"], "--parallel: got 0; would be right: at least 1"),
        (["--sampler", "best"], "got 'best'"),
    ],
)
def test_a_mistake_on_the_command_line_is_told(experiment, tmp_path, capsys, given, said):
    spec = experiment()
    path = surfaces.write(tmp_path / "s.csv", spec)
    try:
        assert main(["replay", spec.source, "--surface", str(path), *given]) == 2
    except SystemExit as stop:
        assert stop.code == 2
    assert said in capsys.readouterr().err
