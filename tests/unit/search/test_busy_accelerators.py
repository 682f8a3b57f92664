"""Trials of mixed widths keep shared accelerators busy: what fits is suggested, wide ones are not starved."""

from __future__ import annotations

from collections import Counter

import pytest
import replay_surfaces as surfaces

from tuner.search.replay import replay

TEXT = """\
parameters:
  tp: {values: [1, 2, 4], flag: --tp}
  batch: {low: 1, high: 32, flag: -b}
baseline: {tp: 1, batch: 1}
deploy: {accelerators: tp}
objective: {maximize: output_tokens_per_second}
"""


@pytest.fixture
def shared(experiment, tmp_path):
    """A replay with 8 trials side by side on so many accelerators; trials last 92 to 122 s."""

    def run(sampler, accelerators, seed, trials=60):
        given = experiment(
            f"search.sampler={sampler}", "search.early_stop=none", f"search.trials={trials}", text=TEXT
        )

        def row(params):
            rate = 100 * params["tp"] ** 0.8 * (1 + params["batch"] / 40)
            return {"output_tokens_per_second": rate, "deploy_seconds": 60 + (7 * params["batch"]) % 31}

        surface = surfaces.made(tmp_path / "s.csv", given, row)
        return replay(
            given,
            surface,
            seed,
            parallel=8,
            accelerators=accelerators,
            free_suggestions=True,
            keep_lines=True,
        )

    return run


@pytest.mark.parametrize("accelerators", [8, 12])
def test_eight_trials_of_mixed_widths_keep_the_accelerators_busy(shared, accelerators):
    outcome = shared("grid", accelerators, 0)
    assert outcome.busy_share_after_baseline >= 0.95
    assert outcome.busy_share < outcome.busy_share_after_baseline  # the baseline runs alone


def test_wide_trials_are_not_starved_by_narrow_ones(shared):
    widths = Counter(line.params["tp"] for line in shared("grid", 8, 0).lines)
    assert widths[4] >= 5


@pytest.mark.engine
@pytest.mark.parametrize("sampler", ["random", "auto"])
def test_drawn_and_learned_suggestions_keep_them_busy_too(shared, sampler):
    busy = [shared(sampler, 8, seed).busy_share_after_baseline for seed in range(2)]
    assert sum(busy) / len(busy) >= 0.95
