"""`tuner check SPEC`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuner.deploy.kubernetes.checks.finding import Finding
    from tuner.spec import Experiment

NAME = "check"
HELP = "what would keep an experiment from running: the file, what it renders to, the cluster"
_WIDEST = len("warning")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("spec", help="YAML file, task JSON, or the name of a shipped experiment")
    parser.add_argument("--offline", action="store_true", help="the file and its templates; ask no cluster")
    parser.add_argument("--json", action="store_true", help="a JSON document instead of lines")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the file; repeatable",
    )


def run(options: argparse.Namespace) -> int:
    """Print every finding; 2 where a person has to change something, 1 where the world has to, else 0."""
    found = list(_findings(options))
    if options.json:
        told = [
            {"level": f.level, "subject": f.subject, "text": f.text, "remedy": f.remedy, "persons": f.persons}
            for f in found
        ]
        print(json.dumps({"exit_code": _exit_code(found), "findings": told}, indent=2))
    else:
        for finding in found:
            print(f"{finding.level:<{_WIDEST}}  {finding.line}")
    return _exit_code(found)


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    from tuner.deploy.kubernetes.checks.finding import from_error, ok  # noqa: PLC0415
    from tuner.errors import TunerError  # noqa: PLC0415
    from tuner.spec import load_experiment, refuse_unbuilt  # noqa: PLC0415
    from tuner.spec.shipped import search_space  # noqa: PLC0415

    try:
        experiment = load_experiment(search_space(options.spec), options.set)
        refuse_unbuilt(experiment)
        yield ok("experiment", f"{experiment.name} ({experiment.hash})")
        yield from _memory(experiment)
        yield from (
            _local(experiment)
            if experiment.deploy.backend == "local"
            else _cluster(experiment, offline=options.offline)
        )
    except TunerError as error:
        yield from_error("experiment", error)


def _memory(experiment: Experiment) -> Iterator[Finding]:
    """What is expected to fit; a baseline that hardly does is worth a warning."""
    from tuner.deploy.kubernetes.checks.finding import ok, warning  # noqa: PLC0415
    from tuner.search.plan_memory import baseline_is_tight, memory_lines  # noqa: PLC0415

    said = warning if baseline_is_tight(experiment) else ok
    for line in memory_lines(experiment):
        yield said("memory", line)


def _local(experiment: Experiment) -> Iterator[Finding]:
    """The engine's program, its model and its template are on this machine."""
    from tuner.deploy.backends import backend_for, baseline_trial  # noqa: PLC0415
    from tuner.deploy.kubernetes.checks.finding import from_error, ok  # noqa: PLC0415
    from tuner.errors import TunerError  # noqa: PLC0415

    said: list[str] = []
    try:
        backend_for(experiment).prepared(baseline_trial(experiment), say=said.append)
    except TunerError as error:
        yield from_error("engine", error)
        return
    for line in said or ["the baseline's engine can be started on this machine"]:
        yield ok("engine", line)


def _cluster(experiment: Experiment, *, offline: bool) -> Iterator[Finding]:
    from tuner.deploy.backends import baseline_trial  # noqa: PLC0415
    from tuner.deploy.kubernetes.checks.finding import from_error, ok, parted  # noqa: PLC0415
    from tuner.deploy.kubernetes.client import Cluster  # noqa: PLC0415
    from tuner.deploy.kubernetes.demand import demand_of  # noqa: PLC0415
    from tuner.deploy.kubernetes.manifests import wanted_of  # noqa: PLC0415
    from tuner.deploy.kubernetes.offline import offline_findings  # noqa: PLC0415
    from tuner.deploy.kubernetes.preflight import findings  # noqa: PLC0415
    from tuner.errors import TunerError  # noqa: PLC0415

    wrong = offline_findings(experiment)
    for line in wrong:
        yield parted("templates", line)
    if wrong:
        return
    yield ok("templates", "the baseline and samples of the space render to what Kubernetes takes")
    if offline:
        return
    try:
        cluster = Cluster(experiment.deploy.namespace)
    except TunerError as error:
        yield from_error("API server", error)
        return
    wanted = replace(wanted_of(experiment), demand=demand_of(experiment))
    yield from findings(cluster, wanted, baseline_trial(experiment))


def _exit_code(found: list[Finding]) -> int:
    from tuner.deploy.kubernetes.checks.finding import Level  # noqa: PLC0415

    errors = [finding for finding in found if finding.level is Level.ERROR]
    return 2 if any(finding.persons for finding in errors) else 1 if errors else 0
