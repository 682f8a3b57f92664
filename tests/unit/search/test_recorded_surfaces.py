"""The recorded surfaces that ship: each is what the manifest says; manifest.py reads them whole."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest
import yaml

from tuner.errors import FailureClass
from tuner.search.replay.surface import read_surface
from tuner.spec import load_experiment

SURFACES = Path(__file__).parents[3] / "benchmarks" / "surfaces"
LARGEST_BYTES = 200_000


def manifest() -> dict[str, dict[str, str]]:
    with (SURFACES / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


NAMES = sorted(path.parent.name for path in SURFACES.glob("*/surface.csv"))


def test_the_manifest_names_every_surface_and_no_other():
    assert sorted(manifest()) == NAMES


def test_every_surface_is_for_choosing_or_for_reporting_and_no_seed_is_for_both():
    split = yaml.safe_load((SURFACES / "split.yaml").read_text(encoding="utf-8"))
    choosing, reporting = split["choosing"], split["reporting"]
    roles = {name: role for role in split for name in split[role]["surfaces"]}
    assert not set(choosing["surfaces"]) & set(reporting["surfaces"])
    assert {name: row["role"] for name, row in manifest().items()} == {name: roles[name] for name in NAMES}
    first, last = map(int, choosing["seeds"].split("-"))
    assert last < int(reporting["seeds"].split("-")[0]) and first == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_surface_is_what_the_manifest_says(name):
    row, file = manifest()[name], SURFACES / name / "surface.csv"
    experiment_file = file.with_name("experiment.yaml")
    experiment = load_experiment(experiment_file)

    assert file.stat().st_size < LARGEST_BYTES
    assert digest(file) == row["surface_sha256"]
    assert digest(experiment_file) == row["experiment_sha256"]
    assert experiment.name == name

    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    used = {*experiment.parameters, *(g.metric for g in experiment.objective), *experiment.slo}
    assert used <= rows[0].keys()
    failed = [r for r in rows if r["failure"]]
    assert len(rows) == int(row["rows"]) and len(failed) == int(row["failed"])
    assert {FailureClass(r["failure"]) for r in failed} <= set(FailureClass)
    assert all(0 < float(r["deploy_seconds"]) <= experiment.deploy.ready_seconds for r in rows)
    assert all(0 < float(r["noise_cv"]) <= 0.5 for r in rows if not r["failure"])


def test_a_surface_that_ships_is_replayed_as_it_stands():
    folder = SURFACES / "quickstart-grid"
    surface = read_surface(folder / "surface.csv", load_experiment(folder / "experiment.yaml"))
    assert len(surface.rows) == int(manifest()["quickstart-grid"]["rows"])
