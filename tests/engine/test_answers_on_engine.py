"""Answers of the real engine: a small cache type is told apart, and what only changes speed is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.deploy.embedded.model import ModelSettings, make_model
from tuner.load import HttpLoad
from tuner.load.answers import FIRST_TOKENS, MOST_PASSES
from tuner.spec.accuracy import Accuracy
from tuner.spec.workload import Workload
from tuner.trial.answers import Answers
from tuner.trial.judgement import Judgement, judged
from tuner.trial.ports import Asked, Endpoint, TrialConfig

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

BASELINE = ("--parallel", "8", "--ctx-size", "4096", "--flash-attn", "on")
LIMITS = {"accuracy_loss": Accuracy().tolerance}
WORKLOAD = {"scenario": "D(16,8)", "concurrency": 2}


@pytest.fixture(scope="module")
def tiny_model() -> Path:
    """A third of the usual one."""
    pytest.importorskip("xllamacpp")
    return make_model(ModelSettings(hidden_size=384, layers=4, heads=6, kv_heads=6, feed_forward=1024))


def never() -> bool:
    return False


@pytest.fixture
def ask(
    serve: Callable[..., Endpoint], trial: Callable[..., TrialConfig], engine_backend: object
) -> Callable[..., Answers]:
    """What a deployment with these flags answers; it is gone afterwards."""
    load = HttpLoad(Workload.model_validate(WORKLOAD), accuracy=Accuracy())
    numbers = iter(range(1, 100))

    def asked(*flags: str, passes: int = 1) -> Answers:
        config = trial(*BASELINE, *flags, number=next(numbers))
        endpoint = serve(config)
        try:
            return load.answers(endpoint, Asked(passes), cancel=never)
        finally:
            engine_backend.delete(config.name)  # type: ignore[attr-defined]

    return asked


def compared(reference: Answers, answers: Answers) -> Judgement:
    return judged(reference, answers, own=reference.again, trial=1, values={})


def test_a_cache_of_four_bits_is_told_apart_and_a_change_of_batch_size_is_not(
    ask: Callable[..., Answers],
) -> None:
    reference = ask(passes=MOST_PASSES)
    assert len(reference.prompts) >= 200
    assert all(len(answer) == FIRST_TOKENS for answer in reference.prompts)
    for flags in (("-ctk", "q4_0"), ("-ctv", "q4_0")):
        lossy = compared(reference, ask(*flags))
        assert lossy.beyond(LIMITS), lossy
        assert lossy.difference > 2 * lossy.own
    for flags in (("-b", "32", "-ub", "32"), ("--parallel", "2"), ("-ub", "16"), ()):
        innocent = compared(reference, ask(*flags))
        assert not innocent.beyond(LIMITS), innocent


def test_chats_are_compared_as_completions_are(
    serve: Callable[..., Endpoint], trial: Callable[..., TrialConfig]
) -> None:
    chat = HttpLoad(Workload.model_validate({**WORKLOAD, "chat": True}), accuracy=Accuracy())
    found = chat.answers(serve(trial(*BASELINE, number=50)), Asked(1), cancel=never)
    assert all(len(answer) == FIRST_TOKENS for answer in found.prompts)
