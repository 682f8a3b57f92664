"""The operator's page names only files, commands, options and checks that there are."""

from __future__ import annotations

import itertools
import re
import shlex

import pytest
from kit_files import KIT, ROOT, manifest_files
from operator_page import PAGE, commands, experiment, rows

from tuner.cli import parser
from tuner.deploy.kubernetes.offline import offline_findings
from tuner.search.command import parser as search_parser
from tuner.spec import load_experiment, refuse_unbuilt
from tuner.webhook.command import parser as webhook_parser

CHECKS = ROOT / "tuner" / "deploy" / "kubernetes"
SUBJECT = re.compile(
    r"""(?:subject\s=\s|(?:\b(?:ok|warning|mistake|fault|not_looked|from_error|parted)|_fine)\(\s*)
        f?"([A-Za-z]+)""",
    re.VERBOSE,
)


@pytest.fixture
def loaded(tmp_path):
    path = tmp_path / "my-model.yaml"
    path.write_text(experiment())
    return lambda *overrides: load_experiment(path, list(overrides))


def tuner_commands():
    for command in commands():
        words = shlex.split(command.split("|")[0])
        if words[:2] == ["python", "-m"]:
            words = ["tuner", "search", *words[3:]]
        if words[0] == "tuner":
            yield words[1:]


@pytest.mark.parametrize("words", list(tuner_commands()), ids=" ".join)
def test_a_command_of_tuner_is_one_that_it_takes(words):
    own = {"search": search_parser, "webhook": webhook_parser}.get(words[0])
    own().parse_args(words[1:]) if own else parser().parse_args(words)


def test_the_options_of_the_search_are_its_own(loaded):
    (words,) = (words for words in tuner_commands() if words[0] == "search")
    given = search_parser().parse_args(words[1:])
    loaded(*given.set)


def test_a_file_that_is_applied_is_there_or_made_by_a_run():
    named = set()
    for command in commands():
        words = shlex.split(command)
        named |= {after for word, after in itertools.pairwise(words) if word in ("-f", "-k")}
        named |= {word.rpartition("=")[2] for word in words if word.startswith("--from-file=")}
    elsewhere = {"-", "my-model.yaml", "TOKENFILE", "runs/<run>/best.yaml"}
    assert elsewhere <= named
    for name in named - elsewhere:
        assert (ROOT / name).exists(), name


def test_every_manifest_that_an_operator_may_want_is_on_the_page():
    for path in manifest_files():
        if path.is_relative_to(KIT / "base") or path.is_relative_to(KIT / "admission"):
            continue  # overlays apply them
        assert str(path.relative_to(ROOT)) in PAGE


def test_every_path_on_the_page_exists():
    for name in re.findall(r"`(cluster/[\w./-]+)`", PAGE):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(([\w./-]+)\)", PAGE):
        assert (ROOT / "docs" / name).exists(), name


def test_its_experiment_is_one_that_runs(loaded):
    made = loaded()
    refuse_unbuilt(made)
    assert list(offline_findings(made)) == []
    assert made.deploy.pod.priority_class == "autotuner-trial"


def test_every_check_has_a_row_that_says_what_to_do():
    sources = [*(CHECKS / "checks").glob("*.py"), CHECKS / "preflight.py", ROOT / "tuner/cli/check.py"]
    subjects = {name for path in sources for name in SUBJECT.findall(path.read_text())}
    assert {"claim", "mount", "namespace", "rights", "OME", "runtime", "model", "experiment"} <= subjects
    named = " ".join(rows())
    groups = {
        "Secrets",
        "pods",
        "objects",
        "pod",
        "engine",
    }  # a group's name, seen where a whole group fails; the local backend
    for subject in subjects - groups:
        assert f"`{subject}" in named, f"docs/operator.md has no row for the check `{subject}`"
