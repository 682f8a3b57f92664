"""What `search.warm_start` is worth: the cost of a search with an earlier run of another model, over without.

    python benchmarks/warm_start.py [--seeds N] [--trials N] [--pairs SOURCE:TARGET ...] [--jobs N]

On pairs of the surfaces for choosing that have the same engine (and once the same surface, as an upper end).
The earlier run is a replayed search of the source, written as a run's directory; *reversed* is the same with
every rate turned upside down, so that its best is the worst: what a misleading one costs. Each seed has an
earlier run of its own. What is expected of parameters beforehand was learned on neither of the two surfaces.
Costs are seconds until a good configuration was measured, suggestions left out.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from searches.own import MOST_TRIALS
from searches.spending import GRACE
from searches.surfaces import HERE, Recorded, Split
from surfaces.learn_prior import learned_from

from tuner.results.lines import TrialLine
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunState
from tuner.search.auto.trend import Slopes
from tuner.search.replay import replay
from tuner.search.samplers import SAMPLERS, auto

PAIRS = (
    ("vllm-llama-8b-h100", "vllm-qwen-30b-a3b-h100"),
    ("vllm-qwen-30b-a3b-h100", "vllm-llama-8b-h100"),
    ("sglang-qwen-32b-h200", "sglang-llama-8b-l40s"),
    ("sglang-llama-8b-l40s", "sglang-qwen-32b-h200"),
    ("vllm-llama-8b-h100", "vllm-mixtral-8x7b-a100"),
    ("vllm-qwen-30b-a3b-h100", "vllm-qwen-30b-a3b-h100"),
)
ARMS = ("without", "with", "reversed")
EARLIER_SEEDS = 100  # seeds of the earlier runs begin here
_RATES = ("per_second", "per_accelerator", "goodput")
Work = tuple[str, str, str, int, int]  # source, target, arm, seed, trials of the earlier run


@cache
def _recorded(name: str) -> Recorded:
    return Recorded.read(name)


@cache
def _slopes(source: str, target: str) -> Slopes:
    return learned_from([HERE / n for n in Split.of("choosing").there() if n not in (source, target)])


def _cost(work: Work) -> float:
    """Seconds; infinite where nothing good was found."""
    source, name, arm, seed, trials = work
    target = _recorded(name)
    experiment = target.experiment
    SAMPLERS["auto"] = replace(SAMPLERS["auto"], make=partial(auto, slopes=_slopes(source, name)))
    with tempfile.TemporaryDirectory() as runs:
        if arm != "without":
            run = _earlier_run(Path(runs), source, EARLIER_SEEDS + seed, trials, turned=arm == "reversed")
            search = experiment.search.model_copy(update={"warm_start": (str(run),)})
            experiment = experiment.model_copy(update={"search": search})
        outcome = replay(
            experiment,
            target.surface,
            seed,
            trials=MOST_TRIALS,
            until_found=True,
            grace_trials=GRACE,
            truth=target.truth,
            free_suggestions=True,
        )
    return outcome.measured.seconds if outcome.measured is not None else math.inf


def _earlier_run(runs: Path, name: str, seed: int, trials: int, *, turned: bool) -> Path:
    source = _recorded(name)
    done = replay(
        source.experiment, source.surface, seed, trials=trials, keep_lines=True, free_suggestions=True
    )
    lines = list(_turned(done.lines)) if turned else list(done.lines)
    state = RunState(experiment=name, experiment_hash=source.experiment.hash, started=0.0)
    made = RunDirectory.create(runs, name, experiment_yaml=source.experiment.resolved_yaml(), state=state)
    made.acquire(now=0.0)
    try:
        for line in lines:
            made.append_trial(line)
    finally:
        made.release()
    return made.path


def _turned(lines: Sequence[TrialLine]) -> Iterator[TrialLine]:
    """The rates upside down: the product of the least and the most, over each."""
    names = {m for line in lines for m in line.metrics if m.endswith(_RATES)}
    ends = {}
    for name in names:
        values = [line.metrics[name] for line in lines if line.metrics.get(name, 0.0) > 0]
        ends[name] = min(values, default=1.0) * max(values, default=1.0)
    for line in lines:
        turned = {m: ends[m] / v if m in names and v > 0 else v for m, v in line.metrics.items()}
        yield replace(line, metrics=turned)


def main() -> int:
    given = _arguments()
    pairs = [tuple(pair.split(":")) for pair in given.pairs] if given.pairs else PAIRS
    work = [
        (source, target, arm, seed, given.trials)
        for source, target in pairs
        for arm in ARMS
        for seed in range(given.seeds)
    ]
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        costs = dict(zip(work, pool.map(_cost, work, chunksize=2), strict=True))
    print(f"median seconds over {given.seeds} seeds; an earlier run has {given.trials} trials")
    print("| earlier | this run | without | with | ratio | reversed | ratio |")
    print("|---|---|---|---|---|---|---|")
    for source, target in pairs:
        middle = [
            median(costs[source, target, arm, seed, given.trials] for seed in range(given.seeds))
            for arm in ARMS
        ]
        ratios = [found / middle[0] for found in middle[1:]]
        print(
            f"| {source} | {target} | {middle[0]:.0f} | {middle[1]:.0f} | {ratios[0]:.2f} "
            f"| {middle[2]:.0f} | {ratios[1]:.2f} |"
        )
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--trials", type=int, default=30, help="of each earlier run")
    parser.add_argument("--pairs", nargs="*", help="SOURCE:TARGET")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
