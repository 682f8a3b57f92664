"""The whole grid of an experiment by brute force: what the best really is, to judge searches by.

    EXPERIMENT=search_spaces/quickstart.yaml VISITS=benchmarks/data/quickstart_grid.csv
    python benchmarks/grid.py measure $EXPERIMENT $VISITS
    python benchmarks/grid.py show    $EXPERIMENT $VISITS
    python benchmarks/grid.py judge   $EXPERIMENT $VISITS RUN ...

Every visit deploys a configuration anew and measures it as a trial does. Visits are interleaved: each pass
goes over all configurations that still need one in a freshly drawn order, so that a slow quarter of an hour
touches all of them alike. Visits that something else on the machine may have shaped are kept and not counted.
A configuration is done when the 95 % interval of its mean (Student's t, the deployment is the unit) has a
half-width of at most 5 %, or with `--passes N` when N visits of it count, or when it failed twice. Visits are
appended as they end; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import time
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t as student

from tuner.deploy.backends import backend_for
from tuner.deploy.pinning import available_cores
from tuner.load import HttpLoad
from tuner.search.assembly import Assembly
from tuner.spec import Experiment, load_experiment
from tuner.trial.life import TrialLife
from tuner.trial.objective import MergedObjective
from tuner.trial.ports import ParamValue, Phase, Slot, State, TrialConfig

HALF_WIDTH = 0.05
LEAST_VISITS = 3
GOOD = 0.05  # a winner within this share of the best is found

Visits = dict[str, list[dict[str, str]]]


def configurations(experiment: Experiment) -> list[dict[str, ParamValue]]:
    """The grid, and what the engine does when it is given no flag at all."""
    return [*experiment.space.grid(), {}]


def key_of(params: dict[str, ParamValue]) -> str:
    return json.dumps(params, sort_keys=True)


def read(path: Path) -> Visits:
    found: Visits = defaultdict(list)
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found[row["params"]].append(row)
    return found


def half_width(values: list[float]) -> float:
    """Of the mean's 95 % interval, as a share of the mean; infinite with fewer than two values."""
    if len(values) < 2:
        return math.inf
    return float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values)) / fmean(values)


def values_of(rows: list[dict[str, str]], metric: str) -> list[float]:
    """Of the visits that nothing else on the machine may have shaped."""
    clean = [r for r in rows if r["dirty_rounds"] == "0" and r["client_bound_rounds"] == "0"]
    return [float(r[metric]) for r in clean if not r["failure"]]


def is_done(rows: list[dict[str, str]], metric: str, passes: int | None = None) -> bool:
    """By the width of its interval, or where `passes` is given by that many visits that count."""
    if sum(bool(r["failure"]) for r in rows) >= 2:
        return True
    values = values_of(rows, metric)
    if passes is not None:
        return len(values) >= passes
    return len(values) >= LEAST_VISITS and half_width(values) <= HALF_WIDTH


def visit(
    experiment: Experiment,
    backend: Any,
    engine_load: HttpLoad,
    number: int,
    params: dict[str, ParamValue],
    *,
    rounds: int,
) -> dict[str, Any]:
    """One deployment, measured as a trial is, without Ray."""
    space, load = experiment.space, experiment.workload
    trial = TrialConfig(
        run="grid",
        trial=number,
        phase=Phase.SEARCH,
        attempt=1,
        params=params,
        arguments=space.arguments(params),
        slot=Slot(),
    )
    objective = MergedObjective(Assembly.goals_of(experiment), dict(experiment.slo))
    life = TrialLife(
        trial,
        backend=backend,
        load=engine_load,
        rounds=rounds,
        warmup_seconds=load.warmup_seconds,
        clock=time.monotonic,
        now=time.time,
        sleep=time.sleep,
        progress=lambda line: None,
        cancel=lambda: False,
    )
    measured = []
    try:
        while True:
            step = life.step()
            if step.round is not None:
                measured.append(step.round)
            if step.ended is not None:
                break
    finally:
        life.release()
        while not backend.released(trial.name):
            time.sleep(0.01)
    columns = [*(g.metric for g in objective.goals), *objective.slos]
    row: dict[str, Any] = {"params": key_of(params), "failure": "", **dict.fromkeys(columns, "")}
    if step.ended is State.COMPLETE:
        metrics = objective.score(measured).metrics
        row.update({c: f"{metrics[c]:.6g}" for c in columns})
    elif step.ended is State.FAILED and step.failure is not None:
        row["failure"] = str(step.failure.kind)
    else:
        raise SystemExit(f"{key_of(params)}: {step.failure.message if step.failure else step.ended}")
    row["dirty_rounds"] = sum(any(p.trust.dirty for p in r.points) for r in measured)
    row["client_bound_rounds"] = sum(any(p.trust.client_bound for p in r.points) for r in measured)
    return row


