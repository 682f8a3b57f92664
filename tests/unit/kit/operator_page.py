"""The operator's page taken apart: its commands, its experiment, the rows of its table."""

from __future__ import annotations

import re

from kit_files import ROOT

PAGE = (ROOT / "docs" / "operator.md").read_text()


def commands() -> list[str]:
    """Every command line, those within sentences too; comments behind them are cut off."""
    blocks = re.findall(r"^    ((?:kubectl|tuner|python|podman)\b.*)$", PAGE, re.MULTILINE)
    quoted = re.findall(r"`([^`]+)`", PAGE.replace("```", "").replace("\n", " "))
    within = [words for words in quoted if re.match(r"kubectl \S+ \S|tuner \S", words)]
    return [re.sub(r"\s{2,}#.*", "", line).strip() for line in [*blocks, *within]]


def experiment() -> str:
    """The experiment of step 4."""
    return re.search(r"<!-- experiment -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)[1]


def rows() -> list[str]:
    """The first cells of the table of checks."""
    return re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
