"""Whole runs in which some configurations answer worse: who is asked, what is learned, what may win."""

from __future__ import annotations

import pytest

from tuner.errors import Failure, FailureClass, WorldError
from tuner.load.answers import MOST_PASSES
from tuner.search.assembly import proposer_of
from tuner.search.history import History
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, State

SPACE = """\
parameters:
  slots: {values: [1, 2, 4], flag: --parallel}
  batch: {values: [32, 64], flag: -b}
  kv: {values: [f16, q8_0, q4_0], flag: --cache-type-k}
baseline: {slots: 1, batch: 32, kv: f16}
slo: {ttft_p95_ms: 100}
objective: {maximize: output_tokens_per_second}
"""
LOST = {"f16": 0.0, "q8_0": 0.004, "q4_0": 0.3}


def surface(behaviour, **more):
    """The less a cache holds, the faster it is."""

    def made(trial):
        p = trial.params
        speed = {"f16": 1.0, "q8_0": 1.2, "q4_0": 2.0}[p["kv"]]
        return behaviour(100 * p["slots"] ** 0.5 * speed, 30.0, shift=LOST[p["kv"]], **more)

    return made


@pytest.fixture
def lossy(run_of, behaviour):
    """A run over a space with three cache types; the four bits answer worse."""

    def made(*overrides, **more):
        given = {"surface": surface(behaviour), "text": SPACE, **more}
        return run_of("search.sampler=random", "search.sentinel=none", *overrides, **given)

    return made


def asked(run):
    """(trial, phase, passes) of the deployments that were asked, in order."""
    return [(t.trial, t.phase, t.asked.passes) for _, t in run.handed_out if t.asked.passes]


def test_the_baseline_is_asked_several_times_and_each_combination_once(lossy):
    run = lossy("search.trials=18", "validation.enabled=false").start()
    assert run.go()
    assert asked(run)[0] == (0, Phase.SEARCH, MOST_PASSES)
    first_of = {}
    for line in run.searched:
        first_of.setdefault(line.params["kv"], line.trial)
    kinds = {line.trial: line.params["kv"] for line in run.searched}
    others = [trial for trial, *_ in asked(run)[1:] if kinds[trial] != "f16"]
    assert sorted(others) == sorted(first_of[kv] for kv in ("q8_0", "q4_0"))


def test_a_few_trials_that_should_answer_as_the_baseline_say_what_such_differ_by(lossy):
    run = lossy("search.trials=18", "validation.enabled=false").start()
    run.go()
    kinds = {line.trial: line.params["kv"] for line in run.searched}
    assert len([trial for trial, *_ in asked(run)[1:] if kinds[trial] == "f16"]) == 2
    assert run.store.answers()["further"] == [0.0, 0.0]


def test_one_that_should_answer_as_the_baseline_and_does_not_is_no_winner_and_condemns_no_other(
    lossy, behaviour
):
    plain = surface(behaviour)

    def made(trial):
        odd = trial.params["kv"] == "f16" and trial.params["batch"] == 64
        return behaviour(100.0, 30.0, shift=0.2) if odd else plain(trial)

    run = lossy("search.trials=18", "validation.enabled=false", surface=made).start()
    run.go()
    odd = [one for one in run.searched if one.accuracy and one.accuracy["unexpected"]]
    assert odd and not any(one.feasible for one in odd)
    assert all(one.params["batch"] == 64 for one in odd)
    assert all(
        one.feasible for one in run.searched if one.params["kv"] == "f16" and one.params["batch"] == 32
    )


def test_what_lost_too_much_is_a_violation_of_a_limit_and_stopped_after_a_round(lossy):
    run = lossy("search.trials=18", "validation.enabled=false").start()
    run.go()
    (line,) = [one for one in run.searched if one.params["kv"] == "q4_0"]
    assert (line.state, line.feasible) == (State.STOPPED, False)
    assert line.metrics["accuracy_loss"] == pytest.approx(0.3, abs=0.01)
    assert line.violations["accuracy_loss"] == pytest.approx(5)
    assert line.reason.startswith("hopeless: accuracy_loss")


def test_a_combination_that_lost_too_much_is_not_deployed_again(lossy):
    run = lossy("search.trials=18", "validation.enabled=false").start()
    run.go()
    assert sum(one.params["kv"] == "q4_0" for one in run.searched) == 1
    assert sum(one.params["kv"] == "q8_0" for one in run.searched) == 6
    assert run.strategy.search_ended == "every configuration of the space was tried"


@pytest.mark.parametrize("sampler", ["auto", "grid", "tpe", "random"])
def test_no_sampler_proposes_what_is_refused(sampler, experiment):
    e = experiment(f"search.sampler={sampler}", text=SPACE)
    history = History((Goal("output_tokens_per_second", True),))
    proposer = proposer_of(e, history, refused=lambda params: params["kv"] == "q4_0")
    proposed = [proposer.propose(number) for number in range(1, 14)]
    assert proposed[-1] is None and None not in proposed[:-1]
    assert {params["kv"] for params in proposed[:-1]} == {"f16", "q8_0"}


