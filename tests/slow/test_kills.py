"""kill -9 of one part of a run after another: what was measured is kept, no engine survives, it goes on."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ENGINES_GONE_SECONDS = 3.0
RAY_GONE_SECONDS = 75.0  # Ray's agents try for 60 s to tell a driver that is gone of its raylet's end


@pytest.fixture
def running(lab, whole_runs):
    """A run in the middle of its search: one trial has ended, the next one is being measured."""
    experiment = lab.write(
        parameters={
            "slots": {"values": [2, 4, 8, 16], "flag": "--parallel"},
            "cache_v": {"values": ["f16"], "flag": "--cache-type-v"},
        },
        slo=None,
        workload={"rounds": 3},
        search={"trials": 4},
    )
    started = lab.start(experiment)
    whole_runs.until(lambda: _in_the_middle(lab, whole_runs), seconds=90, what="a round of the second trial")
    return started


def _in_the_middle(lab, whole_runs) -> bool:
    rounds = [line for path in lab.runs.glob("*/rounds.jsonl") for line in whole_runs.lines(path)]
    return any(line["trial"] == 1 for line in rounds)


def _kill(processes) -> None:
    assert processes
    for process in processes:
        process.kill()


def _no_engine(lab, whole_runs) -> None:
    whole_runs.until(lambda: not lab.engines(), seconds=ENGINES_GONE_SECONDS, what="no engine is left")


def _verdict(ended, lab, whole_runs) -> None:
    assert ended.code == 0, ended.out + ended.err
    assert (lab.the_run() / "best.json").exists()
    _no_engine(lab, whole_runs)
    whole_runs.until(lambda: not lab.processes(), seconds=RAY_GONE_SECONDS, what="Ray's processes are gone")


def _each_trial_ended_once(lab, whole_runs) -> None:
    ended = [t for t, _, state in whole_runs.ended_search(lab.the_run()) if state != "interrupted"]
    assert sorted(ended) == [0, 1, 2, 3]


def _rounds_are_not_doubled(lab, whole_runs) -> None:
    rounds = [
        (line["trial"], line["phase"], line["attempt"], line["round"]["number"])
        for line in whole_runs.lines(lab.the_run() / "rounds.jsonl")
    ]
    assert len(rounds) == len(set(rounds))


def test_the_driver(lab, whole_runs, running):
    kept = (lab.the_run() / "trials.jsonl").read_text()
    running.process.kill()
    running.process.wait()
    _no_engine(lab, whole_runs)

    again = lab.run(lab.folder / "small.yaml", seconds=200)
    _verdict(again, lab, whole_runs)
    assert f"goes on with runs/{lab.the_run().name}: 1 ended trials are kept" in again.out
    assert (lab.the_run() / "trials.jsonl").read_text().startswith(kept)
    _each_trial_ended_once(lab, whole_runs)
    _rounds_are_not_doubled(lab, whole_runs)
    assert (1, 2, "complete") in whole_runs.ended_search(lab.the_run())  # half-measured: its next attempt


def test_a_trials_actor(lab, whole_runs, running):
    at_work = whole_runs.until(  # Ray gives it another title between two steps
        lambda: lab.named(whole_runs.TRIAL_ACTOR), seconds=10, what="the trial's actor is at work"
    )
    _kill(at_work)
    _no_engine_of(lab, whole_runs, "t0001-a1")
    _verdict(running.wait(200), lab, whole_runs)
    _each_trial_ended_once(lab, whole_runs)
    _rounds_are_not_doubled(lab, whole_runs)
    _interrupted_once(lab, whole_runs, "the trial's actor or its node died")


def test_the_benchmark_actor(lab, whole_runs, running):
    _kill(lab.named(whole_runs.BENCHMARK_ACTOR))
    _verdict(running.wait(200), lab, whole_runs)
    _each_trial_ended_once(lab, whole_runs)
    _rounds_are_not_doubled(lab, whole_runs)
    _interrupted_once(lab, whole_runs, "the benchmark actor died")


def test_the_engine(lab, whole_runs, running):
    _kill([p for p in lab.engines() if p.cmdline()[1:2] == ["-P"]])  # not its supervisor
    _verdict(running.wait(200), lab, whole_runs)
    ended = whole_runs.lines(lab.the_run() / "trials.jsonl")
    (failed,) = (line for line in ended if line["state"] == "failed")
    assert failed["trial"] == 1
    assert failed["failure"]["kind"] in {"crash_under_load", "oom_killed"}
    assert "SIGKILL" in failed["failure"]["message"]


def test_the_raylet(lab, whole_runs, running):
    _kill(lab.named("raylet"))
    _no_engine(lab, whole_runs)
    ended = running.wait(60)
    _no_engine(lab, whole_runs)
    assert ended.code == 1
    assert len(ended.error_lines) == 1, ended.err
    assert "Ray" in ended.err
    assert "Traceback" not in ended.err + ended.out
    whole_runs.until(lambda: not lab.processes(), seconds=45, what="Ray's processes are gone")

    again = lab.run(lab.folder / "small.yaml", seconds=200)
    _verdict(again, lab, whole_runs)
    _each_trial_ended_once(lab, whole_runs)
    _rounds_are_not_doubled(lab, whole_runs)


def _no_engine_of(lab, whole_runs, deployment: str) -> None:
    whole_runs.until(
        lambda: not any(name.endswith(deployment) for name in lab.deployments()),
        seconds=ENGINES_GONE_SECONDS,
        what=f"no engine of {deployment} is left",
    )


def _interrupted_once(lab, whole_runs, message: str) -> None:
    found = [line for line in whole_runs.lines(lab.the_run() / "trials.jsonl") if line["trial"] == 1]
    first, second = (line for line in found if line["phase"] == "search")
    assert (first["attempt"], first["state"]) == (1, "interrupted")
    assert first["failure"]["kind"] == "node_fault"
    assert message in first["failure"]["message"]
    assert (second["attempt"], second["state"]) == (2, "complete")
