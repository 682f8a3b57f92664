"""Finds the engine's program on this machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tuner.errors import UserError

_LLAMA_SERVER = "llama-server"
_INSTALL = "pip install 'ray-serving-tuner[engine]'"


def find_binary(binary: str | Sequence[str]) -> tuple[str, ...]:
    """The program as the beginning of an argument vector.

    Args:
        binary: "auto" (llama-server where it is on PATH, else the embedded engine), "embedded", a program's
            name or path, or a list of a program and its first arguments.

    Raises:
        UserError: it is not on this machine; says what to install or set.
    """
    if binary == "auto":
        found = shutil.which(_LLAMA_SERVER)
        return (
            (found,) if found else _embedded(f"neither {_LLAMA_SERVER} nor the embedded engine is installed")
        )
    if binary == "embedded":
        return _embedded("the embedded engine is not installed")
    program, *rest = [binary] if isinstance(binary, str) else binary
    found = shutil.which(str(Path(program).expanduser()) if "/" in program else program)
    if found is None:
        where = "is not an executable file" if "/" in program else "is not on PATH"
        raise UserError(f"engine binary {program} {where}; install it, or set deploy.binary")
    return (found, *rest)


def is_embedded(argv: Sequence[str]) -> bool:
    """Whether the argument vector runs the embedded engine."""
    return "tuner.deploy.embedded" in argv[:4]


def embedded_version() -> str:
    """Name and version of the embedded engine."""
    return f"xllamacpp {importlib.metadata.version('xllamacpp')}"


def _embedded(otherwise: str) -> tuple[str, ...]:
    if importlib.util.find_spec("xllamacpp") is None:
        raise UserError(f"{otherwise}: {_INSTALL}, or set deploy.binary")
    return (sys.executable, "-P", "-m", "tuner.deploy.embedded")  # -P: nothing is imported from the directory
