"""What a run says of its own noise, drift and limits: status, best.json, report."""

from __future__ import annotations

import math

import pytest

from tuner.results.baseline_again import BaselineAgain, assumed_told
from tuner.results.belief import believed
from tuner.results.export import write_best
from tuner.results.limits import baseline_told, kept_told
from tuner.results.overview import Overview
from tuner.results.report import write_report
from tuner.results.tables import status, to_text
from tuner.trial.histogram import Histogram
from tuner.trial.ports import Phase
from tuner.verdict import Gain, Outcome, Verdict
from tuner.verdict.noise_floor import Design

GAIN = Gain(0.2, 0.1, 0.31, (0.18, 0.2, 0.22))
VERDICT = Verdict(
    Outcome.BETTER, 0, 1, "Trial 1 is better.", gain=GAIN, gain_of=1, blocks=(0, 1, 2), out=(2,)
)


@pytest.fixture
def write(new_run, lines):
    """A run whose baseline gave these figures, a list of rounds for each deployment: search first, then
    sentinels; `ttft` of each request of the baseline."""

    def made(*deployments, ttft=(), validated=(), minutes=10, **state):
        run = new_run(planned_arms=3, planned_rounds=4, **state)
        for attempt, values in enumerate(deployments):
            phase = Phase.SENTINEL if attempt else Phase.SEARCH
            key = {"phase": phase, "attempt": attempt or 1}
            begun = lines.now + attempt * 60 * minutes
            for number, value in enumerate(values, start=1):
                one = lines.round(number)
                if ttft:
                    one.points[0].histograms["ttft_ms"] = Histogram(ttft)
                one = type(one)(number, begun + number, 3.0, one.points)
                run.append_round(lines.round_line(0, number, value=value, round=one, **key))
            mean = sum(values) / len(values)
            times = {"rounds": 12.0, "total": 42.0}
            run.append_trial(
                lines.trial_line(
                    0,
                    value=mean,
                    times=times,
                    accelerator_seconds=84.0,
                    started=begun,
                    ended=begun + 42,
                    **key,
                )
            )
        for block, value in enumerate(validated):
            for trial, factor in ((0, 1.0), (1, 1.2)):
                key = {"phase": Phase.VALIDATION, "attempt": block + 1}
                begun = lines.now + 3600 + block * 300
                one = type(lines.round(1))(1, begun, 3.0, lines.round(1).points)
                run.append_round(lines.round_line(trial, 1, value=value * factor, round=one, **key))
                run.append_trial(
                    lines.trial_line(
                        trial, value=value * factor, block=block, started=begun, ended=begun + 42, **key
                    )
                )
        return run

    return made


def told(run):
    return " ".join(believed(Overview.of(run), BaselineAgain(Overview.of(run))))


def test_the_noise_floor_is_told_with_what_a_finer_one_costs(write):
    run = write([100.0, 102.0, 98.0, 101.0])
    said = to_text(status(run, now=0.0), width=400)
    assert "3 blocks of 4 rounds of 2.5 s see at best a gain of 2.7 % in output_tokens_per_second" in said
    assert "judged by 4 rounds of 1 deployment of it" in said
    assert "needs validation.deployments:" in said and "accelerator-hours more" in said
    assert "it was deployed once so far" in said


def test_before_the_baseline_nothing_is_told(new_run):
    run = new_run(planned_arms=3, planned_rounds=4)
    again = BaselineAgain(Overview.of(run))
    assert again.floor_told() == [] and again.drift_told() == []
    assert again.to_json() == {"noise_floor": None, "drift": None}


def test_a_run_without_a_validation_has_no_floor(write):
    run = write([100.0, 102.0, 98.0, 101.0], planned_blocks=0)
    assert BaselineAgain(Overview.of(run)).floor is None


def test_one_round_says_too_little_and_that_is_told(write):
    (said,) = BaselineAgain(Overview.of(write([100.0]))).floor_told()
    assert "not known yet" in said


def test_sentinels_tell_what_starts_differ_by(write):
    run = write([100.0, 102.0, 98.0, 101.0], [104.0, 106.0, 102.0, 105.0], [97.0, 99.0, 95.0, 98.0])
    said = " ".join(BaselineAgain(Overview.of(run)).floor_told())
    assert "of 3 deployments of it" in said and "differ by 4.4 %" in said
    assert "what drifted between them taken out" in said


