"""`tuner status`."""

from __future__ import annotations

import argparse
import time

from tuner.cli.one_run import add_run_arguments as add_arguments

__all__ = ["HELP", "NAME", "add_arguments", "run"]
NAME = "status"
HELP = "how far a run is, who drives it, the best so far"


def run(options: argparse.Namespace) -> int:
    """Print it."""
    from rich.console import Console  # noqa: PLC0415

    from tuner.results import tables  # noqa: PLC0415
    from tuner.results.runs import find_run  # noqa: PLC0415

    Console().print(tables.status(find_run(options.runs, options.run), now=time.time()))
    return 0
