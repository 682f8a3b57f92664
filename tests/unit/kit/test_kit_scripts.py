"""The scripts within cluster/: the download and the search, over stand-ins for the programs they call."""

from __future__ import annotations

import os
import subprocess

import pytest
from kit_files import KIT, documents


@pytest.fixture
def program(tmp_path):
    """Makes a program of that name that is found first; it writes how it was called into `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def made(name, script="exit 0"):
        path = folder / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> {tmp_path}/calls\n{script}\n')
        path.chmod(0o755)

    return made


@pytest.fixture
def run(tmp_path):
    def ran(words, **env):
        ended = subprocess.run(
            words,
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", **env},
        )
        calls = tmp_path / "calls"
        return ended, calls.read_text().splitlines() if calls.exists() else []

    return ran


def of_job(name):
    """The words that the Job's container runs, and its plain variables."""
    (job,) = documents(KIT / "model" / f"{name}.yaml")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    plain = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    return container["command"] + container["args"], plain


@pytest.mark.parametrize(("code", "told"), [(0, 0), (3, 0), (1, 1), (2, 2), (130, 130)])
def test_nothing_feasible_is_an_answer_and_every_other_failure_is_one(code, told, program, run):
    program("python", f"exit {code}")
    ended, calls = run(["bash", str(KIT / "ray" / "tune.sh")])
    assert ended.returncode == told
    assert calls == ["python -m tuner.search /experiment/experiment.yaml --runs /runs --plain"]


def test_a_model_is_downloaded_into_its_folder_and_verified_there(program, run, tmp_path):
    words, env = of_job("fill")
    folder = tmp_path / env["SUBPATH"]
    program("hf", f'[ "$1" = download ] && echo "{{}}" > {folder}/config.json; exit 0')
    ended, calls = run(words, **env | {"MODELS": str(tmp_path)})
    assert ended.returncode == 0, ended.stderr
    assert f"{env['SUBPATH']} holds {env['REPOSITORY']} at {env['REVISION']}" in ended.stdout
    which = f"{env['REPOSITORY']} --revision {env['REVISION']} --local-dir {folder}"
    assert calls == [f"hf download {which} --exclude original/*", f"hf cache verify {which}"]
    assert folder.stat().st_mode & 0o777 == 0o755  # engines read it under users of their own


def test_what_a_killed_download_left_does_not_fill_the_volume(program, run, tmp_path):
    words, env = of_job("fill")
    left = tmp_path / env["SUBPATH"] / ".cache" / "huggingface" / "download" / "x.1.incomplete"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    whole = tmp_path / env["SUBPATH"] / "config.json"
    whole.write_text("{}")
    program("hf")
    ended, _ = run(words, **env | {"MODELS": str(tmp_path)})
    assert ended.returncode == 0
    assert whole.exists() and not left.exists()


@pytest.mark.parametrize("failing", ["download", "cache"])
def test_a_model_that_is_not_whole_fails_the_job(failing, program, run, tmp_path):
    words, env = of_job("fill")
    program("hf", f'[ "$1" != {failing} ]')
    ended, _ = run(words, **env | {"MODELS": str(tmp_path)})
    assert ended.returncode != 0
    assert "holds" not in ended.stdout


def test_a_repository_without_a_model_fails_the_job(program, run, tmp_path):
    words, env = of_job("fill")
    program("hf")
    ended, _ = run(words, **env | {"MODELS": str(tmp_path)})
    assert ended.returncode != 0
