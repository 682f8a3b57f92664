"""The source package, installed once in the user's cache, and the tables that were read from it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PACKAGE, VERSION = "aiconfigurator-core", "0.12.0"  # Apache-2.0
_PROGRAM = Path(__file__).with_name("tables_program.py")
_TEXT = _PROGRAM.read_text(encoding="utf-8")
Layout = Mapping[str, Any]


def cache_directory() -> Path:
    """That of the benchmarks, below XDG_CACHE_HOME or ~/.cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "serving-tuner-benchmarks" / "surfaces"


def key_of(layout: Layout) -> str:
    """Of a layout, for dictionaries and file names."""
    text = json.dumps([VERSION, _TEXT, dict(layout)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tables_of(layouts: Iterable[Layout]) -> dict[str, dict[str, Any]]:
    """Tables by `key_of`; those that an earlier call read are taken from the cache.

    Raises:
        LookupError: the source has no tables for one of them.
    """
    folder = cache_directory() / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {key_of(layout): dict(layout) for layout in layouts}
    missing = {k: v for k, v in wanted.items() if not (folder / f"{k}.json").exists()}
    if missing:
        made = subprocess.run(
            [str(_python()), str(_PROGRAM)],
            input=json.dumps(list(missing.values())),
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise LookupError(made.stderr.strip().splitlines()[-1])
        for key, tables in zip(missing, json.loads(made.stdout), strict=True):
            if "error" in tables:
                raise LookupError(f"{missing[key]}: {tables['error']}")
            (folder / f"{key}.json").write_text(json.dumps(tables), encoding="utf-8")
    return {key: json.loads((folder / f"{key}.json").read_text(encoding="utf-8")) for key in wanted}


def _python() -> Path:
    home = cache_directory() / f"{PACKAGE}-{VERSION}"
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists():
        print(f"installing {PACKAGE} {VERSION} from PyPI ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, f"{PACKAGE}=={VERSION}"], check=True)
        done.touch()
    return python
