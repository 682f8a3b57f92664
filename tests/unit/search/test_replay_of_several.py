"""A replay of two objectives: its optimum is the knee of the surface; a cost is a column like any other."""

from __future__ import annotations

import pytest
import replay_surfaces as surfaces

from tuner.search.replay import Truth, replay
from tuner.trial.objective import Goal

TEXT = """\
parameters: {slots: {values: [1, 2, 4, 8, 16], flag: --parallel}}
baseline: {slots: 2}
deploy: {price_per_hour: 2}
objective: [{minimize: cost_per_million_tokens}, {minimize: ttft_p95_ms}]
slo: {error_rate: 0.01}
"""
GOALS = (Goal("cost_per_million_tokens", False), Goal("ttft_p95_ms", False))
# cost, ttft: the product alone is best at 1; 4 is the knee of 1, 4, 8
FIGURES = {1: (2.0, 10), 2: (2.2, 12), 4: (1.05, 100), 8: (1.0, 10_000), 16: (4.0, 20_000)}


@pytest.fixture
def surface(experiment, tmp_path):
    """The experiment and its recorded surface."""
    given = experiment("search.sampler=grid", "search.early_stop=none", "search.trials=5", text=TEXT)

    def row(params):
        cost, ttft = FIGURES[params["slots"]]
        figures = {"cost_per_million_tokens": cost, "ttft_p95_ms": ttft, "error_rate": 0}
        return {**figures, "deploy_seconds": 2}

    return given, surfaces.made(tmp_path / "s.csv", given, row)


def test_the_optimum_is_the_knee(surface):
    truth = Truth(surface[1], GOALS, {"error_rate": 0.01})
    assert truth.optimum.params == {"slots": 4}
    assert truth.ratio({"slots": 4}) == 1 > truth.ratio({"slots": 1}) > truth.ratio({"slots": 2})


def test_the_replay_recommends_it(surface):
    given, recorded = surface
    outcome = replay(given, recorded, 0, free_suggestions=True)
    assert (outcome.recommendation, outcome.ratio) == ({"slots": 4}, 1)
