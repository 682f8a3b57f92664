"""`tuner render`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

NAME = "render"
HELP = "print the objects that a trial would create, and the model for an operator; needs no cluster"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """SPEC, overrides and parameters."""
    parser.add_argument("spec", help="an experiment file, or the name of one that ships")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a value")
    parser.add_argument(
        "--trial-params",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="a configuration in place of the baseline; what is not named is the baseline's",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model-only", action="store_true", help="only the ClusterBaseModel, to apply")
    which.add_argument("--trial-only", action="store_true", help="only the trial's objects")


def run(options: argparse.Namespace) -> int:
    """Print YAML documents; what can only be known on the cluster is said on stderr."""
    from tuner.deploy.kubernetes.manifests import to_yaml, wanted_of  # noqa: PLC0415
    from tuner.deploy.kubernetes.offline import base_model_yaml, trial_objects, trial_of  # noqa: PLC0415
    from tuner.errors import UserError  # noqa: PLC0415
    from tuner.spec import load_experiment, shipped  # noqa: PLC0415

    path = Path(options.spec) if Path(options.spec).exists() else shipped.search_space(options.spec)
    experiment = load_experiment(path, options.set)
    backend = experiment.deploy.backend
    if backend not in ("ome", "kubernetes"):
        raise UserError(
            f"deploy.backend: got {backend!r}; would be right: ome or kubernetes, which make objects"
        )
    wanted = wanted_of(experiment)
    params = {**experiment.space.baseline, **_params(options.trial_params)}
    if faults := experiment.space.check(params):
        raise UserError(f"--trial-params: {faults[0]}")
    documents = []
    if not options.model_only:
        documents.append(to_yaml(trial_objects(wanted, trial_of(experiment, params))))
        print(_unknown(backend, wanted.storage.mount if wanted.storage else None), file=sys.stderr)
    if not options.trial_only and backend == "ome":
        documents.append("# For an operator to apply once:\n" + base_model_yaml(wanted))
    elif options.model_only:
        raise UserError(
            "--model-only: got backend kubernetes; would be right: backend ome, which knows models"
        )
    print("---\n".join(documents), end="")
    return 0


def _params(given: Sequence[str]) -> dict[str, bool | int | float | str]:
    from tuner.errors import UserError  # noqa: PLC0415
    from tuner.spec.document import parse_value  # noqa: PLC0415

    found: dict[str, bool | int | float | str] = {}
    for text in given:
        name, equals, value_text = text.partition("=")
        value = parse_value(value_text)
        if not equals or not isinstance(value, bool | int | float | str):
            raise UserError(f"--trial-params: got {text!r}; would be right: NAME=VALUE, such as tp_size=2")
        found[name] = value
    return found


def _unknown(backend: str, mount: str | None) -> str:
    if backend == "kubernetes":
        return "# labels and owner are the run's; the name is an example"
    way = " mount: auto is shown as a policy or webhook has it;" if mount == "auto" else ""
    return f"# labels and owner are the run's;{way} the runtime's own args are merged in on the cluster"
