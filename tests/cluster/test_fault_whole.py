"""Whole searches on a real cluster through an API server that is gone, and a run directory that fills up."""

from __future__ import annotations

import subprocess
import time

import pytest
from outages import api_server_gone, own_state
from plain_site import plain_site

pytestmark = pytest.mark.cluster
GONE_SECONDS = 60.0


@pytest.fixture
def site(new_namespace, admin_api, engine_parts, tmp_path):
    with (
        new_namespace("fault", reader=True) as namespace,
        plain_site(namespace, api=admin_api, parts=engine_parts, folder=tmp_path) as made,
    ):
        yield made


@pytest.mark.timeout(400)
def test_an_api_server_that_is_gone_for_a_minute_loses_no_trial_and_judges_none_wrong(
    site, admin_kubeconfig, until
):
    state = own_state(admin_kubeconfig)
    started = site.start(site.experiment(search={"trials": 3}))
    until(lambda: {line["trial"] for line in site.rounds()} >= {1}, seconds=120, what="trial 1 is measured")
    with api_server_gone(state):
        time.sleep(GONE_SECONDS)  # so long it is gone: that is what is tested
        assert started.process.poll() is None, started.err
    ended = started.wait(200)
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    assert ended.err.strip() == ""
    lines = site.lines()
    assert {line["trial"] for line in lines if line["state"] == "complete"} == {0, 1, 2}
    cut = [line for line in lines if line["state"] != "complete"]
    assert all(line["state"] == "interrupted" for line in cut), cut
    assert {line["failure"]["kind"] for line in cut} <= {"node_fault"}, cut
    until(lambda: site.labelled() == [], seconds=30, what=lambda: f"nothing is left: {site.labelled()}")


@pytest.fixture
def tiny_disk(site):
    site.lab.runs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(site.lab.runs)], check=True)
    yield site.lab.runs
    subprocess.run(["umount", "--lazy", str(site.lab.runs)], check=True)


@pytest.mark.timeout(400)
def test_a_full_disk_ends_the_run_in_one_line_with_its_trials_gone_and_it_goes_on_once_there_is_room(
    site, tiny_disk, until
):
    experiment = site.experiment(search={"trials": 3, "parallel": 2})
    started = site.start(experiment)
    until(lambda: {line["trial"] for line in site.rounds()} >= {1}, seconds=120, what="trial 1 is measured")
    with (tiny_disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
    ended = started.wait(150)
    assert ended.code == 1, f"{ended.out}\n{ended.err}"
    (line,) = ended.error_lines
    assert line.startswith("error: ")
    assert "No space left on device" in line or "disk is full" in line  # SQLite's words
    until(lambda: site.labelled() == [], seconds=30, what=lambda: f"nothing is left: {site.labelled()}")
    before = site.lines()
    (tiny_disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(tiny_disk)], check=True)  # the report is large
    again = site.start(experiment).wait(200)
    assert again.code == 0, f"{again.out}\n{again.err}"
    lines = site.lines()
    assert lines[: len(before)] == before
    done = [line["trial"] for line in lines if line["state"] == "complete"]
    assert sorted(done) == [0, 1, 2]  # each once
    keys = [(r["trial"], r["phase"], r["attempt"], r["round"]["number"]) for r in site.rounds()]
    assert len(set(keys)) == len(keys)
    assert site.labelled() == []
