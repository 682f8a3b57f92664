"""Whole runs for the slow tier: the lab of the engine's tests, imported by its path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_PATH = Path(__file__).parents[1] / "engine" / "whole_runs.py"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


_WHOLE_RUNS = _load(_PATH)


@pytest.fixture(scope="session")
def whole_runs() -> ModuleType:
    """The module whole_runs: Lab, until, lines, ended_search."""
    return _WHOLE_RUNS


@pytest.fixture
def lab(tmp_path: Path):
    """A directory, home and Ray of its own; nothing of it is left afterwards."""
    made = _WHOLE_RUNS.Lab(tmp_path)
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
