"""`tuner trials`."""

from __future__ import annotations

import argparse
import sys

from tuner.cli.one_run import add_run_arguments

NAME = "trials"
HELP = "every deployment of a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add_run_arguments(parser)
    parser.add_argument("--csv", action="store_true", help="CSV instead of a table")


def run(options: argparse.Namespace) -> int:
    """Print them."""
    from rich.console import Console  # noqa: PLC0415

    from tuner.results import tables  # noqa: PLC0415
    from tuner.results.runs import find_run  # noqa: PLC0415

    found = find_run(options.runs, options.run)
    if options.csv:
        sys.stdout.write(tables.trials_csv(found))
    else:
        Console().print(tables.trials_table(found))
    return 0
