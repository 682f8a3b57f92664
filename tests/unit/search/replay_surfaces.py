"""Surfaces for tests of the replay: written as CSV from a function of the configuration."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuner.search.replay import Surface, read_surface
from tuner.spec import Experiment


def usual_row(params: dict[str, Any]) -> dict[str, Any]:
    """Best at slots 4, batch 128, fast; slots 8 misses the limit, and crashes with batch 128."""
    if params["slots"] == 8 and params["batch"] == 128:
        return {"failure": "crash", "deploy_seconds": 3}
    tokens = 100 * {1: 1, 2: 1.5, 4: 2, 8: 2.2}[params["slots"]] * (1 + params["batch"] / 640)
    return {
        "output_tokens_per_second": tokens * (1.1 if params["mode"] == "fast" else 1),
        "ttft_p95_ms": {1: 30, 2: 40, 4: 60, 8: 300}[params["slots"]],
        "deploy_seconds": 2,
    }


def write(
    path: Path,
    experiment: Experiment,
    row: Callable[[dict[str, Any]], dict[str, Any]] = usual_row,
    *,
    remarks: str = "",
    columns: Sequence[str] = (),
) -> Path:
    """The experiment's whole grid as a surface."""
    metrics = [*(g.metric for g in experiment.objective), *experiment.slo]
    header = [*experiment.parameters, *metrics, "deploy_seconds", "failure", *columns]
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(remarks)
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        for params in experiment.space.grid():
            writer.writerow({**params, **row(params)})
    return path


def made(path: Path, experiment: Experiment, *given: Any, **more: Any) -> Surface:
    """The same, read back."""
    return read_surface(write(path, experiment, *given, **more), experiment)
