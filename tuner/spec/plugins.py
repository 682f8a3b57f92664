"""Which modules a plug-in folder of the package holds, by looking at its files: nothing is imported."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def modules_in(folder: str) -> list[str]:
    """The names of the modules in `folder` (such as "search/stopping"), sorted."""
    return sorted(f.stem for f in (_PACKAGE / folder).glob("*.py") if not f.stem.startswith("_"))
