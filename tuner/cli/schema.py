"""`tuner schema`."""

from __future__ import annotations

import argparse
import json

NAME = "schema"
HELP = "print the JSON Schema of experiment files, for editors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(options: argparse.Namespace) -> int:
    """Print it."""
    from tuner.spec import json_schema  # noqa: PLC0415

    print(json.dumps(json_schema(), indent=2))
    return 0
