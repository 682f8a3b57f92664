from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tuner.verdict.decide import decide, without_validation
from tuner.verdict.measured import Candidate, Searched, Validated
from tuner.verdict.outcome import Outcome, Verdict

Measure = Callable[..., list[Validated]]
TWO = [Candidate(7, distance=0.6, rank=0), Candidate(3, distance=0.2, rank=1)]


def verdict(measured: list[Validated], candidates: list[Candidate] = TWO, maximize: bool = True) -> Verdict:
    return decide(measured, candidates, maximize=maximize, metric="output_tokens_per_second")


def test_a_clear_winner_is_better_by_its_own_mean(measure: Measure) -> None:
    found = verdict(measure({0: [100, 90, 110], 3: [110, 99, 121], 7: [150, 135, 166]}))
    assert (found.outcome, found.winner, found.tied, found.exit_code) == (Outcome.BETTER, 7, (), 0)
    assert found.gain is not None
    assert found.gain.share == pytest.approx(math.expm1((2 * math.log(1.5) + math.log(166 / 110)) / 3))
    assert found.recommends
    assert "Trial 7 is better than the baseline: +50" in found.headline
    assert "95 % interval" in found.headline


def test_of_candidates_not_told_apart_the_nearest_to_the_baseline_wins(measure: Measure) -> None:
    found = verdict(measure({0: [100, 90, 110], 3: [150, 136, 164], 7: [152, 134, 165]}))
    assert (found.outcome, found.winner, found.tied) == (Outcome.BETTER_TIED, 3, (3, 7))
    assert "Trials 3 and 7 are not told apart" in found.details[0]


def test_a_leader_shown_to_be_better_is_not_lost_to_a_scattering_neighbour(measure: Measure) -> None:
    scattering, steady = [122.1, 98, 116.2, 98, 103], [110, 111, 109, 110, 110]
    found = verdict(measure({0: [100] * 5, 3: scattering, 7: steady}))
    assert (found.outcome, found.winner) == (Outcome.BETTER, 7)
    assert "Trial 3 lies nearer to the baseline" in found.details[0]


def test_an_interval_that_holds_zero_keeps_the_baseline(measure: Measure) -> None:
    found = verdict(measure({0: [100, 90, 110], 3: [101, 88, 112], 7: [99, 93, 109]}))
    assert (found.outcome, found.winner, found.gain_of, found.exit_code) == (Outcome.NO_BETTER, 0, 3, 0)
    assert "Keep the baseline" in found.headline


def test_a_candidate_that_is_worse_keeps_the_baseline(measure: Measure) -> None:
    found = verdict(measure({0: [100, 100, 100], 7: [80, 81, 80]}), [Candidate(7, 0.1)])
    assert (found.outcome, found.winner) == (Outcome.NO_BETTER, 0)


def test_less_is_better_when_minimising(measure: Measure) -> None:
    table = {0: [100, 90, 110], 7: [50, 45, 55.5]}
    assert verdict(measure(table), [Candidate(7, 1)], maximize=False).outcome is Outcome.BETTER
    assert verdict(measure(table), [Candidate(7, 1)], maximize=True).outcome is Outcome.NO_BETTER


def test_an_infeasible_candidate_is_never_recommended_however_fast(measure: Measure) -> None:
    found = verdict(measure({0: [100, 90, 110], 3: [150, 136, 166], 7: [900, 901, 902]}, missed={7: 0.12}))
    assert (found.outcome, found.winner) == (Outcome.BETTER, 3)
    assert "Trial 7 is out: over all its validation rounds it misses ttft_p95_ms by 12.0 %." in found.details


def test_feasibility_is_asked_of_the_merged_rounds(measure: Measure) -> None:
    asked: list[tuple[int, tuple[int, ...]]] = []

    def merged(trial: int, blocks: Sequence[int]) -> dict[str, float]:
        asked.append((trial, tuple(blocks)))
        return {"ttft_p95_ms": 0.5 if trial == 7 else -0.5}

    table = measure({0: [100, 90, 110], 3: [150, 136, 166], 7: [300, 270, 330]})
    assert decide(table, TWO, maximize=True, merge=merged).winner == 3
    assert (7, (0, 1, 2)) in asked


def test_a_limit_that_cannot_be_told_is_not_met(measure: Measure) -> None:
    found = verdict(measure({0: [100, 90], 7: [200, 180]}, missed={7: math.nan}), [Candidate(7, 1)])
    assert found.winner == 0
    assert "cannot be told" in found.details[0]


def test_a_baseline_beyond_a_limit_leaves_the_winner_as_the_only_one_feasible(measure: Measure) -> None:
    found = verdict(measure({0: [100, 90, 110], 3: [80, 72, 88], 7: [95, 85, 105]}, missed={0: 0.3}))
    assert (found.outcome, found.winner, found.exit_code) == (Outcome.ONLY_WINNER_FEASIBLE, 7, 0)
    assert found.details[0] == "The baseline misses ttft_p95_ms by 30.0 %."


def test_a_baseline_that_no_longer_deploys_is_not_feasible(measure: Measure) -> None:
    found = verdict(measure({0: ["crash", "crash"], 7: [95, 85]}), [Candidate(7, 1)])
    assert (found.outcome, found.gain) == (Outcome.ONLY_WINNER_FEASIBLE, None)
    assert "2 of its validation deployments failed" in found.details[0]


