"""The wheel carries everything that a run needs: installed elsewhere, it runs from another directory."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, installed_elsewhere) -> Path:
    """The interpreter of an environment with the wheel in it, the dependencies beside it."""
    (site,) = (installed_elsewhere.parents[1] / "lib").glob("python*/site-packages")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    return installed_elsewhere


def test_templates_and_experiments_are_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("templates", "search_spaces"):
        files = [path for path in (ROOT / folder).iterdir() if path.is_file()]
        assert files
        for path in files:
            assert f"tuner/shipped/{folder}/{path.name}" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_every_module_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "tuner").rglob("*.py")}
    assert modules <= names


def test_it_prints_its_plan_from_another_directory(installed, tmp_path, whole_runs):
    lab = whole_runs.Lab(tmp_path, python=str(installed))
    try:
        ended = lab.run("quickstart", "--dry-run", seconds=60)
        assert ended.code == 0, ended.err
        assert "plan quickstart" in ended.out
        assert ended.error_lines == []
        where = lab.launch([str(installed), "-c", "import tuner; print(tuner.__file__)"]).wait(30)
        assert Path(where.out.strip()).is_relative_to(installed.parents[1])
    finally:
        lab.close()


def test_it_runs_to_a_verdict_from_another_directory(installed, tmp_path, whole_runs):
    lab = whole_runs.Lab(tmp_path, python=str(installed))
    try:
        experiment = lab.write(
            slo=None,
            parameters={
                "slots": {"values": [2, 8], "flag": "--parallel"},
                "cache_v": {"values": ["f16"], "flag": "--cache-type-v"},
            },
            baseline={"slots": 2},
            search={"trials": 2},
        )
        ended = lab.run(experiment, seconds=120)
        assert ended.code == 0, ended.err + ended.out
        assert (lab.the_run() / "report.html").exists()
        assert lab.engines() == []
    finally:
        lab.close()


def test_the_installed_command_shows_its_schema(installed, tmp_path, whole_runs):
    lab = whole_runs.Lab(tmp_path, python=str(installed))
    try:
        ended = lab.launch([str(installed), "-m", "tuner", "schema"]).wait(30)
        assert ended.code == 0, ended.err
        assert '"parameters"' in ended.out
    finally:
        lab.close()
