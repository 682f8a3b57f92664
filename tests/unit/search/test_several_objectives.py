"""Runs with two objectives: what is validated, and what the verdict says."""

from __future__ import annotations

import pytest

from tuner.search.conclusion import concluded
from tuner.search.plan import plan_lines
from tuner.trial.objective import Goal, MergedObjective
from tuner.verdict import Outcome, Verdict
from tuner.verdict.objectives import front_told

TEXT = """\
parameters:
  slots: {values: [1, 2, 4, 8, 16], flag: --parallel}
baseline: {slots: 2}
objective: [{maximize: output_tokens_per_second}, {minimize: ttft_p95_ms}]
slo: {error_rate: 0.01}
"""
# slots -> tokens, ttft: 1 is beaten by 4; 4 is the knee of 2, 4, 8; 16 is beaten by 8 in both
FIGURES = {1: (90, 90), 2: (100, 50), 4: (190, 60), 8: (200, 900), 16: (150, 1000)}
GOALS = (Goal("output_tokens_per_second", True), Goal("ttft_p95_ms", False))


@pytest.fixture
def finished(run_of, behaviour):
    """A finished run; `figures` as FIGURES, `fails` the slots whose validation fails."""

    def made(*overrides, figures=FIGURES, fails=(), failure=None):
        def surface(trial):
            tokens, ttft = figures[trial.params["slots"]]
            out = trial.phase == "validation" and trial.params["slots"] in fails
            return behaviour(tokens=tokens, ttft=ttft, failure=failure if out else None)

        fixed = ("search.sampler=grid", "search.early_stop=hopeless")
        run = run_of(*fixed, *overrides, text=TEXT, surface=surface).start()
        assert run.go()
        return run

    return made


def verdict_of(run, *, validated=True):
    return concluded(
        run.strategy.history,
        candidates=run.strategy.candidates(),
        space=run.experiment.space,
        goals=GOALS,
        objective=MergedObjective(GOALS, dict(run.experiment.slo)),
        interrupted=False,
        validated=validated,
    )


def slots(run, trial):
    return run.strategy.history.records[trial].params["slots"]


def test_the_knee_is_validated_first(finished):
    run = finished("validation.top=1")
    assert [slots(run, t) for t in {line.trial for line in run.validated}] == [2, 4]


def test_an_objective_that_differs_a_thousandfold_does_not_decide_alone_what_is_validated(finished):
    figures = {1: (100, 10), 2: (90, 12), 4: (190, 100), 8: (200, 10_000), 16: (50, 20_000)}
    run = finished("validation.top=1", figures=figures)
    assert [slots(run, t) for t in {line.trial for line in run.validated}] == [2, 4]


def test_the_verdict_is_about_the_knee_and_gives_the_gain_in_each_objective(finished):
    run = finished("validation.top=1")
    found = verdict_of(run)
    assert (found.outcome, slots(run, found.winner)) == (Outcome.BETTER, 4)
    tokens, ttft = found.objectives
    assert tokens.gain.share == pytest.approx(0.9, abs=0.03) and tokens.word == "better"
    assert ttft.gain.share == pytest.approx(50 / 60 - 1, abs=0.02)
    assert "the balance of output_tokens_per_second and ttft_p95_ms" in found.headline


def test_a_winner_that_costs_something_in_an_objective_is_called_a_trade(finished):
    found = verdict_of(finished("validation.top=1"))
    assert found.details[0] == f"Trial {found.winner} is a trade: it is worse in ttft_p95_ms."
    whole = verdict_of(finished("validation.top=1", figures={**FIGURES, 4: (190, 40)}))
    assert whole.details[0] == f"Trial {whole.winner} is better in every objective."


def test_the_gain_is_that_of_the_balance(finished):
    found = verdict_of(finished("validation.top=1"))
    tokens, ttft = found.objectives
    expected = (1 + tokens.gain.share) ** tokens.weight * (1 + ttft.gain.share) ** ttft.weight - 1
    assert found.gain.share == pytest.approx(expected, rel=1e-6)


def test_the_sentences_name_the_front_the_knee_and_whom_the_verdict_is_about(finished):
    run = finished("validation.top=1")
    found = verdict_of(run)
    said = " ".join(found.details)
    knee = found.winner
    assert "3 trials are on the Pareto front" in said
    assert f"This verdict is about trial {knee}, its knee." in said
    assert "with these weights: output_tokens_per_second 0." in said


def test_a_knee_that_fails_in_the_validation_leaves_the_front(finished):
    from tuner.errors import Failure, FailureClass

    run = finished("validation.top=2", fails=(4,), failure=Failure(FailureClass.CRASH, "ended"))
    found = verdict_of(run)
    failed = next(t for t, r in run.strategy.history.records.items() if r.params["slots"] == 4)
    assert found.out == (failed,)
    front = run.strategy.history.front(without=found.out)
    assert failed not in front.trials
    assert front_told(front, found.winner)[0] in found.details
    assert found.winner != failed


def test_a_baseline_that_is_the_knee_is_kept(finished):
    figures = {**FIGURES, 2: (195, 52)}
    found = verdict_of(finished(figures=figures))
    assert (found.outcome, found.winner) == (Outcome.NO_BETTER, 0)
    assert "in the balance of" in found.headline
    assert any("This verdict is about trial 0" in line for line in found.details)


def test_without_validation_the_knee_is_shown_and_no_gain_claimed(finished):
    run = finished("validation.enabled=false")
    found = verdict_of(run, validated=False)
    assert (found.outcome, slots(run, found.winner)) == (Outcome.UNVALIDATED, 4)
    assert all(one.gain is None for one in found.objectives)


def test_beyond_a_limit_nothing_is_on_the_front(finished):
    run = finished("slo={ttft_p95_ms: 55}")
    on = [slots(run, t) for t in run.strategy.history.front().trials]
    assert on == [2]


def test_a_verdict_of_several_objectives_is_read_back(finished):
    found = verdict_of(finished("validation.top=1"))
    assert Verdict.from_json(found.to_json()) == found


def test_one_objective_is_told_as_before(run_of):
    run = run_of("search.sampler=grid", "validation.top=1").start()
    assert run.go()
    goals = GOALS[:1]
    found = concluded(
        run.strategy.history,
        candidates=run.strategy.candidates(),
        space=run.experiment.space,
        goals=goals,
        objective=MergedObjective(goals, dict(run.experiment.slo)),
        interrupted=False,
        validated=True,
    )
    assert found.objectives == () and not any("Pareto" in line for line in found.details)


def test_the_plan_says_that_the_verdict_is_about_the_knee(experiment):
    said = dict(plan_lines(experiment(text=TEXT), first=[]))
    assert said["objectives"].startswith("maximize output_tokens_per_second and minimize ttft_p95_ms:")
    assert "objectives" not in dict(plan_lines(experiment(), first=[]))


def test_the_best_so_far_is_the_knee(finished):
    run = finished("validation.enabled=false")
    best = run.strategy.history.best()
    assert best.params["slots"] == 4


def test_the_search_goes_on_while_the_front_gets_new_trials(finished):
    # in the order of the grid's draw each of them is on the front, and the knee is an early one
    figures = {slots: (100 * slots, 50 * slots) for slots in FIGURES}
    run = finished("validation.enabled=false", "search.budget.no_better_for=1", figures=figures)
    assert len(run.searched) == len(FIGURES)
    beaten = {slots: ((100, 50) if slots == 2 else (50, 90)) for slots in FIGURES}
    run = finished("validation.enabled=false", "search.budget.no_better_for=1", figures=beaten)
    assert len(run.searched) == 2
