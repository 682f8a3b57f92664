"""Fixtures of the load's tests: the scripted server, imported by its path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


_SERVER = _load(Path(__file__).with_name("scripted_server.py"))


@pytest.fixture(scope="session")
def scripted() -> ModuleType:
    """The module scripted_server: ScriptedServer and Script."""
    return _SERVER
