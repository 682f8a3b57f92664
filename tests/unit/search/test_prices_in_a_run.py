"""A whole simulated run whose objective is a cost."""

from __future__ import annotations

import pytest

from tuner.search.plan import plan_lines

TEXT = """\
parameters:
  tp: {values: [1, 2, 4], flag: --tp}
  batch: {values: [32, 64], flag: -b}
baseline: {tp: 4, batch: 32}
deploy: {accelerators: tp, price_per_hour: 3.6}
slo: {ttft_p95_ms: 100}
objective: {minimize: cost_per_million_output_tokens}
"""


@pytest.fixture
def finished(run_of, behaviour):
    """More accelerators give more tokens, but not as many more as they cost."""

    def surface(trial):
        tokens = 100 * {1: 1.0, 2: 1.8, 4: 3.0}[trial.params["tp"]] * (1 + trial.params["batch"] / 640)
        return behaviour(tokens=tokens, ttft=500.0 if trial.params["tp"] == 1 else 50.0)

    run = run_of("search.sampler=grid", "validation.top=1", text=TEXT, surface=surface).start()
    assert run.go()
    return run


def test_every_round_says_what_it_was_served_on_and_what_that_cost(finished):
    held = {line.trial: line.params["tp"] for line in finished.store.trials}
    for line in finished.store.rounds:
        (point,) = line.round.points
        assert point.accelerators == held[line.trial]
        assert point.price_per_hour == pytest.approx(3.6 * held[line.trial])
    for line in finished.store.trials:
        assert line.cost == pytest.approx(line.accelerator_seconds * 3.6 / 3600)


def test_the_cheapest_that_keeps_the_limits_is_validated(finished):
    best = finished.strategy.candidates()[0]
    assert best.params == {"tp": 2, "batch": 64}  # one accelerator alone is cheaper, and misses the limit
    assert {line.trial for line in finished.validated} == {0, best.number}


def test_its_value_is_the_money_for_the_tokens(finished):
    line = next(one for one in finished.searched if one.params == {"tp": 2, "batch": 64})
    assert line.values[0] == pytest.approx(7.2 / 3600 / 198 * 1e6, rel=0.02)


@pytest.mark.parametrize(("count", "said"), [("2", True), ("tp", False)])
def test_the_plan_says_which_objectives_follow_from_one_another(experiment, count, said):
    two = "[{minimize: cost_per_million_output_tokens}, {maximize: output_tokens_per_second}]"
    lines = plan_lines(experiment(f"objective={two}", f"deploy.accelerators={count}", text=TEXT), first=[])
    assert any("follow from one another" in text for _, text in lines) is said


def test_the_plan_says_what_the_run_costs_at_most(experiment):
    said = dict(plan_lines(experiment(text=TEXT), first=[]))["cost"]
    assert said.endswith("at the highest price, 14.4 an hour")
    assert "price" not in dict(plan_lines(experiment(), first=[]))["cost"]
