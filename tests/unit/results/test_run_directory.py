from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuner.errors import UserError, WorldError
from tuner.results.files import write_whole
from tuner.results.lines import RoundLine, TrialLine
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunState, RunStatus
from tuner.trial.ports import Phase, State

NewRun = Callable[..., RunDirectory]


def test_rounds_and_trials_come_back_as_they_were(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    rounds = [lines.round_line(1, n) for n in (1, 2)]
    trials = [
        lines.trial_line(0),
        lines.failed_line(1, log="boom\n"),
        lines.trial_line(0, phase=Phase.VALIDATION, block=2, state=State.INTERRUPTED, cold=None),
    ]
    for line in rounds:
        run.append_round(line)
    for line in trials:
        run.append_trial(line)
    again = RunDirectory.open(run.root, run.name)
    assert again.trials() == trials
    for read, written in zip(again.rounds(), rounds, strict=True):
        assert read.to_json() == written.to_json()
        quantile = [r.round.points[0].histograms["ttft_ms"].quantile(0.9) for r in (read, written)]
        assert quantile[0] == quantile[1]


def test_what_cannot_be_told_comes_back_as_nan(lines: Any) -> None:
    line = lines.trial_line(metrics={"ttft_p95_ms": math.nan}, intervals=((math.nan, math.inf),))
    stored = json.loads(json.dumps(line.to_json()))
    read = TrialLine.from_json(stored)
    assert math.isnan(read.metrics["ttft_p95_ms"])
    assert read.intervals[0][1] == math.inf


def test_lines_of_a_newer_version_are_read(lines: Any) -> None:
    assert TrialLine.from_json({**lines.trial_line().to_json(), "new": 1}) == lines.trial_line()
    assert RoundLine.from_json({**lines.round_line().to_json(), "new": 1}).trial == 1
    assert RunState.from_json({**json.loads(json.dumps(lines.state().to_json())), "new": 1}) == lines.state()


def test_nobody_appends_without_the_lease(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    run.release()
    with pytest.raises(RuntimeError, match="without the lease"):
        run.append_trial(lines.trial_line())
    with pytest.raises(RuntimeError, match="without the lease"):
        run.append_round(lines.round_line())


def test_a_run_is_read_while_another_writes_it(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    reader = RunDirectory.open(run.root, run.name)
    for count in (1, 2, 3):
        run.append_trial(lines.trial_line(count))
        assert len(reader.trials()) == count


def test_the_frame_holds_a_row_for_each_deployment(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    assert len(run.frame()) == 0
    run.append_trial(lines.trial_line(0, value=100.0))
    run.append_trial(lines.failed_line(1))
    frame = run.frame()
    assert list(frame["trial"]) == [0, 1]
    assert list(frame["params.parallel"]) == [8, 8]
    assert frame.loc[0, "value"] == 100.0
    assert frame["metrics.ttft_p95_ms"].isna().tolist() == [False, True]
    assert frame.loc[1, "failure.kind"] == "crash"
    assert list(frame.columns)[:6] == ["trial", "phase", "attempt", "block", "state", "feasible"]


def test_the_state_is_replaced_as_a_whole(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    assert run.state() == lines.state()
    run.write_state(lines.state(status=RunStatus.FINISHED, ended=lines.now + 9))
    assert run.state().status is RunStatus.FINISHED


def test_a_crash_while_a_file_is_replaced_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.json"
    write_whole(path, "old")

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(WorldError, match=r"best\.json: No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["best.json"]


def test_logs_are_kept_under_the_deployments_name(new_run: NewRun, lines: Any) -> None:
    run = new_run()
    name = run.deployment_name(lines.trial_line(12))
    assert name == "d4m2k1x7-t0012-a1"
    assert run.log(name) == ""
    run.write_log(name, "line 1\nline 2\n")
    assert run.log(name) == "line 1\nline 2\n"
    with pytest.raises(ValueError, match="deployment name"):
        run.log_path("../../etc/passwd")


def test_a_run_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run here"):
        RunDirectory.open(tmp_path, "nothing")


def test_a_root_below_a_file_is_the_persons_mistake_in_one_line(tmp_path: Path, lines: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a part of the path is a file") as caught:
        RunDirectory.create(tmp_path / "file", "run", experiment_yaml="", state=lines.state())
    assert "\n" not in str(caught.value)


def test_a_damaged_run_json_is_named(new_run: NewRun) -> None:
    run = new_run()
    (run.path / "run.json").write_text("{")
    with pytest.raises(WorldError, match=r"run\.json: not JSON"):
        run.state()