def test_a_drift_is_told_where_the_baseline_moved_and_not_where_it_did_not(write):
    moved = write([100.0, 101.0, 99.0, 100.0], [90.0, 91.0, 89.0, 90.0])
    text = BaselineAgain(Overview.of(moved)).drift_told()
    assert text[0].startswith("The baseline moved: 11.1 % from the lowest to the highest of 2 deployments")
    assert "-10.0 %" in text[0] and "levelled" in text[1]
    assert "drift" in to_text(status(moved, now=0.0))


def test_a_steady_baseline_is_said_to_be_steady(write):
    said = BaselineAgain(Overview.of(write([100.0, 101.0, 99.0], [99.5, 101.5, 100.0]))).drift_told()
    assert len(said) == 1 and "no more than its rounds explain" in said[0]


def test_best_json_holds_floor_and_drift(write):
    run = write([100.0, 102.0, 98.0, 101.0], [90.0, 91.0, 89.0, 90.0], validated=[100.0, 99.0, 101.0])
    document = write_best(run, VERDICT)
    assert run.best()["noise_floor"]["gain"] == pytest.approx(document["noise_floor"]["gain"])
    assert document["noise_floor"]["design"]["blocks"] == 3
    assert document["drift"]["moved"] and document["drift"]["phases"][:2] == ["search", "sentinel"]
    assert len(document["drift"]["gains"]) == 5


def test_the_report_says_why_to_believe_it_in_words_and_one_picture(write):
    run = write([100.0, 102.0, 98.0, 101.0], [99.0, 101.0, 100.0, 100.0], validated=[100.0, 99.0, 101.0])
    write_best(run, VERDICT)
    text = write_report(run).read_text()
    for words in (
        "Why to believe it",
        "The gain rests on 3 blocks",
        "+18.0 %, +20.0 %, +22.0 %",
        "such blocks see a gain of",
        "The baseline against itself",
        "The baseline was measured 5 times",
        "Thrown out by the validation: trial 2",
    ):
        assert words in text, words
    assert 'data-chart="chart-belief"' in text


def test_marks_and_lost_deployments_are_counted(write, lines):
    run = write([100.0, 102.0])
    run.append_trial(
        lines.trial_line(0, phase=Phase.VALIDATION, attempt=1, block=0, state="interrupted", values=())
    )
    said = told(run)
    assert "Of 2 rounds: 1 disturbed by others (they count)" in said
    assert "1 interrupted in validation" in said


def test_a_baseline_beyond_its_limit_is_told_before_anything_else(write, lines):
    run = write([100.0, 102.0])
    run.append_trial(lines.trial_line(0, attempt=2, feasible=False, violations={"ttft_p95_ms": 0.12}))
    (said,) = baseline_told(Overview.of(run))
    assert said.startswith("The baseline misses ttft_p95_ms by 12.0 %")
    assert "misses ttft_p95_ms" in to_text(status(run, now=0.0), width=300)
    assert "The baseline misses ttft_p95_ms" in write_report(run).read_text()


def test_a_baseline_within_its_limit_by_luck_is_told(write):
    run = write([100.0, 102.0], ttft=[400.0] * 96 + [600.0] * 4)
    (said,) = baseline_told(Overview.of(run))
    assert "upper bound misses ttft_p95_ms by 19.8 %" in said


def test_the_winners_limit_stands_beside_its_bound(write):
    run = write([100.0, 102.0], ttft=[400.0] * 100)
    (said,) = kept_told(Overview.of(run), 0, "the baseline")
    assert said.startswith("Limits of the baseline: ttft_p95_ms 400") and "at most 500" in said


def test_best_json_holds_each_limit_with_what_was_measured_and_its_bound(write):
    run = write([100.0, 102.0], ttft=[400.0] * 100, slos={"ttft_p95_ms": 500.0, "error_rate": 0.5})
    limits = write_best(run, VERDICT)["baseline"]["limits"]
    assert limits["ttft_p95_ms"]["limit"] == 500.0
    assert limits["ttft_p95_ms"]["upper_bound"] == pytest.approx(400.0, rel=0.01)
    assert limits["error_rate"]["measured"] == pytest.approx(0.05, abs=0.01)
    assert limits["error_rate"]["upper_bound"] is None


def test_a_plan_tells_what_is_assumed():
    said = assumed_told((0.01, 0.03), Design(arms=3, blocks=3, rounds=4))
    assert "3 blocks see a gain of 3.1 %" in said and "by 3 % one of 9.7 %" in said
    assert "no interval" in assumed_told((0.01,), Design(arms=3, blocks=1, rounds=4))
    assert math.isinf(Design(arms=3, blocks=1, rounds=4).floor(0.01))
