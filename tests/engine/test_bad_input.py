"""What the command says of mistakes and mishaps: one line, the right exit code, nothing left running."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest
import whole_runs

from tuner.results.runs import find_run

pytestmark = pytest.mark.engine

USERS, WORLDS, INTERRUPTED = 2, 1, 130


@pytest.fixture
def lab(tmp_path):
    made = whole_runs.Lab(tmp_path)
    yield made
    made.close()


def said(lab, ended, code: int) -> str:
    """The one line, where it is one, with that code, and nothing is left."""
    assert ended.code == code, ended.err + ended.out
    assert len(ended.error_lines) == 1, ended.err
    assert "Traceback" not in ended.err + ended.out
    assert ended.error_lines[0].startswith("error: ")
    assert lab.engines() == []
    whole_runs.until(lambda: not lab.processes(), seconds=10, what="nothing is left running")
    return ended.error_lines[0]


# -- found before Ray is started -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"search": {"trails": 3}}, ["small.yaml:", "search.trails", "trials"]),
        (
            {"parameters": {"slots": {"low": 8, "high": 1, "flag": "--parallel"}}},
            ["small.yaml:", "parameters.slots", "8", "1"],
        ),
        ({"constraints": ["slotz <= 4"]}, ["small.yaml:", "slotz", "slots"]),
        ({"baseline": {"slots": 5}}, ["small.yaml:", "baseline.slots", "5"]),
        ({"workload": {"scenario": "D(16"}}, ["small.yaml:", "workload", "D(16"]),
        ({"model": {"synthetic": None, "path": "absent.gguf"}}, ["absent.gguf", "no such file"]),
        ({"deploy": {"binary": "no-such-engine"}}, ["no-such-engine"]),
    ],
    ids=["typo", "empty-range", "unknown-parameter", "baseline-outside", "scenario", "no-model", "no-engine"],
)
def test_a_mistake_in_the_experiment_is_one_line_before_anything_is_started(lab, changes, words):
    ended = lab.run(lab.write(**changes), seconds=30)
    line = said(lab, ended, USERS)
    for word in words:
        assert word in line
    assert not lab.runs.exists()


def test_an_experiment_that_is_not_there_is_named(lab):
    assert "absent.yaml" in said(lab, lab.run("absent.yaml", seconds=30), USERS)


def test_a_run_directory_that_cannot_be_made_is_named(lab):
    (lab.folder / "file").write_text("")
    ended = lab.run(lab.write(), "--runs", "file/runs", seconds=30)
    line = said(lab, ended, USERS)
    assert "file/runs" in line
    assert "choose a directory" in line


def test_an_address_that_does_not_answer_is_said_within_five_seconds(lab):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ended = lab.run(lab.write(), "--address", address, seconds=30)
    line = said(lab, ended, WORLDS)
    assert address in line
    assert "ray start --head" in line
    assert ended.seconds < 5


def test_debug_shows_the_traceback_before_the_line(lab):
    ended = lab.run(lab.write(search={"trails": 3}), "--debug", seconds=30)
    assert ended.code == USERS
    assert "Traceback" in ended.err
    assert ended.error_lines[-1].startswith("error: ")


def test_a_port_that_is_taken_is_named_with_its_taker(lab):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = said(lab, lab.run(lab.write(deploy={"port": port})), WORLDS)
    assert f"port {port} is taken by pid {os.getpid()}" in line


# -- found by deploying ----------------------------------------------------------------------------


def test_a_baseline_that_dies_at_once_ends_the_run_with_the_engines_reason(lab):
    ended = lab.run(lab.write(baseline={"cache_v": "q8_0"}))
    line = said(lab, ended, USERS)
    assert "baseline" in line
    assert "quantized V cache requires flash_attn" in line
    assert whole_runs.ended_search(lab.the_run()) == [(0, 1, "failed")]


@pytest.fixture
def tiny_disk(lab):
    lab.runs.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs", str(lab.runs)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a full disk is made by mounting a small one, which needs the right to mount")
    yield lab.runs
    subprocess.run(["umount", "--lazy", str(lab.runs)], check=True)


@pytest.mark.timeout(400)
def test_a_disk_that_fills_up_ends_the_run_with_one_line_and_it_can_go_on(lab, tiny_disk):
    started = lab.start(lab.write())
    whole_runs.until(
        lambda: any(tiny_disk.glob("*/rounds.jsonl")), seconds=120, what="the first round is written"
    )
    with (tiny_disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
    line = said(lab, started.wait(120), WORLDS)
    assert "No space left on device" in line or "disk is full" in line  # SQLite's words
    (tiny_disk / "filler").unlink()
    run = find_run(lab.runs)
    assert run.state().status != "finished"
    kept = [line.key for line in run.trials()]
    assert run.rounds()  # what was written is whole
    line = said(
        lab, lab.run(lab.folder / "small.yaml"), WORLDS
    )  # room for all but the report, which is large
    assert "report.html: No space left on device" in line
    assert run.state().status != "finished"
    subprocess.run(["mount", "-o", "remount,size=64m", str(tiny_disk)], check=True)
    again = lab.run(lab.folder / "small.yaml")
    assert again.code in (0, 3), again.err  # a busy machine misses the limit
    assert lab.the_run() == run.path and run.state().status == "finished"
    ended = [line.key for line in run.trials()]
    assert ended[: len(kept)] == kept and len(set(ended)) == len(ended)
    assert {trial for trial, *_ in whole_runs.ended_search(run.path)} == set(range(6))


# -- Ctrl-C ----------------------------------------------------------------------------------------


def test_ctrl_c_once_ends_in_good_order_and_twice_at_once(lab):
    experiment = lab.write(workload={"rounds": 4})
    first = lab.start(experiment)
    whole_runs.until(lambda: _rounds(lab), seconds=60, what="the first round is measured")
    first.interrupt()
    ended = first.wait(20)
    assert ended.code == INTERRUPTED, ended.err
    assert "Traceback" not in ended.err
    assert "the same command goes on" in ended.out
    assert lab.engines() == []
    run = lab.the_run()
    assert (run / "report.html").exists()
    assert not [line for line in whole_runs.lines(run / "trials.jsonl") if line["phase"] == "validation"]
    assert find_run(lab.runs).state().status == "interrupted"
    rounds = len(_rounds(lab))

    again = lab.start(experiment)
    whole_runs.until(lambda: len(_rounds(lab)) > rounds, seconds=60, what="a round is measured")
    assert f"goes on with runs/{run.name}" in again.out
    assert lab.the_run() == run
    assert lab.engines()
    again.interrupt()
    whole_runs.until(lambda: "Ctrl-C again ends at once" in again.out, seconds=10, what="it is told so")
    again.interrupt()
    ended = again.wait(8)
    assert ended.code == INTERRUPTED
    assert "Traceback" not in ended.err
    whole_runs.until(lambda: not lab.engines(), seconds=3, what="no engine is left")
    whole_runs.until(lambda: not lab.processes(), seconds=3, what="nothing is left running")


def _rounds(lab) -> list[dict]:
    return [line for path in lab.runs.glob("*/rounds.jsonl") for line in whole_runs.lines(path)]
