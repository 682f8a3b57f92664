"""Writes manifest.csv: each surface's counts, what random needs, and the hashes of its two files.

python benchmarks/surfaces/manifest.py            also renews the table in README.md
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import asdict
from pathlib import Path

import yaml
from difficulty import difficulty_of

from tuner.search.replay.surface import read_surface
from tuner.spec import load_experiment

HERE = Path(__file__).parent
COUNTED = 17  # trials of random: surfaces on which it needs fewer are shown and do not count
_MARK = "<!-- written by manifest.py -->"


def roles() -> dict[str, str]:
    """Name -> choosing or reporting, in the split's order."""
    split = yaml.safe_load((HERE / "split.yaml").read_text(encoding="utf-8"))
    return {name: role for role in ("choosing", "reporting") for name in split[role]["surfaces"]}


def digest(path: Path) -> str:
    """The first 16 hexadecimal digits of the file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def entry(name: str, role: str) -> dict[str, str]:
    folder = HERE / name
    experiment = load_experiment(folder / "experiment.yaml")
    read_surface(folder / "surface.csv", experiment)  # raises where a replay would refuse it
    with (folder / "surface.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    counts = {k: f"{v:.4g}" for k, v in asdict(difficulty_of(experiment, rows)).items()}
    files = {"surface": folder / "surface.csv", "experiment": folder / "experiment.yaml"}
    goal = experiment.objective[0]
    told = {
        "name": name,
        "role": role,
        "objective": f"{'max' if goal.is_maximized else 'min'} {goal.metric}",
    }
    return {**told, **counts, **{f"{k}_sha256": digest(v) for k, v in files.items()}}


def table(entries: list[dict[str, str]]) -> str:
    lines = [
        "| surface | for | objective | rows | fail | feasible | good | best | random needs | counts | hash |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|---|---|",
    ]
    for e in entries:
        rows = int(e["rows"])
        counts = "yes" if int(e["random_median"]) >= COUNTED else "no"
        lines.append(
            f"| {e['name']} | {e['role']} | {e['objective']} | {rows} | {int(e['failed']) / rows:.0%} | "
            f"{int(e['feasible']) / rows:.0%} | {e['good']} | {e['best']} | {e['random_median']} | "
            f"{counts} | `{e['surface_sha256']}` |"
        )
    return "\n".join(lines)


def main() -> None:
    entries = [entry(name, role) for name, role in roles().items() if (HERE / name / "surface.csv").exists()]
    with (HERE / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, entries[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(entries)
    readme = HERE / "README.md"
    before, _, after = readme.read_text(encoding="utf-8").split(_MARK)
    readme.write_text(f"{before}{_MARK}\n{table(entries)}\n{_MARK}{after}", encoding="utf-8")
    print(table(entries))


if __name__ == "__main__":
    main()
