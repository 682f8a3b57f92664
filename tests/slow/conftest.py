"""Whole runs for the slow tier: the lab of the engine's tests."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import whole_runs as _whole_runs


@pytest.fixture(scope="session")
def whole_runs() -> ModuleType:
    """The module whole_runs: Lab, until, lines, ended_search."""
    return _whole_runs


@pytest.fixture
def lab(tmp_path: Path):
    """A directory, home and Ray of its own; nothing of it is left afterwards."""
    made = _whole_runs.Lab(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def installed_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that has what the project needs, and not the project.

    A line in a .pth file adds a directory to the path without reading the .pth files in it, so that an
    editable install there does not come along.
    """
    folder = tmp_path_factory.mktemp("elsewhere") / "env"
    _venv(folder)
    return folder / "bin" / "python"


def _venv(folder: Path) -> None:
    import subprocess
    import sysconfig

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
