"""Builds the surfaces that rest on measured operator tables of aiconfigurator (Apache-2.0).

    python benchmarks/surfaces/build_modelled.py [NAME ...]     all of them without a name
    python benchmarks/surfaces/build_modelled.py --check NAME   builds it beside and says whether it differs

The package is installed in a virtual environment of its own in the user's cache (1 GB); tables once read
stay there.
"""

from __future__ import annotations

import argparse
import collections
import csv
import io
import sys
import time
from pathlib import Path

from difficulty import difficulty_of
from served.recipes import RECIPES
from served.rows import METRICS, PER_ACCELERATOR, SurfaceRows, mean_noise

from tuner.spec import load_experiment

HERE = Path(__file__).parent


def build(name: str, *, check: bool) -> bool:
    """Write the surface, or only compare it; False where it differs from the one that stands."""
    began = time.monotonic()
    experiment = load_experiment(HERE / name / "experiment.yaml")
    engine, facts = RECIPES[name]
    rows = SurfaceRows(experiment, engine, facts).rows(experiment.space.grid())
    used = [g.metric for g in experiment.objective] + list(experiment.slo)
    metrics = [m for m in (*METRICS, PER_ACCELERATOR, "goodput", "error_rate") if m in METRICS or m in used]
    columns = [*experiment.parameters, *metrics, "deploy_seconds", "failure", "noise_cv"]
    text = [{c: _text(row.get(c, "")) for c in columns} for row in rows]
    found = difficulty_of(experiment, text)
    kinds = collections.Counter(r["failure"] for r in text if r["failure"])
    print(
        f"{name}: {found.rows} rows, {found.feasible / found.rows:.1%} feasible, {found.good} good, "
        f"best {found.best:.4g}, random's median {found.random_median}, noise {mean_noise(rows):.1%}, "
        f"{dict(kinds)} ({time.monotonic() - began:.0f} s)"
    )
    made = io.StringIO(newline="")
    writer = csv.DictWriter(made, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(text)
    file = HERE / name / "surface.csv"
    if check:
        same = file.read_text(encoding="utf-8") == made.getvalue()
        print("  the same" if same else f"  differs from {file}")
        return same
    file.write_text(made.getvalue(), encoding="utf-8")
    return True


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    same = [build(name, check=given.check) for name in given.names or RECIPES]
    sys.exit(not all(same))


if __name__ == "__main__":
    main()