def test_other_trials_of_the_combination_inherit_what_was_found(lossy):
    run = lossy("search.trials=18", "validation.enabled=false").start()
    run.go()
    found = [one for one in run.searched if one.params["kv"] == "q8_0"]
    assert len({one.accuracy["trial"] for one in found}) == 1
    assert all(one.feasible and one.metrics["accuracy_loss"] < 0.02 for one in found)
    baselines = [one for one in run.searched if one.params["kv"] == "f16"]
    assert all(one.accuracy is None and one.metrics["accuracy_loss"] == 0 for one in baselines)
    assert all(one.metrics["accuracy_loss"] == pytest.approx(LOST["q8_0"]) for one in found)


def test_the_faster_one_that_answers_worse_is_never_validated(lossy):
    run = lossy("search.trials=18", "validation.top=2").start()
    run.go()
    assert {one.params["kv"] for one in run.validated} <= {"f16", "q8_0"}


def test_in_the_first_block_of_the_validation_every_arm_is_asked_again(lossy):
    run = lossy("search.trials=18", "validation.top=2", "validation.deployments=3").start()
    run.go()
    again = [entry for entry in asked(run) if entry[1] is Phase.VALIDATION]
    candidates = {one.trial for one in run.validated}
    assert {(trial, passes) for trial, _, passes in again} >= {(trial, 1) for trial in candidates}
    assert (0, Phase.VALIDATION, 1) in again
    of_candidates = [one for one in run.validated if one.trial and one.block == 0]
    assert all(one.accuracy["trial"] == one.trial for one in of_candidates if one.accuracy)


def test_a_candidate_that_answers_worse_when_it_is_deployed_again_is_not_feasible_there(lossy, behaviour):
    plain = surface(behaviour)

    def made(trial):
        found = plain(trial)
        worse = trial.phase is Phase.VALIDATION and trial.trial
        return behaviour(found.tokens, found.ttft, shift=0.2 if worse else found.shift)

    run = lossy("search.trials=18", surface=made).start()
    run.go()
    candidates = [one for one in run.validated if one.trial]
    assert candidates and not any(one.feasible for one in candidates)


def test_a_resumed_run_remembers_the_answers_and_what_was_found(lossy):
    run = lossy("search.trials=18", "validation.enabled=false").start()
    run.go(events=30)
    before = asked(run)
    known = {one.params["kv"] for one in run.searched if one.accuracy is not None}
    assert known
    run.handed_out.clear()
    run.start().go()
    assert (0, Phase.SEARCH, MOST_PASSES) not in asked(run)
    again = {t.params["kv"] for _, t in run.handed_out if t.asked.passes}
    assert not again & known and before
    assert sum(one.params["kv"] == "q4_0" and one.state is State.STOPPED for one in run.searched) == 1


def test_a_baseline_that_has_to_be_deployed_again_tells_what_two_deployments_differ_by(lossy, behaviour):
    plain, starts = surface(behaviour), []

    def made(trial):
        starts.append(trial.name)
        fault = Failure(FailureClass.CRASH, "gone", "", 1)
        if trial.trial == 0 and trial.attempt == 1:
            return behaviour(failure=fault, fails_in_round=3, interrupted=False)
        return plain(trial)

    run = lossy("search.trials=3", surface=made).start()
    run.go(events=2)  # killed in the baseline's second round
    run.start().go()
    first = [t.asked.passes for _, t in run.handed_out if t.trial == 0][:2]
    assert first == [MOST_PASSES, 1]
    assert len(run.store.answers()["further"]) >= 1


def test_trials_that_start_side_by_side_with_a_new_combination_are_all_asked(lossy):
    run = lossy("search.trials=18", "validation.enabled=false", parallel=3).start()
    assert run.go()
    assert all("accuracy_loss" in one.metrics for one in run.searched)
    assert not any(one.feasible for one in run.searched if one.params["kv"] == "q4_0")


def test_a_score_that_is_lost_is_a_violation_too(lossy, behaviour):
    def made(trial):
        return behaviour(100.0, 30.0, score={"f16": 0.8, "q8_0": 0.79, "q4_0": 0.5}[trial.params["kv"]])

    run = lossy(
        "search.trials=18",
        "validation.enabled=false",
        "accuracy.command.run=score",
        "accuracy.command.tolerance=0.02",
        surface=made,
    ).start()
    run.go()
    (bad,) = [one for one in run.searched if one.params["kv"] == "q4_0"]
    assert bad.metrics["score_loss"] == pytest.approx(0.375) and not bad.feasible
    assert all(one.feasible for one in run.searched if one.params["kv"] == "q8_0")


def test_with_always_every_configuration_is_asked(lossy):
    run = lossy("search.trials=4", "validation.enabled=false", "accuracy.check=always").start()
    run.go()
    assert [trial for trial, *_ in asked(run)] == [0, 1, 2, 3]


def test_off_asks_nobody_and_limits_nothing(lossy):
    run = lossy("search.trials=4", "accuracy.check=off").start()
    run.go()
    assert asked(run) == []
    assert not any("accuracy_loss" in one.violations for one in run.searched)


def test_a_resumed_run_whose_answers_are_gone_is_told_in_one_line(lossy):
    run = lossy("search.trials=18", "validation.enabled=false").start()
    run.go(events=30)
    run.store.kept = None
    with pytest.raises(WorldError, match=r"answers.json: got none, .*; would be right: .* --new"):
        run.start()
