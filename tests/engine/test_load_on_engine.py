"""The load generator over the real engine: what it counts is what the engine counts."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable

import pytest

from tuner.load import HttpLoad
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint, LoadError, TrialConfig

pytestmark = pytest.mark.engine

STREAMS = 8


def never() -> bool:
    return False


def counted(endpoint: Endpoint, name: str) -> float:
    """One of llama.cpp's metrics."""
    assert endpoint.metrics_url is not None
    page = urllib.request.urlopen(endpoint.metrics_url, timeout=5).read().decode()
    found = re.search(rf"^llamacpp:{name} (\S+)", page, re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest.fixture
def endpoint(serve: Callable[..., Endpoint], trial: Callable[..., TrialConfig]) -> Endpoint:
    return serve(trial("--parallel", str(STREAMS), "--ctx-size", "4096"))


def load_of(**given: object) -> HttpLoad:
    fields = {"scenario": "D(48,32)", "concurrency": STREAMS, "round_seconds": 1.0, **given}
    return HttpLoad(Workload.model_validate(fields))


def test_tokens_are_the_engines_own_and_prompts_have_the_length_asked_for(endpoint: Endpoint) -> None:
    load = load_of()
    load.open(endpoint, salt="a")
    before = counted(endpoint, "tokens_predicted_total")
    found = load.run_round(1, cancel=never)
    (point,) = found.points
    predicted = counted(endpoint, "tokens_predicted_total") - before
    load.close()
    assert point.errors == {}
    assert point.trust.token_source == "usage" and not point.trust.invalid
    assert point.input_tokens / point.requests == pytest.approx(48, abs=2.4)
    # All that the engine made in ramp, window and drain, in a whole that the window is a part of.
    assert 0.4 * point.window_seconds / found.seconds < point.output_tokens / predicted <= 1
    assert point.histograms["ttft_ms"].quantile(0.5) < point.histograms["e2e_ms"].quantile(0.5)


def test_the_engine_is_at_rest_after_a_round_that_dropped_its_requests(endpoint: Endpoint) -> None:
    load = load_of(scenario="D(48,400)")
    load.open(endpoint, salt="a")
    (point,) = load.run_round(1, cancel=never).points
    assert counted(endpoint, "requests_processing") == 0
    assert not any("at rest" in reason for reason in point.trust.reasons)
    load.close()


def test_a_prompt_longer_than_the_context_is_refused_in_the_engines_words(endpoint: Endpoint) -> None:
    with pytest.raises(LoadError, match="exceed"):
        load_of(scenario="D(5000,8)").open(endpoint, salt="a")


def test_the_engines_death_under_load_is_counted_and_ends_the_round(
    endpoint: Endpoint, engine_backend: object, trial: Callable[..., TrialConfig]
) -> None:
    load = load_of(round_seconds=1.0)
    load.open(endpoint, salt="a")
    asked = 0

    def cancel() -> bool:
        nonlocal asked
        asked += 1
        if asked == 6:  # about half a second on
            engine_backend.delete(trial().name)  # type: ignore[attr-defined]
        return False

    (point,) = load.run_round(1, cancel=cancel).points
    load.close()
    assert set(point.errors) <= {"cut", "refused"} and sum(point.errors.values()) >= STREAMS
