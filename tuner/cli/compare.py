"""`tuner compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "compare"
HELP = "two runs side by side, with intervals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("run_a", metavar="RUN_A", help="a run's name, its beginning or its path")
    parser.add_argument("run_b", metavar="RUN_B", help="the run that is held against it")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="directory of all runs")
    parser.add_argument("--json", action="store_true", help="a JSON document instead of tables")


def run(options: argparse.Namespace) -> int:
    """Print it."""
    from rich.console import Console  # noqa: PLC0415

    from tuner.results.comparison import compare  # noqa: PLC0415
    from tuner.results.comparison_table import comparison_table  # noqa: PLC0415
    from tuner.results.plain_json import dumps  # noqa: PLC0415
    from tuner.results.runs import find_run  # noqa: PLC0415

    found = compare(find_run(options.runs, options.run_a), find_run(options.runs, options.run_b))
    if options.json:
        print(dumps(found.to_json(), indent=2))
    else:
        Console().print(comparison_table(found))
    return 0
