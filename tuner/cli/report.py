"""`tuner report`."""

from __future__ import annotations

import argparse

from tuner.cli.one_run import add_run_arguments as add_arguments

__all__ = ["HELP", "NAME", "add_arguments", "run"]
NAME = "report"
HELP = "write the report of a run anew"


def run(options: argparse.Namespace) -> int:
    """Print where it lies."""
    from tuner.results.report import write_report  # noqa: PLC0415
    from tuner.results.runs import find_run  # noqa: PLC0415

    print(write_report(find_run(options.runs, options.run)))
    return 0
