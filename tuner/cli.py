"""`tuner ...`: the search, and what there is to see of runs."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tuner.errors import TunerError


def parser() -> argparse.ArgumentParser:
    """The commands."""
    made = argparse.ArgumentParser(
        prog="tuner", description="Find the serving configuration that is best for a model, and prove it."
    )
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "search", help="run an experiment (the same as python -m tuner.search)", add_help=False
    )
    for name, text in (
        ("report", "write the report of a run anew"),
        ("status", "how far a run is, who drives it, the best so far"),
        ("trials", "every deployment of a run"),
    ):
        one = commands.add_parser(name, help=text, description=text)
        one.add_argument(
            "run", nargs="?", default="", help="a run's name, its beginning or its path (default: the newest)"
        )
        one.add_argument("--runs", type=Path, default=Path("runs"), help="directory of all runs")
        if name == "trials":
            one.add_argument("--csv", action="store_true", help="CSV instead of a table")
    commands.add_parser("schema", help="print the JSON Schema of experiment files, for editors")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["search"]:
        from tuner.search.command import main as search  # noqa: PLC0415

        return search(given[1:], prog="tuner search")
    options = parser().parse_args(given)
    try:
        return _look(options)
    except TunerError as error:
        if options.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0  # `tuner trials | head`


def _look(options: argparse.Namespace) -> int:
    if options.command == "schema":
        from tuner.spec import json_schema  # noqa: PLC0415

        print(json.dumps(json_schema(), indent=2))
        return 0
    from rich.console import Console  # noqa: PLC0415

    from tuner.results import tables  # noqa: PLC0415
    from tuner.results.runs import find_run  # noqa: PLC0415

    run = find_run(options.runs, options.run)
    if options.command == "report":
        from tuner.results.report import write_report  # noqa: PLC0415

        print(write_report(run))
    elif options.command == "status":
        Console().print(tables.status(run, now=time.time()))
    elif options.csv:
        sys.stdout.write(tables.trials_csv(run))
    else:
        Console().print(tables.trials_table(run))
    return 0
