"""The recorded surfaces by role, as surfaces/split.yaml has them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tuner.search.assembly import Assembly
from tuner.search.replay import Surface, Truth, read_surface
from tuner.spec import Experiment, load_experiment

HERE = Path(__file__).resolve().parents[1] / "surfaces"
PEERS = HERE / "peers"  # what was recorded of other searchers
COUNTED = 17  # trials that random needs at the median; surfaces that are easier are shown and do not count


@dataclass(frozen=True)
class Recorded:
    """One surface with its experiment.

    Attributes:
        experiment_sha256: of the experiment's file.
    """

    name: str
    experiment: Experiment
    surface: Surface
    experiment_sha256: str

    @classmethod
    def read(cls, name: str, overrides: tuple[str, ...] = ()) -> Recorded:
        """The surface of that name."""
        path = HERE / name / "experiment.yaml"
        experiment = load_experiment(path, overrides)
        surface = read_surface(HERE / name / "surface.csv", experiment)
        return cls(name, experiment, surface, hashlib.sha256(path.read_bytes()).hexdigest())

    @cached_property
    def truth(self) -> Truth:
        """What is really best."""
        return Truth(self.surface, Assembly.goals_of(self.experiment), dict(self.experiment.slo))


@dataclass(frozen=True)
class Split:
    """The surfaces and seeds of one role."""

    surfaces: tuple[str, ...]
    seeds: range
    random_seeds: range

    @classmethod
    def of(cls, role: str) -> Split:
        """As it was committed; a role without seeds for random takes its own."""
        told: dict[str, Any] = yaml.safe_load((HERE / "split.yaml").read_text(encoding="utf-8"))[role]
        seeds = _range(told["seeds"])
        return cls(tuple(told["surfaces"]), seeds, _range(told.get("random_seeds", "0-1999")))

    def there(self) -> Iterator[str]:
        """Those whose files are there."""
        return (name for name in self.surfaces if (HERE / name / "surface.csv").is_file())


def _range(text: str) -> range:
    low, _, high = str(text).partition("-")
    return range(int(low), int(high or low) + 1)
