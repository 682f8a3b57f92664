"""A whole run whose winner is simplified, and on again after a kill at any point of that."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from verdict_of import verdict_of

from tuner.errors import Failure, FailureClass
from tuner.search.validation import Simplification
from tuner.trial.ports import Phase, State
from tuner.verdict import Outcome, Source

USUAL = ("search.early_stop=none", "slo={}", "validation.top=1")
GRID = ("search.sampler=grid", *USUAL)
RANDOM = ("search.sampler=random", "search.trials=12", "search.seed=3", *USUAL)


@pytest.fixture
def spare(behaviour):
    """Slots are worth 20 % a doubling up to 8, the mode 10 %, the batch next to nothing."""

    def surface(trial):
        p = {"slots": 1, "batch": 32, "mode": "safe", **trial.params}
        slots = {1: 1.0, 2: 1.2, 4: 1.44, 8: 1.7}[p["slots"]]
        batch = {32: 1.0, 64: 1.001, 128: 1.003}[p["batch"]]
        return behaviour(100 * slots * batch * (1.1 if p["mode"] == "fast" else 1.0))

    return surface


def simplify_lines(run):
    return [line for line in run.store.trials if line.phase is Phase.SIMPLIFY]


def test_the_winners_spare_flag_goes_back_and_blocks_of_its_own_show_it(run_of, spare):
    run = run_of(*GRID, surface=spare).start()
    assert run.go()
    found = verdict_of(run)
    assert found.outcome is Outcome.BETTER
    assert found.simplified.taken and found.simplified.back == ("batch",)
    assert run.strategy.history.records[found.winner].params == {"slots": 8, "batch": 32, "mode": "fast"}
    blocks = Counter((line.block, line.trial) for line in simplify_lines(run))
    arms = {0, found.simplified.winner, found.winner}
    first = 1 + max(line.block for line in run.validated)
    assert blocks == Counter((first + b, arm) for b in range(3) for arm in arms)
    worth = {one.names: one for one in found.flags}
    assert worth[("batch",)].source is Source.BLOCKS and worth[("batch",)].back
    assert worth[("slots",)].gain.low > 0.4 and worth[("mode",)].gain.low > 0.05


def test_a_configuration_that_the_search_did_not_try_gets_a_number_of_its_own(run_of, spare):
    run = run_of(*RANDOM, surface=spare).start()
    assert run.go()
    found = verdict_of(run)
    assert found.simplified is not None
    assert found.simplified.trial == 12
    assert {line.trial for line in run.searched} == set(range(12))
    assert {line.trial for line in simplify_lines(run)} >= {0, 12}


@pytest.mark.slow
def test_every_flag_that_matters_leaves_the_winner_as_it_is(run_of, usual_surface):
    run = run_of("search.sampler=grid", surface=usual_surface).start()
    assert run.go()
    found = verdict_of(run)
    assert found.outcome is Outcome.BETTER and found.simplified is None
    assert simplify_lines(run) == []
    assert any("every flag of it is expected to be worth more than 0.5 %" in line for line in found.details)


def test_switched_off_nothing_is_put_back_and_flags_are_still_told(run_of, spare):
    run = run_of(*GRID, "validation.simplify=false", surface=spare).start()
    assert run.go()
    found = verdict_of(run)
    assert simplify_lines(run) == [] and found.simplified is None
    assert found.flags and not any("put back" in line for line in found.details)


@pytest.mark.slow
def test_without_room_in_the_budget_it_is_not_tried_and_the_verdict_says_so(run_of, spare):
    run = run_of(*GRID, "search.budget.hours=0.1", surface=spare).start()
    assert run.go()
    assert simplify_lines(run) == []
    assert any("the budget had no room for 9 deployments more" in line for line in verdict_of(run).details)


@pytest.mark.slow
def test_blocks_that_scatter_too_much_are_not_made_and_the_verdict_says_what_they_could_show(run_of, spare):
    def surface(trial):
        measured = spare(trial)
        if trial.phase is Phase.SEARCH:
            return measured
        return replace(measured, tokens=measured.tokens * random.Random(trial.name).uniform(0.97, 1.03))

    run = run_of(*GRID, surface=surface).start()
    assert run.go()
    assert simplify_lines(run) == []
    said = [line for line in verdict_of(run).details if "could only show a loss" in line]
    assert said and "validation.margin is 1 %" in said[0]


@pytest.mark.slow
def test_a_simplified_configuration_that_no_longer_deploys_is_out(run_of, spare, behaviour):
    def surface(trial):
        if trial.phase is Phase.SIMPLIFY and trial.params["batch"] == 32 and trial.params["slots"] == 8:
            return behaviour(failure=Failure(FailureClass.CRASH, "ended"))
        return spare(trial)

    run = run_of(*GRID, surface=surface).start()
    assert run.go()
    found = verdict_of(run)
    assert not found.simplified.taken and "crash: ended" in found.simplified.why_not
    assert found.winner == found.simplified.winner and found.simplified.trial in found.out


@pytest.mark.slow
@pytest.mark.parametrize(("options", "parallel"), [(GRID, 1), (RANDOM, 2)])
def test_killed_anywhere_in_it_the_run_goes_on_and_nothing_is_lost_or_doubled(
    run_of, spare, options, parallel
):
    whole = run_of(*options, surface=spare, parallel=parallel).start()
    assert whole.go()
    expected = verdict_of(whole).simplified
    before = len(whole.store.rounds) - 9 * 3
    for into in (1, 4, 8, 9, 17, 26):
        run = run_of(*options, surface=spare, parallel=parallel).start()
        assert not run.go(events=before + into)
        assert run.strategy.phase is Phase.SIMPLIFY
        assert run.start().go()
        keys = [line.key for line in run.store.trials]
        assert len(set(keys)) == len(keys)
        rounds = Counter((*line.key, line.round.number) for line in run.store.rounds)
        assert set(rounds.values()) == {1}
        ended = [line for line in simplify_lines(run) if line.state is State.COMPLETE]
        assert len({(line.block, line.trial) for line in ended}) == len(ended) == 9
        again = verdict_of(run).simplified
        assert again.back == expected.back
        params = run.strategy.history.records[again.trial].params
        assert params == whole.strategy.history.records[expected.trial].params


CONDITIONAL = """\
parameters:
  engine: {values: [plain, draft], flag: --engine}
  steps: {values: [1, 2, 4], flag: --steps, when: "engine == 'draft'"}
  batch: {values: [32, 64, 128], flag: -b}
constraints: ["batch <= 64 or engine == 'draft'"]
baseline: {engine: plain, batch: 32}
objective: {maximize: output_tokens_per_second}
"""


def test_what_goes_back_takes_along_what_depends_on_it(run_of, behaviour):
    def surface(trial):
        p = trial.params
        return behaviour(100 * {32: 1.0, 64: 1.3, 128: 1.2}[p["batch"]])

    run = run_of("search.sampler=grid", "search.early_stop=none", surface=surface, text=CONDITIONAL).start()
    assert run.go()
    found = verdict_of(run)
    assert found.winner is not None
    winner = run.strategy.history.records[found.winner].params
    assert winner == {"engine": "plain", "batch": 64}
    assert all("steps" not in one.names for one in found.flags)


@pytest.mark.slow
def test_the_plan_is_the_same_for_the_same_history(run_of, spare):
    run = run_of(*GRID, "validation.simplify=false", surface=spare).start()
    assert run.go()
    numbers = [record.number for record in run.strategy.candidates()]
    made = [
        replace(run.simplifier, blocks=3, _models={}).plan(run.strategy.history, numbers) for _ in range(2)
    ]
    assert made[0] == made[1]
    assert isinstance(made[0], Simplification)
