"""`tuner clean`."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "clean"
HELP = "remove from a cluster what a run left there, or all runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which runs, and where."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("run", nargs="?", default=None, help="a run's name, its beginning or its path")
    which.add_argument("--all", action="store_true", help="every run that no driver is working on")
    parser.add_argument(
        "--namespace", help="of the trials (default: as the run's experiment says, else the context's)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="directory of all runs")
    parser.add_argument("--force", action="store_true", help="also what a driver is working with")


def run(options: argparse.Namespace) -> int:
    """Remove it, and say what was removed."""
    from tuner.deploy.kubernetes.cleaning import clean  # noqa: PLC0415
    from tuner.deploy.kubernetes.client import Cluster  # noqa: PLC0415
    from tuner.errors import UserError  # noqa: PLC0415

    if options.run == "":  # an unset variable of a script
        raise UserError("run: got an empty name; would be right: a run's name, or --all")
    name, namespace = (None, None) if options.all else _of_run(options.run, options.runs)
    cluster = Cluster(options.namespace or namespace)
    removed = clean(cluster, run=name, force=options.force, say=print)
    if not removed:
        of_run = "" if name is None else f" of {name}"
        print(f"nothing{of_run} to remove in namespace {cluster.namespace}")
    return 0


def _of_run(given: str, runs: Path) -> tuple[str, str | None]:
    """The run's name and its experiment's namespace; what is given itself where no such run is kept here."""
    from tuner.errors import TunerError  # noqa: PLC0415
    from tuner.results.runs import find_run  # noqa: PLC0415
    from tuner.spec.load import load_experiment  # noqa: PLC0415

    try:
        found = find_run(runs, given)
        experiment = load_experiment(found.path / "experiment.yaml")
    except TunerError:  # the directory may be on another machine, or gone
        return Path(given).name, None
    return found.name, experiment.deploy.namespace
