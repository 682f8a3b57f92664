"""How far two deployments' answers lie apart, and what of that is a loss."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest

from tuner.trial.answers import Answers, Place, difference
from tuner.trial.judgement import PRIOR_DEVIATION, Judgement, judged, prediction_bound
from tuner.trial.losses import with_losses
from tuner.trial.objective import NOT_MEASURED, Goal, MergedObjective, violation

LOW, HIGH = {"a": math.log(0.5), "b": math.log(0.25)}, {"a": math.log(0.4), "b": math.log(0.25)}


def place(said="a", **logprobs):
    return Place(said, logprobs or LOW)


def answers(nats=0.0, *, prompts=200, **more):
    """Each prompt answered by one token whose log-probability is `nats` lower."""
    return Answers(((place(a=-0.5 - nats),),) * prompts, **more)


def judge(reference, other, own=(0.001, 0.001, 0.001)):
    return judged(reference, other, own=own, trial=3, values={"kv": "q4_0"})


def test_the_same_answers_do_not_differ():
    assert difference([(place(),)] * 3, [(place(),)] * 3).nats == 0


def test_a_change_counts_by_how_likely_the_token_is_in_the_reference():
    found = difference([(Place("a", LOW),)], [(Place("a", HIGH),)])
    assert found.nats == pytest.approx(0.5 / 0.75 * math.log(0.5 / 0.4))


def test_a_token_that_the_other_does_not_name_is_at_most_as_likely_as_the_least_that_it_names():
    found = difference([(place(a=-0.1),)], [(place("z", z=-0.2, y=-3.0),)])
    assert found.nats == pytest.approx(2.9)
    assert found.first_changed == 1


def test_tokens_behind_the_first_that_differs_do_not_count():
    same, other, far = place(), place("b"), place("a", a=-9.0)
    found = difference([(same, same, same)], [(same, other, far)])
    assert found.nats == 0
    assert (found.first_changed, found.changed) == (0, 1)


def test_a_few_prompts_without_an_answer_are_left_out_and_many_are_no_comparison():
    one = (place(),)
    assert difference([one] * 20, [one] * 18 + [()] * 2).prompts == 18
    assert math.isnan(difference([one] * 20, [one] * 17 + [()] * 3).nats)


def test_answers_survive_json():
    found = Answers(((place(a=-0.25, b=-1.5), place("b", b=-0.125)), ()), (0.5, 0.25), 0.75)
    assert Answers.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_what_lies_within_the_baselines_own_differences_is_no_loss():
    found = judge(answers(), answers(0.0015), own=(0.001, 0.002, 0.0015))
    assert found.accuracy_loss == 0
    assert found.difference == pytest.approx(0.0015)


def test_what_lies_beyond_them_is_a_loss():
    found = judge(answers(), answers(0.1))
    assert found.accuracy_loss == pytest.approx(0.1)
    assert found.beyond({"accuracy_loss": 0.05}) and not found.beyond({"accuracy_loss": 0.11})
    assert Judgement.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_score_is_lost_as_a_share_of_the_baselines():
    found = judge(answers(score=0.8), answers(score=0.76))
    assert found.score_loss == pytest.approx(0.05)
    assert found.losses == {"accuracy_loss": 0.0, "score_loss": pytest.approx(0.05)}
    assert judge(answers(score=0.8), answers(score=0.9)).losses["score_loss"] == 0


@pytest.mark.parametrize("known", [1, 2, 4, 6])
def test_an_innocent_change_shows_a_loss_in_at_most_one_of_twenty_cases(known):
    rng = random.Random(5)
    alarms, cases = 0, 10_000
    for _ in range(cases):
        *own, innocent = (0.004 * math.exp(rng.gauss(0, PRIOR_DEVIATION)) for _ in range(known + 1))
        alarms += innocent > prediction_bound(own)
    assert alarms / cases <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / cases)


def test_the_bound_narrows_with_what_is_known_and_is_never_below_what_was_seen():
    once, often = prediction_bound([0.01]), prediction_bound([0.01, 0.011, 0.009, 0.01])
    assert 0.01 < often < once < 0.03
    assert prediction_bound([0.01, 0.01, 0.2, 0.01]) >= 0.2


def test_differences_of_nothing_at_all_say_nothing_of_others():
    assert prediction_bound([0.0, 0.0, 0.01]) == prediction_bound([0.01])
    assert prediction_bound([0.0]) == prediction_bound([]) == 0


OBJECTIVE = MergedObjective(
    (Goal("output_tokens_per_second", True),), {"ttft_p95_ms": 100, "accuracy_loss": 0.02}
)


def test_a_loss_beyond_its_tolerance_violates_a_limit_and_is_certain_at_once(made_round):
    lossy = replace(made_round(1), losses={"accuracy_loss": 0.05})
    score = OBJECTIVE.score([lossy])
    assert score.measured and not score.feasible
    assert (
        score.violations["accuracy_loss"] == score.certain_violations["accuracy_loss"] == pytest.approx(1.5)
    )
    assert score.metrics["accuracy_loss"] == 0.05
    assert score.violations["ttft_p95_ms"] < 0


def test_a_loss_within_its_tolerance_is_feasible(made_round):
    assert OBJECTIVE.score([replace(made_round(1), losses={"accuracy_loss": 0.01})]).feasible


def test_a_loss_that_is_not_known_is_not_feasible_and_stops_nothing(made_round):
    score = OBJECTIVE.score([made_round(1)])
    assert score.violations["accuracy_loss"] == NOT_MEASURED
    assert score.certain_violations["accuracy_loss"] < 0
    assert "accuracy_loss" not in score.metrics


def test_a_round_keeps_its_losses_through_json(made_round):
    lossy = replace(made_round(1), losses={"accuracy_loss": 0.05})
    assert type(lossy).from_json(json.loads(json.dumps(lossy.to_json()))).losses == {"accuracy_loss": 0.05}
    assert "losses" not in made_round(1).to_json()


def test_of_several_deployments_the_largest_loss_stands(made_round):
    rounds = [replace(made_round(1), losses={"accuracy_loss": loss}) for loss in (0.0, 0.03)]
    plain = MergedObjective(OBJECTIVE.goals, {}).score(rounds)
    found = with_losses(plain, rounds, {"accuracy_loss": 0.02}, violation)
    assert found.violations["accuracy_loss"] == pytest.approx(0.5)
