"""`tuner record RUN | GRID.csv -o surface.csv`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.errors import UserError

if TYPE_CHECKING:
    from tuner.search.replay.recording import Recording

NAME = "record"
HELP = "make a recorded sweep, for `tuner replay`, of a finished run or a grid of visits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("source", help="a run's name, its beginning or its path; or the CSV file of a grid")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the surface to write, a CSV file")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="directory of all runs")
    parser.add_argument("--by-round", action="store_true", help="of a run: one row a round")
    parser.add_argument(
        "--deploy-seconds", type=float, help="of a grid, which does not tell them: of every deployment"
    )


def run(options: argparse.Namespace) -> int:
    """Write it and say what is in it."""
    from tuner.results.files import write_whole  # noqa: PLC0415

    made = _recording(options)
    write_whole(options.output, made.text)
    left_out = "".join(f"; {count} left out: {why}" for why, count in made.left_out.items())
    print(f"{options.output}: {made.configurations} configurations, {made.failing} that fail{left_out}")
    return 0


def _recording(options: argparse.Namespace) -> Recording:
    from tuner.results.runs import find_run  # noqa: PLC0415
    from tuner.search.replay.recording import from_grid, from_run  # noqa: PLC0415

    path = Path(options.source)
    if path.suffix != ".csv":
        if options.deploy_seconds is not None:
            raise UserError("--deploy-seconds: got one for a run, which tells its own; would be right: none")
        return from_run(find_run(options.runs, options.source), by_round=options.by_round)
    if options.by_round:
        raise UserError("--by-round: got a grid, whose visits have no rounds; would be right: a run")
    seconds = options.deploy_seconds
    if seconds is None or not 0 <= seconds < float("inf"):
        got = "none" if seconds is None else f"{seconds:g}"
        raise UserError(f"--deploy-seconds: got {got}; would be right: from 0 on, a grid does not tell them")
    return from_grid(path, deploy_seconds=seconds)
