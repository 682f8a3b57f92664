from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.spec import Experiment, load_experiment

HEAD = """\
name: demo
model: {synthetic: {}}
workload: {scenario: "D(48,64)", concurrency: 16}
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Experiment]:
    """Load the text of a whole file."""

    def load(text: str, *overrides: str, name: str = "experiment.yaml") -> Experiment:
        path = tmp_path / name
        path.write_text(text)
        return load_experiment(path, overrides)

    return load


@pytest.fixture
def sections(read: Callable[..., Experiment]) -> Callable[..., Experiment]:
    """Load what follows a sound name, model and workload (lines 1 to 3)."""
    return lambda text, *overrides: read(HEAD + text, *overrides)
