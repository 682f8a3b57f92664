"""`tuner ...`: the search, and what there is to see and do around runs. A new command is one module here.

A module has NAME, HELP, `add_arguments(parser)` and `run(options) -> exit code`. It is imported for every
command line, so it imports what is heavy in `run`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence

from tuner.errors import TunerError

_MODULES = (
    "bench",
    "check",
    "render",
    "replay",
    "record",
    "status",
    "trials",
    "report",
    "compare",
    "clean",
    "schema",
)
_WITH_ITS_OWN_PARSER = {
    "search": ("tuner.search.command", "run an experiment (python -m tuner.search)"),
    "webhook": ("tuner.webhook.command", "the admission webhook and its certificates"),
}


def parser() -> argparse.ArgumentParser:
    """The commands."""
    made = argparse.ArgumentParser(
        prog="tuner", description="Find the serving configuration that is best for a model, and prove it."
    )
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in _WITH_ITS_OWN_PARSER.items():
        commands.add_parser(name, help=text, add_help=False)
    for name in _MODULES:
        module = importlib.import_module(f"{__name__}.{name}")
        one = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.add_arguments(one)
        one.set_defaults(run_command=module.run)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Errors are one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in _WITH_ITS_OWN_PARSER:
        module = importlib.import_module(_WITH_ITS_OWN_PARSER[given[0]][0])
        code: int = module.main(given[1:], prog=f"tuner {given[0]}")
        return code
    options = parser().parse_args(given)
    try:
        return int(options.run_command(options))
    except TunerError as error:
        if options.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0  # `tuner trials | head`
