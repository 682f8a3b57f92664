"""What the README shows is what the program takes."""

from __future__ import annotations

import re
from pathlib import Path

from tuner.deploy.kubernetes.offline import offline_findings
from tuner.spec import load_experiment, refuse_unbuilt

README = Path(__file__).parents[3] / "README.md"
SHOWN = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_readmes_experiment_loads_and_asks_for_nothing_unbuilt(tmp_path):
    file = tmp_path / "my-model.yaml"
    file.write_text(SHOWN[0], encoding="utf-8")
    experiment = load_experiment(file)
    refuse_unbuilt(experiment)
    assert experiment.space.size() == 4 * 4 * (1 + 2)


def test_the_readmes_experiment_for_a_cluster_loads_as_it_is_shown(tmp_path):
    file = tmp_path / "my-model.yaml"
    file.write_text(SHOWN[1], encoding="utf-8")
    experiment = load_experiment(file)
    refuse_unbuilt(experiment)
    assert experiment.deploy.backend == "ome"
    assert offline_findings(experiment) == []


def test_the_readme_holds_no_placeholder():
    assert not re.findall(r"^[A-Z]+_?[A-Z]+$", README.read_text(encoding="utf-8"), re.MULTILINE)
