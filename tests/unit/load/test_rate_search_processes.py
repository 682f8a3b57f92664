"""A search over rates whose probes are made by several processes."""

from __future__ import annotations

from types import ModuleType

import pytest

from tuner.load import HttpLoad
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint

pytestmark = pytest.mark.engine  # the processes take seconds to start


def test_probes_are_shared_out_and_one_that_was_ended_early_is_followed_by_a_whole_one(
    scripted: ModuleType,
) -> None:
    script = scripted.Script(first_seconds=0.02)  # in 4 places: 200 requests per second
    workload = Workload.model_validate(
        {
            "scenario": "D(4,1)",
            "arrivals": "constant",
            "rate_search": {"low": 20, "high": 8000, "probes": 2},
            "round_seconds": 4,
        }
    )
    load = HttpLoad(workload, slos={"ttft_p90_ms": 60.0, "error_rate": 0.1}, processes=2)
    with scripted.ScriptedServer(lambda number, request: script, slots=4, metrics=True) as server:
        load.open(Endpoint(url=server.url, model="m", metrics_url=f"{server.url}/metrics"), salt="s")
        try:
            found = load.run_round(1, cancel=lambda: False)
        finally:
            load.close()
    assert found.rates is not None
    overrun, whole = found.rates.probes
    assert overrun.rate == pytest.approx(400) and overrun.ended_early and overrun.seconds < 8
    assert overrun.late == {"ttft_p90_ms": 1.0, "error_rate": 0.0}
    assert not whole.ended_early and not whole.unusable and whole.late["ttft_p90_ms"] <= 0.1
    assert whole.requests == pytest.approx(4 * whole.rate, rel=0.05)
    (standing,) = found.points
    assert standing.trust.asked == whole.rate and not standing.errors
