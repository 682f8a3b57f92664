from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.errors import UserError
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunStatus
from tuner.results.runs import all_runs, find_run, find_unfinished, new_run_name

NewRun = Callable[..., RunDirectory]


@pytest.mark.parametrize("experiment", ["quickstart", "Llama 3.1 8B / H100!", "", "ü" * 9, "x" * 300])
def test_a_runs_name_is_a_dns_label_whose_first_eight_characters_hold_no_dash(
    experiment: str, tmp_path: Path
) -> None:
    for seed in range(50):
        name = new_run_name(experiment, 1_790_000_000 + seed * 1e6, tmp_path, rng=random.Random(seed))
        assert re.fullmatch(r"[a-z][a-z0-9]{7}-[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", name), name


def test_names_sort_by_age(tmp_path: Path) -> None:
    names = [new_run_name("a", 1_790_000_000 + s, tmp_path) for s in (0, 1, 35, 36, 1300, 10**6, 10**8)]
    assert names == sorted(names)


def test_runs_of_the_same_second_are_told_apart_by_eight_characters(tmp_path: Path) -> None:
    for _ in range(40):
        (tmp_path / new_run_name("a", 1_790_000_000, tmp_path, rng=random.Random(1))).mkdir()
    assert len({path.name[:8] for path in tmp_path.iterdir()}) == 40


def test_the_newest_unfinished_run_of_the_same_experiment_goes_on(new_run: NewRun) -> None:
    root = new_run("a-old", started=1.0).root
    new_run("b-new", started=2.0, status=RunStatus.INTERRUPTED)
    new_run("c-finished", started=3.0, status=RunStatus.FINISHED)
    new_run("d-other", started=4.0, experiment_hash="other")
    (root / "e-stray").mkdir()
    found = find_unfinished(root, "c0ffee")
    assert found is not None
    assert found.name == "b-new"
    assert find_unfinished(root, "unknown") is None
    assert find_unfinished(root / "nowhere", "c0ffee") is None


def test_runs_are_listed_by_age_and_strays_left_out(new_run: NewRun) -> None:
    root = new_run("b", started=1.0).root
    new_run("a", started=2.0)
    (root / "stray").mkdir()
    (root / "damaged").mkdir()
    (root / "damaged" / "run.json").write_text("{")
    assert [run.name for run in all_runs(root)] == ["b", "a"]


def test_a_person_names_a_run_by_path_name_beginning_or_not_at_all(new_run: NewRun) -> None:
    run = new_run("aaaa1111-one", started=1.0)
    newest = new_run("aaaa2222-two", started=2.0)
    assert find_run(run.root).name == newest.name
    assert find_run(run.root, "aaaa1").name == run.name
    assert find_run(run.root, run.name).name == run.name
    assert find_run(Path("elsewhere"), str(run.path)).path == run.path.resolve()
    with pytest.raises(UserError, match="several runs begin so; there are aaaa1111-one, aaaa2222-two"):
        find_run(run.root, "aaaa")
    with pytest.raises(UserError, match="no such run"):
        find_run(run.root, "zzz")
    with pytest.raises(UserError, match="no runs here"):
        find_run(run.root / "nowhere")
