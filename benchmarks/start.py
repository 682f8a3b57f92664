"""What a run costs beside deploying and measuring: its start, and each trial's overhead.

    python benchmarks/start.py [--runs 3]

Runs the quickstart's experiment with a few short trials, several times, and prints the median of each
figure beside its target: at most 15 s from the command to the first request, at most 5 s of it ours (Ray's
start, its imports and its actors aside), at most 2 s a trial beyond deploying and its rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tuner.search.startup import RAYS

TRIALS = 5
SHORT = [
    f"search.trials={TRIALS}",
    "search.early_stop=none",
    "workload.rounds=2",
    "workload.round_seconds=1",
    "workload.warmup_seconds=0.5",
    "validation.enabled=false",
]


def one_run(experiment: str, runs: Path, seed: int) -> dict[str, float]:
    """Seconds by figure."""
    overrides = [word for setting in [*SHORT, f"search.seed={seed}"] for word in ("--set", setting)]
    command = [sys.executable, "-m", "tuner.search", experiment, "--plain", "--runs", str(runs), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"the run ended with {done.returncode}: {done.stderr}")
    newest = max(runs.iterdir(), key=lambda p: p.stat().st_mtime)
    state = json.loads((newest / "run.json").read_text())
    lines = [json.loads(line) for line in (newest / "trials.jsonl").read_text().splitlines()]
    start, deployments = state["startup_seconds"], len(lines)
    # From the end of the first deployment to the end of the last: all that a trial costs, idle gaps included.
    wall = lines[-1]["ended"] - lines[0]["ended"]
    parts = sum(v for line in lines[1:] for k, v in line["times"].items() if k not in ("queue", "total"))
    return {
        "to the first request": sum(start.values()),
        "ours of it": sum(v for k, v in start.items() if k not in RAYS),
        "a trial beyond deploying and rounds": (wall - parts) / (deployments - 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--experiment", default="search_spaces/quickstart.yaml")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    targets = {
        "to the first request": 15.0,
        "ours of it": 5.0,
        "a trial beyond deploying and rounds": 2.0,
    }
    with tempfile.TemporaryDirectory() as scratch:
        seen = [one_run(given.experiment, Path(scratch), seed) for seed in range(given.runs)]
    for figure, target in targets.items():
        values = [run[figure] for run in seen]
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(f"{figure:<38}{median(values):6.2f} s  (target {target:g} s; {spread})")


if __name__ == "__main__":
    main()
