"""`tuner replay EXPERIMENT --surface FILE`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner.errors import UserError

if TYPE_CHECKING:
    from tuner.search.replay import Outcome, Surface, Truth
    from tuner.spec import Experiment

NAME = "replay"
HELP = "search a recorded sweep under a simulated clock: what a sampler, rule or parallelism is worth"
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_MOST_SEEDS = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("spec", help="YAML file, task JSON, or the name of a shipped experiment")
    parser.add_argument("--surface", type=Path, required=True, help="the recorded sweep, a CSV file")
    parser.add_argument("--seeds", type=seeds, default=[0], help="such as 0-59 or 1,5,7-9 (default: 0)")
    parser.add_argument("--sampler", help="in place of search.sampler")
    parser.add_argument("--early-stop", help="in place of search.early_stop")
    parser.add_argument("--parallel", type=int, help="trials side by side, in place of search.parallel")
    parser.add_argument("--trials", type=int, help="in place of search.trials")
    parser.add_argument(
        "--accelerators", type=int, help="that trials share (default: those of `parallel` widest ones)"
    )
    parser.add_argument(
        "--free-suggestions",
        action="store_true",
        help="do not charge the time of suggestions to the simulated clock: the same seed, the same figures",
    )
    parser.add_argument(
        "--until-found", action="store_true", help="end a seed once a good one was measured and recommended"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the file"
    )
    parser.add_argument("--json", action="store_true", help="a JSON document instead of a table")


def seeds(text: str) -> list[int]:
    """The seeds that `0-59` or `1,5,7-9` names.

    Raises:
        argparse.ArgumentTypeError: it names none, or too many.
    """
    found: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise argparse.ArgumentTypeError(f"got {part!r}; would be right: such as 0-59 or 1,5,7-9")
        low = int(match[1])
        found += range(low, int(match[2] or low) + 1)
        if len(found) > _MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"got {text!r}; would be right: at most {_MOST_SEEDS} seeds")
    if not found:
        raise argparse.ArgumentTypeError(f"got {text!r}; would be right: a range that goes up, such as 0-59")
    return found


def run(options: argparse.Namespace) -> int:
    """Replay every seed and print what came of it."""
    from tuner.results.plain_json import dumps  # noqa: PLC0415
    from tuner.search.assembly import Assembly  # noqa: PLC0415
    from tuner.search.earlier.memories import Memories  # noqa: PLC0415
    from tuner.search.replay import Truth, read_surface, replay  # noqa: PLC0415
    from tuner.spec import load_experiment, refuse_unbuilt  # noqa: PLC0415
    from tuner.spec.shipped import search_space  # noqa: PLC0415

    experiment = load_experiment(search_space(options.spec), [*_overrides(options), *options.set])
    refuse_unbuilt(experiment)
    surface = read_surface(options.surface, experiment)
    truth = Truth(surface, Assembly.goals_of(experiment), dict(experiment.slo))
    memories = Memories.of(experiment, surface.space)
    notes = memories.notes if memories is not None else []
    outcomes = [
        replay(
            experiment,
            surface,
            seed,
            accelerators=options.accelerators,
            free_suggestions=options.free_suggestions,
            until_found=options.until_found,
            truth=truth,
            memories=memories,
        )
        for seed in options.seeds
    ]
    if options.json:
        told = {**_document(experiment, surface, truth), "free_suggestions": options.free_suggestions}
        told |= {"warm_start": notes} if notes else {}
        print(dumps(told | _results(outcomes), indent=2))
    else:
        _print(experiment, surface, truth, outcomes, notes)
    return 0


def _overrides(options: argparse.Namespace) -> list[str]:
    given = {key: getattr(options, key) for key in ("sampler", "early_stop", "parallel", "trials")}
    for key, value in given.items():
        if value is not None and isinstance(value, int) and value < 1:
            raise UserError(f"--{key}: got {value}; would be right: at least 1")
    return [f"search.{key}={value}" for key, value in given.items() if value is not None]


def _document(experiment: Experiment, surface: Surface, truth: Truth) -> dict[str, Any]:
    search = experiment.search
    return {
        "experiment": experiment.name,
        "experiment_hash": experiment.hash,
        "surface": surface.name,
        "surface_sha256": surface.sha256,
        "configurations": len(surface.rows),
        "failing": sum(row.failure is not None for row in surface.rows),
        "good": len(truth.good),
        "optimum": {
            "params": truth.optimum.params,
            "metrics": {
                m: truth.optimum.truth[m]
                for m in dict.fromkeys([*(g.metric for g in experiment.objective), *experiment.slo])
            },
        },
        "sampler": search.sampler,
        "early_stop": search.early_stop,
        "parallel": search.parallel,
        "trials": search.trials,
    }


def _results(outcomes: list[Outcome]) -> dict[str, Any]:
    from tuner.search.replay import summary  # noqa: PLC0415

    return {"seeds": [o.to_json() for o in outcomes], "summary": summary(outcomes)}


def _print(
    experiment: Experiment, surface: Surface, truth: Truth, outcomes: list[Outcome], notes: list[str]
) -> None:
    from rich.console import Console  # noqa: PLC0415

    from tuner.search.replay import summary  # noqa: PLC0415
    from tuner.search.replay.table import outcomes_table  # noqa: PLC0415

    console = Console()
    told = _document(experiment, surface, truth)
    line = (
        f"{surface.name} ({surface.sha256[:12]}): {told['configurations']} configurations, "
        f"{told['failing']} that fail, {told['good']} within 3 % of the feasible optimum; "
        f"sampler {told['sampler']}, early stop {told['early_stop']}, parallel {told['parallel']}"
    )
    for text in [line, *(f"warm start: {note}" for note in notes)]:
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    console.print(outcomes_table(outcomes, summary(outcomes)))
