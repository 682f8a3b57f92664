"""The experiment that ships is what its comments say."""

import pytest

from tuner.deploy.backends import backend_for
from tuner.deploy.embedded.model import ModelSettings
from tuner.spec import load_experiment
from tuner.spec.shipped import search_space


@pytest.fixture
def experiment():
    return load_experiment(search_space("quickstart"))


def test_it_has_at_least_five_parameters_and_a_grid_that_can_be_measured(experiment):
    grid = list(experiment.space.grid())
    assert len(experiment.parameters) >= 5
    assert len(grid) == 72


def test_a_quarter_of_it_crashes(experiment):
    grid = list(experiment.space.grid())
    crashing = [c for c in grid if c["flash_attn"] == "off" and c["cache_type_v"] != "f16"]
    assert len(crashing) / len(grid) == 0.25


def test_its_baseline_is_one_of_its_configurations(experiment):
    assert experiment.space.valid(experiment.space.baseline)


def test_its_backend_takes_every_value_from_it(experiment):
    backend = backend_for(experiment)
    assert isinstance(backend.model, ModelSettings)
    assert backend.model.hidden_size == experiment.model.synthetic.hidden_size
    assert (backend.binary, backend.ready_seconds, backend.stop_seconds) == ("embedded", 10, 2)
    assert "--model" in backend.template
