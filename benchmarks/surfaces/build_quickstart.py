"""Makes the surface of the quickstart from the visits of its grid: means over visits, and their spread.

python benchmarks/surfaces/build_quickstart.py
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tuner.spec import Experiment, load_experiment

HERE = Path(__file__).parent
NAME = "quickstart-grid"
VISITS = HERE.parent / "data" / "quickstart_grid.csv"
SERVES_AFTER_SECONDS = 0.35  # measured: docs/engine.md
CRASHES_AFTER_SECONDS = 0.25
LEAST_NOISE, MOST_NOISE = 0.005, 0.2


def row_of(experiment: Experiment, params: dict[str, Any], visits: list[dict[str, str]]) -> dict[str, Any]:
    """One row; a configuration that failed twice is one that fails."""
    columns = [*(g.metric for g in experiment.objective), *experiment.slo]
    failures = [v["failure"] for v in visits if v["failure"]]
    if len(failures) >= 2:
        return {
            **params,
            "deploy_seconds": CRASHES_AFTER_SECONDS,
            "failure": failures[0],
            "repeats": len(visits),
        }
    clean = [v for v in visits if not v["failure"] and v["dirty_rounds"] == v["client_bound_rounds"] == "0"]
    first = [float(v[columns[0]]) for v in clean]
    rounds = experiment.workload.rounds  # of a trial; a visit is one of them
    noise = stdev(first) / fmean(first) / math.sqrt(rounds) if len(first) > 1 else MOST_NOISE
    return {
        **params,
        **{c: f"{fmean(float(v[c]) for v in clean):.4g}" for c in columns},
        "deploy_seconds": SERVES_AFTER_SECONDS,
        "failure": "",
        "noise_cv": f"{min(max(noise, LEAST_NOISE), MOST_NOISE):.2g}",
        "repeats": len(clean),
    }


def main() -> None:
    experiment = load_experiment(HERE / NAME / "experiment.yaml")
    visits = defaultdict(list)
    with VISITS.open(newline="", encoding="utf-8") as file:
        for visit in csv.DictReader(file):
            visits[visit["params"]].append(visit)
    rows = [
        row_of(experiment, params, visits[json.dumps(params, sort_keys=True)])
        for params in experiment.space.grid()
    ]
    metrics = [*(g.metric for g in experiment.objective), *experiment.slo]
    columns = [*experiment.parameters, *metrics, "deploy_seconds", "failure", "noise_cv", "repeats"]
    with (HERE / NAME / "surface.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: str(v).lower() if isinstance(v, bool) else v for k, v in r.items()} for r in rows
        )


if __name__ == "__main__":
    main()
