"""`tuner record`: a surface of a finished run, or of a grid of visits, that a replay takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuner.cli import main
from tuner.errors import Failure, FailureClass
from tuner.results.lines import RoundLine, TrialLine
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunState
from tuner.search.replay import read_surface, replay
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, State

GRID = Path(__file__).parents[3] / "benchmarks" / "data" / "quickstart_grid.csv"
TOKENS, TTFT = "output_tokens_per_second", "ttft_p95_ms"
SAFE = {"slots": 1, "batch": 32, "mode": "safe"}
FAST = {"slots": 4, "batch": 128, "mode": "fast"}
OOM = {"slots": 8, "batch": 128, "mode": "fast"}


def line(trial, params, tokens=None, *, phase=Phase.SEARCH, attempt=1, state=State.COMPLETE, **more):
    metrics = {TOKENS: tokens, TTFT: 50.0, "point.ttft_p95_ms": 50.0, "e2e_p95_ms": 90.0}
    times = {"queue": 7.0, "deploying": 2.5, "opened": 0.5, "warmup": 1.0, "rounds": 30.0, "total": 41.0}
    return TrialLine(
        trial,
        phase,
        attempt,
        state,
        True,
        params,
        metrics=metrics if tokens else {},
        times=times,
        **more,
    )


@pytest.fixture
def run(tmp_path, made_round):
    """A run of three configurations: one deployed three times, one that ran out of memory, one cut off."""
    state = RunState(
        "demo",
        "0" * 12,
        1.0,
        goals=(Goal(TOKENS, True),),
        slos={TTFT: 100.0},
        parameters=("slots", "batch", "mode"),
    )
    made = RunDirectory.create(
        tmp_path / "runs", "aaaaaaaa-demo", experiment_yaml="name: demo\n", state=state
    )
    made.acquire(now=1.0)
    died = Failure(FailureClass.ACCELERATOR_OOM, "out of memory")
    lost = Failure(FailureClass.NODE_FAULT, "gone")
    for one in (
        line(0, SAFE, 100.0),
        line(1, FAST, 200.0),
        line(2, OOM, state=State.FAILED, failure=died),
        line(3, {**FAST, "slots": 2}, state=State.INTERRUPTED, failure=lost),
        line(1, FAST, 220.0, phase=Phase.VALIDATION),
        line(1, FAST, 180.0, phase=Phase.VALIDATION, attempt=2),
    ):
        made.append_trial(one)
    for trial, tokens in ((0, (90.0, 110.0)), (1, (190.0, 210.0))):
        for number, value in enumerate(tokens, start=1):
            metrics = {TOKENS: value, TTFT: 50.0, "e2e_p95_ms": 90.0}
            made.append_round(RoundLine(trial, Phase.SEARCH, 1, made_round(number), metrics))
    made.release()
    return made


def test_a_run_becomes_a_surface_with_the_means_and_the_noise_of_its_repeats(
    run, tmp_path, experiment, capsys
):
    path = tmp_path / "s.csv"
    assert main(["record", str(run.path), "-o", str(path)]) == 0
    assert "3 configurations, 1 that fail; 1 left out: interrupted" in capsys.readouterr().out
    surface = read_surface(path, experiment())
    assert surface.row(FAST).truth == {TOKENS: 200, TTFT: 50, "e2e_p95_ms": 90}
    assert surface.row(FAST).deploy_seconds == pytest.approx(3)  # neither the queue nor the load
    assert surface.row(FAST).noise_cv == surface.row(SAFE).noise_cv == pytest.approx(0.1)
    assert surface.row(OOM).failure is FailureClass.ACCELERATOR_OOM
    assert replay(experiment("search.trials=3"), surface, 0, free_suggestions=True).recommendation == FAST


def test_a_run_by_round_keeps_how_its_rounds_differed(run, tmp_path, experiment):
    path = tmp_path / "s.csv"
    assert main(["record", "aaaaaaaa", "--runs", str(run.root), "-o", str(path), "--by-round"]) == 0
    row = read_surface(path, experiment()).row(FAST)
    assert [r[TOKENS] for r in row.rounds] == [190, 210]


def grid(path, *visits):
    header = f"unix_time,params,failure,{TOKENS},{TTFT},dirty_rounds,client_bound_rounds\n"
    rows = (f'1,"{json.dumps(p)}",{rest}\n'.replace('"', '""') for p, rest in visits)
    fixed = (r.replace('1,""{', '1,"{').replace('}"",', '}",') for r in rows)
    path.write_text(header + "".join(fixed))
    return path


def test_a_grid_becomes_a_surface_without_its_dirty_visits(tmp_path, experiment, capsys):
    visits = grid(
        tmp_path / "grid.csv",
        (SAFE, ",100,30,0,0"),
        (FAST, ",190,40,0,0"),
        (FAST, ",210,40,0,0"),
        (FAST, ",20,400,1,0"),
        (OOM, "crash,,,0,0"),
        (OOM, "crash,,,0,0"),
        (OOM, ",1,1,0,0"),
    )
    path = tmp_path / "s.csv"
    assert main(["record", str(visits), "-o", str(path)]) == 2
    assert "--deploy-seconds: got none; would be right" in capsys.readouterr().err
    assert main(["record", str(visits), "-o", str(path), "--deploy-seconds", "4"]) == 0
    surface = read_surface(path, experiment())
    assert surface.row(FAST).truth == {TOKENS: 200, TTFT: 40} and surface.row(FAST).deploy_seconds == 4
    assert surface.row(OOM).failure is FailureClass.CRASH
    assert "1 left out: dirty" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "got no visits; would be right: a run's directory, or a CSV file"),
        ("", "got no visits"),
        ("params,failure,x\n{},boom,1\n", "grid.csv:2: got what is no visit"),
        ("params,failure,x\n{},crash,\n", "nothing of it can be recorded"),
    ],
)
def test_what_is_no_grid_is_told_in_a_line(tmp_path, capsys, text, said):
    (tmp_path / "grid.csv").write_text(text)
    words = ["record", str(tmp_path / "grid.csv"), "-o", str(tmp_path / "s.csv"), "--deploy-seconds", "1"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_the_quickstarts_own_grid_can_be_replayed(tmp_path, capsys):
    path = tmp_path / "s.csv"
    assert main(["record", str(GRID), "-o", str(path), "--deploy-seconds", "0.3"]) == 0
    words = ["replay", "quickstart", "--surface", str(path), "--sampler", "random", "--trials", "5", "--json"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{") :])["configurations"] == 73
