"""Chat, conversations, datasets and sampling against the real engine, which counts what is carried."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.load import HttpLoad
from tuner.load.conversations import Conversing
from tuner.load.exchange import OK
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint, TrialConfig
from tuner.trial.rounds import PointResult

pytestmark = pytest.mark.engine


@pytest.fixture
def endpoint(serve: Callable[..., Endpoint], trial: Callable[..., TrialConfig]) -> Endpoint:
    return serve(trial("--parallel", "2", "--ctx-size", "4096"))


def measured(endpoint: Endpoint, **given: object) -> PointResult:
    fields = {"chat": True, "concurrency": 2, "round_seconds": 1.0, **given}
    load = HttpLoad(Workload.model_validate({k: v for k, v in fields.items() if v is not None}))
    try:
        load.open(endpoint, salt="a")
        return load.run_round(1, cancel=lambda: False).points[0]
    finally:
        load.close()


def test_turns_carry_the_engines_answers_and_it_counts_them(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Conversing] = []
    before = Conversing.start
    monkeypatch.setattr(Conversing, "start", lambda self: (made.append(self), before(self))[1])
    found = measured(endpoint, scenario="D(24,16)", conversations={"turns": 3})
    assert found.errors == {} and found.requests > 3
    assert found.trust.token_source == "usage"
    # Prompts of the turns as the engine counts them: 24 tokens, and 16 + 24 more each time.
    counted = [(x.asked_tokens[0], x.prompt_tokens) for x in made[-1].exchanges if x.outcome == OK]
    assert {asked for asked, _ in counted} == {24, 64, 104}
    for asked, tokens in counted:
        assert tokens == pytest.approx(asked, rel=0.5)
    means = [
        sum(t for a, t in counted if a == asked) / sum(a == asked for a, _ in counted)
        for asked in (24, 64, 104)
    ]
    assert means[0] + 25 < means[1] and means[1] + 25 < means[2]


def test_conversations_that_begin_at_a_rate_are_answered_and_find_their_past_in_the_cache(
    endpoint: Endpoint,
) -> None:
    open_loop = {"concurrency": None, "request_rate": 2.0, "arrivals": "constant", "round_seconds": 2.0}
    found = measured(endpoint, scenario="D(24,4)", conversations={"turns": 3}, **open_loop)
    assert found.errors == {} and found.requests > 3
    assert found.trust.achieved == pytest.approx(2, abs=0.5) and not found.trust.invalid
    assert not found.trust.contaminated and found.trust.implied_hit_rate > 0.4


def test_a_dataset_of_messages_with_sampling_is_served(endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    said = [("system", "bako titu"), ("user", "titu bako"), ("assistant", "bako"), ("user", "titu titu")]
    row = {"messages": [{"role": r, "content": c} for r, c in said], "output_tokens": 12}
    path.write_text("".join(json.dumps(row) + "\n" for _ in range(5)))
    found = measured(endpoint, dataset={"path": str(path)}, sampling={"temperature": 0.8, "top_k": 5})
    assert found.errors == {} and found.requests > 3
    assert found.output_tokens >= 11 * found.requests
