"""The quickstart's own configurations on the real engine."""

from dataclasses import replace

import pytest

from tuner.deploy.backends import backend_for
from tuner.errors import ConfigurationRefused, FailureClass
from tuner.spec import load_experiment
from tuner.spec.shipped import search_space

pytestmark = pytest.mark.engine


@pytest.fixture
def deploy(trial, complete):
    """Deploy a configuration of the quickstart, then take it away."""
    pytest.importorskip("xllamacpp")
    experiment = load_experiment(search_space("quickstart"))
    backend = backend_for(experiment)

    def up(**changes):
        params = {**experiment.space.baseline, **changes}
        configured = replace(trial(), params=params, arguments=experiment.space.arguments(params))
        try:
            endpoint = backend.deploy(
                configured,
                probe=lambda endpoint: complete(endpoint.url) and None,
                progress=lambda line: None,
                cancel=lambda: False,
            )
            return complete(endpoint.url, tokens=96, prompt=" bako" * 64)
        finally:
            backend.delete(configured.name)

    return up


@pytest.mark.parametrize(
    "changes", [{}, {"parallel": 32, "kv_unified": False}, {"flash_attn": "auto", "cache_type_v": "q8_0"}]
)
def test_its_longest_request_is_served(deploy, changes):
    assert deploy(**changes)["usage"]["completion_tokens"] == 96


def test_what_is_said_to_crash_does(deploy):
    with pytest.raises(ConfigurationRefused, match="quantized V cache requires flash_attn") as raised:
        deploy(flash_attn="off", cache_type_v="q8_0")
    assert raised.value.failure.kind is FailureClass.CRASH