def test_nothing_feasible_names_the_nearest_and_by_how_much(measure: Measure) -> None:
    missed = {0: 0.5, 3: 0.08, 7: 0.2}
    found = verdict(measure({0: [100, 90], 3: [80, 72], 7: [95, 85]}, missed=missed))
    assert (found.outcome, found.winner, found.exit_code) == (Outcome.NOTHING_FEASIBLE, None, 3)
    assert found.nearest is not None
    assert (found.nearest.trial, found.nearest.violations) == (3, {"ttft_p95_ms": pytest.approx(0.08)})
    assert "trial 3 comes nearest and misses ttft_p95_ms by 8.0 %" in found.headline
    assert not found.recommends


def test_nothing_measured_at_all_is_nothing_feasible(measure: Measure) -> None:
    found = verdict(measure({0: ["crash"], 3: ["oom"], 7: ["oom"]}))
    assert (found.outcome, found.nearest) == (Outcome.NOTHING_FEASIBLE, None)


def test_a_candidate_whose_deployment_fails_once_is_out(measure: Measure) -> None:
    found = verdict(measure({0: [100, 90, 110], 3: [150, 136, 166], 7: [300, "killed by the kernel", 330]}))
    assert found.winner == 3
    assert "Trial 7 is out: its deployment in block 2 failed (killed by the kernel)." in found.details


def test_when_every_candidate_falls_the_baseline_is_kept(measure: Measure) -> None:
    found = verdict(measure({0: [100, 90], 3: ["crash", 80], 7: [200, "crash"]}))
    assert (found.outcome, found.winner, found.gain) == (Outcome.NO_BETTER, 0, None)


def test_a_block_without_the_baseline_is_dropped(measure: Measure) -> None:
    table = measure({0: [100, "node went away", 110], 7: [150, 20, 166]})
    found = verdict(table, [Candidate(7, 1)])
    assert found.blocks == (0, 2)
    assert found.outcome is Outcome.BETTER
    assert "Block 2 does not count" in found.details[0]


def test_a_cold_deployment_is_not_compared_with_warm_ones(measure: Measure) -> None:
    table = measure({0: [100, 90, 110, 100], 7: [150, 60, 166, 151]})
    mixed = [replace(one, cold=(one.trial, one.block) == (7, 1), node="n2") for one in table]
    found = verdict(mixed, [Candidate(7, 1)])
    assert (found.outcome, found.blocks) == (Outcome.BETTER, (0, 2, 3))
    said = "Trial 7's deployment in block 2 does not count: it was the first use of the model on n2"
    assert any(said in line for line in found.details)
    all_cold = [replace(one, cold=one.block == 1) for one in table]
    assert verdict(all_cold, [Candidate(7, 1)]).blocks == (0, 1, 2, 3)


def test_fewer_than_two_complete_blocks_never_claim_a_gain(measure: Measure) -> None:
    found = verdict(measure({0: [100, "crash", None], 3: [300, 270, 330], 7: [900, 800, 990]}))
    assert (found.outcome, found.winner, found.gain) == (Outcome.UNVALIDATED, 7, None)
    assert not found.recommends
    assert "no gain is claimed" in found.headline


def test_a_value_without_a_ratio_counts_as_not_measured(measure: Measure) -> None:
    assert verdict(measure({0: [100, 90, 0.0], 7: [150, 136, 166]}), [Candidate(7, 1)]).blocks == (0, 1)


def test_without_candidates_a_feasible_baseline_is_kept(measure: Measure) -> None:
    assert verdict(measure({0: [100, 90]}), []).outcome is Outcome.NO_BETTER


SEARCHED = [Searched(0, 100.0, {"ttft_p95_ms": -0.1}), Searched(4, 140.0, {"ttft_p95_ms": -0.3})]


def test_without_a_validation_no_gain_is_claimed() -> None:
    found = without_validation(SEARCHED, maximize=True, why="interrupted")
    assert (found.outcome, found.winner, found.gain) == (Outcome.UNVALIDATED, 4, None)
    assert not found.recommends
    assert "interrupted" in found.headline


def test_without_a_validation_an_infeasible_best_is_passed_over() -> None:
    fast = Searched(9, 999.0, {"ttft_p95_ms": 0.4})
    assert without_validation([*SEARCHED, fast], maximize=True, why="interrupted").winner == 4
    assert without_validation([*SEARCHED, fast], maximize=False, why="interrupted").winner == 0


def test_a_whole_search_without_a_feasible_trial_is_nothing_feasible() -> None:
    missing = [Searched(0, 100.0, {"ttft_p95_ms": 0.4}), Searched(1, None, failed=True)]
    found = without_validation(missing, maximize=True, why="nothing to validate", search_ended=True)
    assert (found.outcome, found.exit_code) == (Outcome.NOTHING_FEASIBLE, 3)
    assert found.nearest is not None
    assert found.nearest.trial == 0


def test_a_search_cut_short_without_a_feasible_trial_is_unvalidated() -> None:
    found = without_validation([Searched(1, None, failed=True)], maximize=True, why="interrupted")
    assert (found.outcome, found.winner, found.exit_code) == (Outcome.UNVALIDATED, None, 0)


def test_every_verdict_survives_json(measure: Measure) -> None:
    for found in [
        verdict(measure({0: [100, 90, 110], 3: [150, 136, 164], 7: [152, 134, 165]})),
        verdict(measure({0: [100, 90], 3: [80, 72], 7: [95, 85]}, missed={0: 0.5, 3: 0.08, 7: 0.2})),
        verdict(measure({0: ["crash", "crash"], 7: [95, 85]}), [Candidate(7, 1)]),
        without_validation([], maximize=True, why="interrupted"),
    ]:
        assert Verdict.from_json(json.loads(json.dumps(found.to_json()))) == found
