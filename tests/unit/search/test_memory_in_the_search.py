"""What the memory estimate does to a run: what cannot be is never proposed, what is tight comes later."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tuner.search.auto.chooser import Chooser
from tuner.search.auto.failures import Failures
from tuner.search.auto.room import rooms
from tuner.search.history import Deployment, History, TrialRecord
from tuner.search.plan import plan_lines
from tuner.search.plan_memory import baseline_is_tight, memory_lines
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, Score, State

FACTS = {
    "weights_gb": 141,
    "layers": 80,
    "hidden_size": 8192,
    "heads": 64,
    "kv_heads": 8,
    "feed_forward": 28672,
    "vocabulary": 128256,
}
HEAD = f"""\
name: seventy
model: {{name: llama-70b, facts: {json.dumps(FACTS)}}}
storage: {{type: pvc, pvc_name: models}}
deploy:
  {{backend: kubernetes, image: vllm/vllm-openai:v1, arguments: [--max-model-len, "8192"], accelerators: tp}}
workload: {{scenario: "D(1024,256)", concurrency: 64, rounds: 3, round_seconds: 10, warmup_seconds: 0}}
"""
SPACE = """\
parameters:
  tp: {values: [1, 2, 4], flag: --tensor-parallel-size}
  share: {values: [0.8, 0.9, 0.99], flag: --gpu-memory-utilization}
  batch: {values: [2048, 8192], flag: --max-num-batched-tokens}
baseline: {tp: 4, share: 0.9, batch: 2048}
objective: {maximize: output_tokens_per_second}
"""
MEMORY = "deploy.accelerator_memory_gib=80"


@pytest.fixture
def seventy(experiment):
    """A model of 131.3 GiB on accelerators of 80 GiB."""
    return lambda *overrides: experiment(MEMORY, *overrides, text=SPACE, head=HEAD)


def test_weights_that_no_accelerator_holds_are_left_out_and_the_plan_says_so(seventy):
    read = seventy()
    assert read.space.size() == 10  # of 18: one accelerator never, two not at a share of 0.8
    said = [text for title, text in plan_lines(read, first=[]) if title == "memory"]
    assert said == memory_lines(read)
    assert "the baseline is expected to hold 32.8 of 80 GiB in weights and 3" in said[0]
    assert said[1].startswith(
        "8 of 18 configurations cannot hold the weights and one request and are left out; 4 "
    )


def test_without_an_accelerators_memory_the_plan_says_what_is_missing(experiment):
    read = experiment(text=SPACE, head=HEAD)
    assert read.space.size() == 18
    assert memory_lines(read) == [
        "not estimated: deploy.accelerator_memory_gib does not say what an accelerator has"
    ]
    assert memory_lines(experiment()) == []  # nothing was asked for


def test_a_tight_baseline_is_worth_a_warning(seventy):
    assert not baseline_is_tight(seventy())
    tight = seventy("baseline.share=0.99")
    assert baseline_is_tight(tight)
    assert "; that is tight for CUDA graphs and the sampler: -0.7 GiB are left" in memory_lines(tight)[0]
    long = seventy("deploy.arguments=[--max-model-len, '500000']")
    assert "; that is tight for one request of 500,000 tokens: " in memory_lines(long)[0]


def test_what_is_tight_is_chosen_after_what_is_not_and_never_what_cannot_be(seventy):
    read = seventy()
    history = History((Goal("output_tokens_per_second", True),))
    history.add(TrialRecord(0, read.space.baseline, [done(0)]))
    chooser = Chooser(read.space, history, goals=(Goal("output_tokens_per_second", True),), slos=(), seed=1)
    chosen = []
    for number in range(1, 10):
        params = chooser.choose()
        chosen.append(params)
        history.add(TrialRecord(number, params, [done(number)]))
    assert chooser.choose() is None
    assert all(read.space.valid(params) for params in chosen)
    tight = [bool(r) for r in rooms(read.memory, chosen)]
    assert tight == [False] * 5 + [True] * 4


def done(number):
    score = Score((100.0,), ((99.0, 101.0),), {}, {}, {"output_tokens_per_second": 100.0})
    return Deployment(number, Phase.SEARCH, 1, scores=[score] * 3, state=State.COMPLETE, seconds=90.0)


def test_trials_overrule_what_was_expected_of_them():
    rng = np.random.default_rng(3)
    rows = rng.random((40, 2))
    tight = np.where(rows[:, 0] > 0.5, -2.0, 0.0)
    edges, before = np.array([[0.9, 0.5], [0.1, 0.5]]), np.array([-2.0, 0.0])
    failures = Failures()
    crowded, roomy = np.exp(failures.log_probability(edges, before))
    assert crowded == pytest.approx(0.16, abs=0.01) and roomy == pytest.approx(0.84, abs=0.01)
    failures.fit(rows, np.ones(40, dtype=bool), tight)
    assert np.exp(failures.log_probability(edges, before)).min() > 0.8


def test_where_no_memory_is_known_nothing_is_expected():
    assert rooms(None, [{"tp": 1}]) is None
