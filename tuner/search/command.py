"""The command line of a search, and what a person sees of it."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.errors import TunerError

if TYPE_CHECKING:
    from rich.console import Console

    from tuner.deploy.backends import ServingBackend
    from tuner.search.startup import Stopwatch
    from tuner.spec import Experiment

_EPILOG = """\
exit codes:
  0    a recommendation (it may be: keep the baseline)
  1    the machine's or the cluster's fault
  2    a mistake in the experiment or on the command line
  3    nothing is feasible
  130  interrupted

The same command goes on with the newest unfinished run of the same experiment.
Ctrl-C once ends the run in good order, without a validation; twice, at once.
"""


def parser(prog: str = "python -m tuner.search") -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog=prog,
        description="Find the serving configuration that is best for a model, and prove it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("experiment", help="YAML file, task JSON, or the name of a shipped experiment")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the file, e.g. --set search.trials=5; may be repeated",
    )
    made.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    made.add_argument("--new", action="store_true", help="start afresh although an unfinished run is there")
    made.add_argument("--runs", type=Path, default=Path("runs"), help="directory of all runs (default: runs)")
    made.add_argument(
        "--address",
        default=os.environ.get("RAY_ADDRESS") or None,
        help="of an existing Ray cluster, host:port or auto (default: RAY_ADDRESS; else a Ray of its own)",
    )
    made.add_argument("--plain", action="store_true", help="lines instead of a live table")
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return made


def main(arguments: Sequence[str] | None = None, *, prog: str = "python -m tuner.search") -> int:
    """Run the command; the exit code. Errors are one line on stderr."""
    given = parser(prog).parse_args(arguments)
    try:
        return _search(given)
    except TunerError as error:
        if given.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        from tuner.search.interrupt import leave_at_once  # noqa: PLC0415

        leave_at_once()
        return 130


def _search(given: argparse.Namespace) -> int:
    from rich.console import Console  # noqa: PLC0415  --help answers at once

    from tuner.deploy.backends import backend_for, baseline_trial  # noqa: PLC0415
    from tuner.search.startup import Stopwatch  # noqa: PLC0415
    from tuner.spec import load_experiment, refuse_unbuilt  # noqa: PLC0415
    from tuner.spec.shipped import search_space  # noqa: PLC0415

    watch = Stopwatch()
    console = Console(force_terminal=False if given.plain else None)
    experiment = load_experiment(search_space(given.experiment), given.set)
    refuse_unbuilt(experiment)
    _print_plan(experiment, console)
    if given.dry_run:
        return 0
    backend = backend_for(experiment)
    if given.address is None or not backend.node_bound:
        backend = backend.prepared(
            baseline_trial(experiment),
            say=lambda line: console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True),
        )
    if given.address is not None:
        from tuner.search.ray.cluster import reach  # noqa: PLC0415

        reach(given.address)
    watch.mark("plan")
    return _work(experiment, given, backend=backend, console=console, watch=watch)


def _print_plan(experiment: Experiment, console: Console) -> None:
    from tuner.search.assembly import first_points  # noqa: PLC0415
    from tuner.search.earlier.memories import Memories  # noqa: PLC0415
    from tuner.search.plan import plan_lines  # noqa: PLC0415
    from tuner.search.study import quiet  # noqa: PLC0415

    quiet()
    console.print(f"[bold]plan[/bold] {experiment.name} ({experiment.hash})", highlight=False)
    memories = Memories.of(experiment, experiment.space)
    first, warm = first_points(experiment, 3, memories), memories.notes if memories is not None else ()
    for title, text in plan_lines(experiment, first=first, warm=warm):
        console.print(f"  {title:<12}{text}", highlight=False, markup=False, soft_wrap=True)


def _work(
    experiment: Experiment,
    given: argparse.Namespace,
    *,
    backend: ServingBackend,
    console: Console,
    watch: Stopwatch,
) -> int:
    from tuner.results.tables import closing  # noqa: PLC0415
    from tuner.search.interrupt import EXIT_CODE  # noqa: PLC0415
    from tuner.search.session import Options, Session  # noqa: PLC0415

    options = Options(runs=given.runs, new=given.new, address=given.address)
    session = Session(experiment, options, backend=backend, console=console, watch=watch)
    console.print(f"run {session.run.path}", highlight=False, markup=False, soft_wrap=True)
    verdict = session.work()
    console.print(closing(session.run))
    if session.interrupted:
        console.print("interrupted; the same command goes on from here", highlight=False)
        return EXIT_CODE
    return verdict.exit_code
