"""Learn what a parameter does to a metric, by its role, from the surfaces for choosing alone.

python benchmarks/surfaces/learn_prior.py            writes tuner/search/auto/learned.json
python benchmarks/surfaces/learn_prior.py --without X   leaves surfaces out (to choose by), and prints

On every surface the logarithm of each metric is regressed on the roles (ridge, what serves alone); a slope's
mean and deviation are those over the surfaces that have the role, each surface counting once.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import numpy as np
import yaml

from tuner.search.auto.roles import Roles
from tuner.search.replay import read_surface
from tuner.spec import load_experiment

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "tuner" / "search" / "auto" / "learned.json"
METRICS = {
    "output_tokens_per_second": "output_tokens_per_second",
    "requests_per_second": "requests_per_second",
    "ttft_p95_ms": "ttft",
    "tpot_p95_ms": "tpot",
    "e2e_p95_ms": "e2e",
}
RIDGE = 0.01  # of a role's own variance
FLOOR = 0.1  # the least deviation of a slope: nothing is known better than from a few surfaces
WIDER = 1.5  # the deviation over a few surfaces is less than that over all
ALONE = 0.5  # the share of a slope taken for its deviation where one surface alone told it


def slopes_of(folder: Path) -> dict[str, dict[str, float]]:
    """metric -> role -> slope of its logarithm on one surface."""
    experiment = load_experiment(folder / "experiment.yaml")
    surface = read_surface(folder / "surface.csv", experiment)
    roles = Roles(experiment.space)
    rows = [row for row in surface.rows if row.failure is None]
    figures = roles.rows([row.params for row in rows])
    figures = figures - np.nanmean(figures, axis=0)
    figures = np.nan_to_num(figures)
    found: dict[str, dict[str, float]] = {}
    for column, name in METRICS.items():
        if column not in surface.metrics or not roles.names:
            continue
        values = np.log([max(1e-9, row.truth[column]) for row in rows])
        scatter = figures.T @ figures
        ridge = RIDGE * np.diag(np.diag(scatter) + 1e-9)
        slopes = np.linalg.solve(scatter + ridge, figures.T @ (values - values.mean()))
        found[name] = {r: float(s) for r, s in zip(roles.names, slopes, strict=True)}
    return found


def learned_from(folders: list[Path]) -> dict[str, dict[str, tuple[float, float]]]:
    """metric -> role -> (mean, deviation) of the slopes over the surfaces."""
    gathered: dict[tuple[str, str], list[float]] = defaultdict(list)
    for folder in folders:
        for metric, slopes in slopes_of(folder).items():
            for role, slope in slopes.items():
                gathered[metric, role].append(slope)
    told: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for (metric, role), slopes in sorted(gathered.items()):
        mean, n = fmean(slopes), len(slopes)
        if n > 1:
            spread = math.sqrt(sum((s - mean) ** 2 for s in slopes) / (n - 1) * (1 + 1 / n))
        else:
            spread = ALONE * abs(mean)
        told[metric][role] = round(mean, 4), round(max(FLOOR, WIDER * spread), 4)
    return dict(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--without", nargs="*", default=[], help="surfaces to leave out; prints")
    given = parser.parse_args()
    split = yaml.safe_load((HERE / "split.yaml").read_text())["choosing"]["surfaces"]
    used = [n for n in split if n not in given.without and (HERE / n / "surface.csv").is_file()]
    slopes = learned_from([HERE / name for name in used])
    text = json.dumps({"surfaces": used, "slopes": slopes}, indent=1) + "\n"
    if given.without:
        print(text)
    else:
        TARGET.write_text(text)


if __name__ == "__main__":
    main()
