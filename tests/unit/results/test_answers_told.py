"""What answers lost, in words: on the terminal and in the report."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tuner.results.answers_told import AnswersTold
from tuner.results.lines import TrialLine
from tuner.results.overview import Overview
from tuner.results.report import render
from tuner.results.tables import status, to_text
from tuner.trial.answers import Answers, Place
from tuner.trial.judgement import Judgement
from tuner.trial.ports import Phase

NOW = 1_790_000_000.0
ANSWERS = Answers(((Place("a", {"a": -0.5}),),) * 200, (0.001, 0.002, 0.003))
KEPT = Judgement(1, 200, 0.006, 0.005, 0.006, 0.0, 0.02, {"kv": "q8_0"})
LOSSY = Judgement(2, 200, 0.31, 0.005, 0.31, 0.12, 0.4, {"kv": "q4_0"})


@pytest.fixture
def compared(new_run, lines):
    """A run in which two combinations were compared, one of them by two trials."""

    def made(*found, slos=None, **stored):
        run = new_run(slos={"ttft_p95_ms": 500.0, "accuracy_loss": 0.02} if slos is None else slos)
        run.write_answers({"further": [0.0015], "answers": ANSWERS.to_json(), **stored})
        run.append_trial(lines.trial_line(0))
        for number, (trial, judgement, more) in enumerate(found, start=1):
            line = lines.trial_line(trial, accuracy=judgement.to_json(), attempt=number, **more)
            run.append_trial(line)
        return run

    return made


@pytest.fixture
def usual(compared):
    return compared((1, KEPT, {}), (2, LOSSY, {}), (3, KEPT, {}))


def told(run):
    return AnswersTold(Overview.of(run)).told()


def test_the_baselines_own_differences_come_first_and_each_combination_has_a_sentence(usual):
    own, kept, lossy = told(usual)
    assert own.startswith(
        "The baseline's answers differ from its own by 0.002 nats when it is asked again in other batches, "
        "by 0.0015 nats on 1 further deployment that should answer alike: up to "
    )
    assert own.endswith(" nats is no loss.")
    assert kept.startswith("kv=q8_0 (trial 1): log-probabilities change by 0.006 nats in the mean")
    assert kept.endswith("Allowed.")
    assert lossy == (
        "kv=q4_0 (trial 2): log-probabilities change by 0.31 nats in the mean, where up to 0.005 nats is the "
        "baseline's own; 12% of first tokens are others. That is more than the 0.02 nats that may be lost: "
        "it cannot win."
    )


def test_a_trial_that_should_answer_alike_and_does_not_says_what_to_do(compared):
    odd = replace(LOSSY, trial=5, values={"kv": "f16"}, unexpected=True)
    said = told(compared((5, odd, {})))[1]
    assert said.endswith(
        "These values are the baseline's: name in accuracy.parameters what else changes answers."
    )


def test_a_lost_score_is_told_with_what_may_be_lost(compared):
    one = Judgement(2, 200, 0.006, 0.005, 0.006, 0.0, 0.0, {"kv": "q4_0"}, score=0.7, score_loss=0.125)
    run = compared((2, one, {}), slos={"accuracy_loss": 0.02, "score_loss": 0.01})
    assert "score 0.7, 12.5% less than the baseline's" in told(run)[1]
    assert "more than the 0.02 nats and 1.0% of the score that may be lost" in told(run)[1]


def test_a_candidate_that_was_asked_again_is_told_as_itself(compared):
    again = {"phase": Phase.VALIDATION, "block": 0}
    run = compared((1, KEPT, {}), (4, Judgement(4, 200, 0.1, 0.005, 0.1, 0.1, 0.2, {"kv": "q8_0"}), again))
    assert told(run)[2].startswith("Trial 4, deployed again: log-probabilities change by 0.1 nats")
    assert AnswersTold(Overview.of(run)).losers_told() == [told(run)[2]]


def test_status_closing_block_and_report_say_what_was_lost(usual, lines):
    shown = " ".join(to_text(status(usual, now=NOW), width=400).split())
    assert "kv=q4_0 (trial 2): log-probabilities change by 0.31 nats" in shown
    page = render(Overview.of(usual))
    assert "<h2>Answers</h2>" in page and "too much" in page and "it cannot win" in page


def test_best_json_holds_every_comparison(usual):
    found = json.loads(json.dumps(AnswersTold(Overview.of(usual)).to_json()))
    assert [(one["values"], one["allowed"]) for one in found["combinations"]] == [
        ({"kv": "q8_0"}, True),
        ({"kv": "q4_0"}, False),
    ]
    assert found["own"]["again"] == [0.001, 0.002, 0.003]
    assert found["own"]["bound"] > 0.003


def test_a_run_that_compares_nothing_says_nothing(new_run, lines):
    run = new_run()
    run.append_trial(lines.trial_line(0))
    assert AnswersTold(Overview.of(run)).to_json() is None
    assert told(run) == []
    assert "<h2>Answers</h2>" not in render(Overview.of(run))


def test_a_trials_line_keeps_its_judgement(lines):
    line = lines.trial_line(2, accuracy=LOSSY.to_json())
    again = TrialLine.from_json(json.loads(json.dumps(line.to_json())))
    assert Judgement.from_json(again.accuracy) == LOSSY
    assert TrialLine.from_json({**line.to_json(), "accuracy": None}).accuracy is None
