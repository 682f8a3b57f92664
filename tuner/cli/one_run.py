"""The arguments by which a command is told its run."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN and --runs."""
    parser.add_argument(
        "run", nargs="?", default="", help="a run's name, its beginning or its path (default: the newest)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="directory of all runs")