def measure(
    experiment: Experiment, path: Path, *, minutes: float, seed: int, rounds: int, passes: int | None
) -> None:
    """Visit until every configuration is done, or the time is up."""
    backend, engine_load = backend_for(experiment), HttpLoad(experiment.workload)
    metric = experiment.objective[0].metric
    grid = configurations(experiment)
    visits, deadline, rng, number = read(path), time.monotonic() + minutes * 60, random.Random(seed), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    while left := [p for p in grid if not is_done(visits[key_of(p)], metric, passes)]:
        rng.shuffle(left)
        for params in left:
            if time.monotonic() > deadline:
                print(f"out of time; {len(left)} configurations of {len(grid)} are not done")
                return
            number += 1
            row = {
                "unix_time": round(time.time()),
                **visit(experiment, backend, engine_load, number, params, rounds=rounds),
            }
            new = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, row)
                if new:
                    writer.writeheader()
                writer.writerow(row)
            visits[key_of(params)].append({k: str(v) for k, v in row.items()})
        print(f"{time.strftime('%H:%M:%S')} pass over {len(left)} configurations done", flush=True)
    print(f"all {len(grid)} configurations are done")


def summary(experiment: Experiment, visits: Visits) -> list[dict[str, Any]]:
    """One entry a configuration, the best feasible first."""
    goal, slos = experiment.objective[0], experiment.slo
    found = []
    for params in configurations(experiment):
        rows = visits[key_of(params)]
        values = values_of(rows, goal.metric)
        failed = sum(bool(r["failure"]) for r in rows)
        mean = fmean(values) if values else math.nan
        limits = {m: fmean(v) for m in slos if (v := values_of(rows, m))}
        feasible = bool(values) and not failed and all(limits.get(m, math.inf) <= slos[m] for m in slos)
        found.append(
            {
                "params": params,
                "visits": len(rows),
                "mean": mean,
                "half_width": half_width(values),
                "limits": limits,
                "failed": failed,
                "feasible": feasible,
            }
        )
    sign = -1 if goal.is_maximized else 1
    return sorted(found, key=lambda e: (not e["feasible"], sign * e["mean"] if values_known(e) else math.inf))


def values_known(entry: dict[str, Any]) -> bool:
    return not math.isnan(entry["mean"])


def show(experiment: Experiment, visits: Visits) -> None:
    entries = summary(experiment, visits)
    best = entries[0]["mean"]
    good = sum(e["feasible"] and e["mean"] >= best * (1 - GOOD) for e in entries)
    feasible, failed = sum(e["feasible"] for e in entries), sum(e["failed"] > 0 for e in entries)
    print(f"{len(entries)} configurations: {feasible} feasible, {failed} that fail, the rest beyond a limit")
    print(f"best {best:.4g}; {good} configurations within {GOOD:.0%} of it")
    wide = [e for e in entries if values_known(e) and e["half_width"] > HALF_WIDTH]
    print(f"{sum(e['visits'] for e in entries)} visits; {len(wide)} half-widths are above {HALF_WIDTH:.0%}")
    baseline = next((e for e in entries if e["params"] == experiment.space.baseline), None)
    if baseline:
        verdict = "feasible" if baseline["feasible"] else "infeasible"
        print(f"baseline {baseline['mean']:.4g} ({verdict}), {baseline['mean'] / best:.1%} of the best")
    for entry in entries:
        limits = " ".join(f"{m}={v:.4g}" for m, v in entry["limits"].items())
        state = "fails" if entry["failed"] else "ok" if entry["feasible"] else "beyond"
        print(
            f"{state:<7}{entry['mean']:>9.4g} ±{entry['half_width']:5.1%} {limits}"
            f" n={entry['visits']} {key_of(entry['params'])}"
        )


def judge(experiment: Experiment, visits: Visits, runs: list[Path]) -> None:
    """Is each run's winner within GOOD of the best?"""
    entries = {key_of(e["params"]): e for e in summary(experiment, visits)}
    best = next(iter(entries.values()))["mean"]
    found = 0
    for run in runs:
        told = json.loads((run / "best.json").read_text(encoding="utf-8"))
        winner = told["winner"]
        entry = entries[key_of(winner["params"])] if winner else None
        share = entry["mean"] / best if entry and entry["feasible"] else 0.0
        found += share >= 1 - GOOD
        print(f"{run.name}: {told['verdict']['outcome']}, winner at {share:.1%} of the best")
    print(f"{found} of {len(runs)} winners within {GOOD:.0%} of the best ({best:.4g})")
    default = entries[key_of({})]
    print(
        f"the engine's default: {default['mean'] / best:.1%} of the best, "
        f"{'feasible' if default['feasible'] else 'infeasible'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["measure", "show", "judge"])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("visits", type=Path)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--rounds", type=int, default=1, help="of a visit; more visits are better than more rounds"
    )
    parser.add_argument("--passes", type=int, help="visits that count of each, in place of narrow intervals")
    given = parser.parse_args()
    experiment = load_experiment(given.experiment)
    if given.what == "measure":
        print(f"cores {available_cores()}")
        measure(
            experiment,
            given.visits,
            minutes=given.minutes,
            seed=given.seed,
            rounds=given.rounds,
            passes=given.passes,
        )
    elif given.what == "show":
        show(experiment, read(given.visits))
    else:
        judge(experiment, read(given.visits), given.runs)


if __name__ == "__main__":
    main()
