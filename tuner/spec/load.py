"""A file and its overrides -> an experiment, or one line that says what is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from tuner.errors import SpecError
from tuner.spec import task_json
from tuner.spec.document import parse
from tuner.spec.experiment import Experiment
from tuner.spec.explain import explain
from tuner.spec.overrides import apply_overrides

_LARGEST = 4_000_000  # bytes


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment file, or the seed's task JSON, with `a.b.c=value` overrides laid over it.

    Raises:
        SpecError: one line: file and line, the key, what was got and what would be right.
    """
    source = os.fspath(path)
    document = parse(_text(path), source)
    if task_json.is_task(document.data):
        document = task_json.convert(document)
    if not isinstance(document.data, dict):
        raise document.error(
            (), "got no mapping; would be right: sections such as model, parameters, workload"
        )
    if document.data.get("name") is None:
        document.data["name"] = _name(path)
    apply_overrides(document, overrides)
    try:
        experiment = Experiment.model_validate(document.data)
    except ValidationError as error:
        raise explain(error, document) from error
    experiment._source = source
    return experiment


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise SpecError(
                f"got a file above {_LARGEST} bytes; would be right: an experiment file", source=str(path)
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SpecError(
            "there is no such file; would be right: the path of an experiment", source=str(path)
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SpecError(f"cannot be read: {reason}", source=str(path)) from error


def _name(path: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:63].strip("-")
    return name if name[:1].isalpha() else f"experiment-{name}"[:63].strip("-")
