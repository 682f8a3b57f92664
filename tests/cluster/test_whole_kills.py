"""The driver killed with -9 at random moments: the same command goes on, and nothing is left or lost."""

from __future__ import annotations

import random
import time

import pytest
import search_site

pytestmark = pytest.mark.cluster

KILLS = 10


@pytest.mark.timeout(1200)
def test_ten_kills_of_the_driver_lose_no_finished_trial_and_leave_nothing(place):
    experiment = place.experiment(
        parameters={
            "slots": {"values": [12, 14, 16, 18, 20, 24], "flag": "--parallel"},
            "batch": {"values": [128, 256, 512], "flag": "--batch-size"},
        },
        baseline={"slots": 16, "batch": 512},
        search={"trials": 18, "sampler": "random"},
        workload={"rounds": 3, "round_seconds": 2},
    )
    rng = random.Random(20_26)
    finished = []
    kills = 0
    while kills < KILLS:
        started = place.start(experiment)
        moment = time.monotonic() + rng.uniform(1.0, 25.0)
        while started.process.poll() is None and time.monotonic() < moment:
            time.sleep(0.05)
        if started.process.poll() is not None:
            break  # it came to its end before
        started.process.kill()
        started.process.wait()
        kills += 1
        finished = _kept(place, finished)
    ended = place.run(experiment, seconds=600)
    assert ended.code in (0, 3), f"{ended.out}\n{ended.err}"
    assert kills >= KILLS, f"the search ended after {kills} kills; make it longer"
    _kept(place, finished)
    run = search_site.only_run(place)  # every start went on with the same run
    ended_once = [
        (line["trial"], line["attempt"])
        for line in search_site.trials(run)
        if line["phase"] == "search" and line["state"] in ("complete", "stopped", "failed")
    ]
    assert len({trial for trial, _ in ended_once}) == len(ended_once), "a finished trial was measured again"
    assert place.labelled() == []


def _kept(place, before):
    """The lines of finished trials, which hold all of `before`."""
    runs = list(place.lab.runs.iterdir()) if place.lab.runs.is_dir() else []
    lines = search_site.trials(runs[0]) if runs else []
    now = [
        (line["trial"], line["phase"], line["attempt"], line["values"])
        for line in lines
        if line["state"] != "interrupted"
    ]
    assert now[: len(before)] == before
    return now


def test_clean_takes_away_what_a_killed_driver_left(place, until):
    started = place.start(place.experiment())
    until(lambda: place.pods("autotuner.io/run"), seconds=60, what="a trial's pod")
    started.process.kill()
    started.process.wait()
    run = search_site.only_run(place)
    assert any(name.startswith("inferenceservice/") for name in place.labelled(run.name))
    cleaned = place.run("clean", run.name, module="tuner", seconds=60)
    assert cleaned.code == 0, cleaned.err
    until(lambda: not place.labelled(run.name), seconds=30, what="nothing carries the run's label")
