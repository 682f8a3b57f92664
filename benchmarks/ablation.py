"""What each part of the default strategy is worth: turned off one at a time, on the surfaces for choosing.

    python benchmarks/ablation.py [--seeds 12] [--only "no cost" ...] [--jobs N] [--json FILE]

What is expected of a parameter beforehand is learned here from the other choosing surfaces alone, so that no
surface is searched with what was learned from itself. The figure is the median cost over random's, and its
geometric mean over the surfaces; *times* is by how much more that costs than everything together, with the
95 % interval of the geometric mean over pairs of the same surface and seed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from searches.figures import Cost, geometric_mean
from searches.own import chance_costs, own_runs
from searches.surfaces import HERE, Split

from tuner.search import samplers
from tuner.search.auto.options import AutoOptions

sys.path.insert(0, str(HERE))
from learn_prior import learned_from

WHOLE = "everything"
_RESAMPLES = 4000


@dataclass(frozen=True)
class Variant:
    """One strategy: options of the sampler, and arguments of the replay."""

    options: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = {
    WHOLE: Variant(),
    "nothing expected beforehand": Variant({"beforehand": False}),
    "the expectations at every suggestion": Variant({"alternate": 0}),
    "no model of failures": Variant({"failure_model": False}),
    "no models of the SLO metrics": Variant({"slo_models": False}),
    "stopped trials teach nothing": Variant({"stopped_trials": False}),
    "cost not counted": Variant({"cost": False}),
    "probability in place of expected improvement": Variant({"improvement": "probability"}),
    "no halving of the way to feasible": Variant({"halving": False}),
    "no caution after setbacks": Variant({"caution": 0.0}),
    "no effects of pairs": Variant({"sizes": (1.0, 0.0, 0.4)}),
    "one joint kernel alone": Variant({"sizes": (0.0, 0.0, 1.0)}),
    "no trial stopped early": Variant(given={"early_stop": "none"}),
    "what is outclassed is stopped": Variant(given={"early_stop": "outclassed"}),
    "Optuna's TPE in its place": Variant(given={"sampler": "tpe"}),
}


def main() -> None:
    given = _arguments()
    split = Split.of("choosing")
    names, seeds = list(split.there()), split.seeds[: given.seeds]
    variants = [WHOLE, *(v for v in VARIANTS if v != WHOLE and (not given.only or v in given.only))]
    chance = chance_costs(names, split, jobs=given.jobs)
    random = {name: Cost.of(chance[name].random).median for name in names}
    slopes = {name: learned_from([HERE / other for other in names if other != name]) for name in names}
    costs: dict[str, dict[str, list[float]]] = {}
    print(f"{len(names)} surfaces, {len(seeds)} seeds; over random's median\n")
    print(f"| strategy | {' | '.join(names)} | geometric mean | times |")
    print(f"|---|{'--:|' * (len(names) + 2)}")
    for variant in variants:
        began = time.monotonic()
        costs[variant] = {name: _costs(name, seeds, variant, slopes[name], given.jobs) for name in names}
        print(_line(variant, costs, random), flush=True)
        print(f"{variant}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        if given.json:
            given.json.write_text(json.dumps(costs, indent=1), encoding="utf-8")


def _costs(
    name: str, seeds: Sequence[int], variant: str, slopes: Mapping[str, Any], jobs: int
) -> list[float]:
    """Seconds until a good one was measured, a seed each; infinite for never."""
    chosen = VARIANTS[variant]
    prepared = partial(_prepare, dict(chosen.options), slopes)
    runs = own_runs([name], seeds, jobs=jobs, prepared=prepared, **chosen.given)[name]
    return [run["measured"][0] if run["measured"] else math.inf for run in runs]


def _prepare(options: Mapping[str, Any], slopes: Mapping[str, Any]) -> None:
    """In a process of its own: the default sampler is made with these."""
    kind = samplers.SAMPLERS["auto"]
    made = partial(samplers.auto, options=AutoOptions(**options), slopes=slopes)
    samplers.SAMPLERS["auto"] = replace(kind, make=made)


def _line(
    variant: str, costs: Mapping[str, Mapping[str, Sequence[float]]], random: Mapping[str, float]
) -> str:
    medians = [float(np.median(found)) / random[name] for name, found in costs[variant].items()]
    cells = [f"{m:.2f}" if math.isfinite(m) else "never" for m in medians]
    mean = geometric_mean(medians)
    times = "" if variant == WHOLE else _times(costs[variant], costs[WHOLE])
    return f"| {variant} | {' | '.join(cells)} | {mean:.3f} | {times} |"


def _times(one: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]]) -> str:
    """Geometric mean of the paired ratios with its bootstrap interval, seeds drawn within surfaces."""
    capped = {name: 2 * max(v for s in (one, other) for v in s[name] if math.isfinite(v)) for name in one}
    logs = [np.log(np.minimum(one[n], capped[n]) / np.minimum(other[n], capped[n])) for n in one]
    rng = np.random.default_rng(0)
    drawn = [np.mean([rng.choice(row, len(row)).mean() for row in logs]) for _ in range(_RESAMPLES)]
    low, high = np.exp(np.quantile(drawn, [0.025, 0.975]))
    return f"{math.exp(np.mean([row.mean() for row in logs])):.2f} [{low:.2f} {high:.2f}]"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--only", nargs="+", default=[], choices=list(VARIANTS), metavar="STRATEGY")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
