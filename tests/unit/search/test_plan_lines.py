"""What is said before anything is deployed."""

from __future__ import annotations

import pytest

from tuner.search.plan import plan_lines, stopping_text

OBJECTIVE = "objective: {maximize: output_tokens_per_second}\n"
OPEN = """\
name: demo
model: {synthetic: {}}
workload: {scenario: "D(48,64)", request_rate: 2, rounds: 3, round_seconds: 10}
"""


def lines(experiment):
    found = {}
    for title, text in plan_lines(experiment, first=[{"slots": 1, "mode": "fast"}]):
        found.setdefault(title, []).append(text)
    return found


def test_the_space_is_counted_and_the_first_points_shown(experiment):
    found = lines(experiment())
    assert found["space"] == ["24 configurations over 3 parameters"]
    assert found["first"] == ["slots=1 mode=fast"]
    assert found["baseline"] == ["trial 0: slots=1 batch=32 mode=safe"]


def test_a_continuous_space_and_no_baseline_are_said(experiment):
    text = "parameters: {frac: {low: 0.1, high: 0.9, flag: --frac}}\n" + OBJECTIVE
    found = lines(experiment(text=text))
    assert "more configurations than can be counted" in found["space"][0]
    assert "engine" in found["baseline"][0]


def test_validations_share_of_the_rounds_is_said(experiment):
    # 9 deployments of 3 rounds beside 9 trials of 3 rounds
    (text,) = lines(experiment("search.trials=9"))["validation"]
    assert text == "the best 2 and the baseline, 3 deployments each: 9 in paired blocks, 50% of the rounds"
    assert "validation" not in lines(experiment("validation.enabled=false"))


def test_the_cost_counts_every_trial_and_the_validation(experiment):
    (text,) = lines(experiment("search.trials=9", "search.parallel=2"))["cost"]
    # (9 + 9) trials, two at a time, of 75 s each: every ramp as long as its window, every drain half of it.
    assert text.startswith("measuring at most 11 min 15 s;")
    (text,) = lines(experiment("search.trials=9", "search.budget.hours=2"))["cost"]
    assert "no new trial after 2 h, validation's share kept back" in text


def test_accelerator_hours_are_counted_by_the_widest_trial(experiment):
    found = lines(experiment("deploy.accelerators=slots", "deploy.ready_seconds=100", "search.trials=9"))
    assert "accelerator-hours" in found["cost"][0]
    assert "accelerator-hours" not in lines(experiment())["cost"][0]


def test_percentiles_that_the_rounds_are_too_short_for_are_said(experiment):
    found = lines(experiment(head=OPEN))
    assert found["percentiles"] == [
        "ttft_p95_ms needs 100 requests, load sends 60: the rounds are too short for it"
    ]
    assert "percentiles" not in lines(experiment("workload.round_seconds=100", head=OPEN))
    assert "percentiles" not in lines(experiment("workload.ramp_to=8", head=OPEN))  # 5 a second on the mean


def test_a_closed_loop_says_how_many_requests_a_percentile_needs(experiment):
    (text,) = lines(experiment())["percentiles"]
    assert text.startswith("ttft_p95_ms needs 100 requests a trial: 3.3 per second")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("none", ("none",)),
        ("hopeless", ("hopeless",)),
        ("auto", ("hopeless", "asha")),
        ("median", ("median",)),
    ],
)
def test_when_trials_are_stopped_is_said(experiment, asked, said):
    text = stopping_text(experiment(f"search.early_stop={asked}"))
    assert all(word in text for word in said)


def test_several_objectives_are_only_stopped_when_hopeless(experiment, tmp_path):
    both = "objective: [{maximize: output_tokens_per_second}, {minimize: ttft_p95_ms}]\n"
    text = "parameters: {slots: {values: [1, 2], flag: -p}}\nslo: {ttft_p95_ms: 100}\n" + both
    said = stopping_text(experiment(text=text))
    assert "hopeless" in said and "asha" not in said


def test_the_plan_says_whose_answers_are_compared_and_what_may_be_lost(experiment):
    text = "parameters: {cache: {values: [auto, fp8], flag: --kv-cache-dtype}, slots: {values: [1, 2]}}\n"
    said = dict(plan_lines(experiment(text=text), first=[]))["answers"]
    assert "each combination of cache (KV-cache type) compared once with the baseline" in said
    assert "200 prompts; at most 0.05 nats may be lost" in said
    assert "answers" not in dict(plan_lines(experiment(), first=[]))
