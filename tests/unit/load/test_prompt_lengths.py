"""Prompts: as long as asked for on any tokenizer, never the same twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise, takewhile

import pytest

from tuner.load.calibration import PromptLengths, calibrate
from tuner.load.prompts import PromptText

COUNTERS: dict[str, Callable[[str], int]] = {
    "a word is a token": lambda prompt: len(prompt.split()),
    "a word is a token, after a template": lambda prompt: 23 + len(prompt.split()),
    "a character is a token": len,
    "four characters are a token": lambda prompt: -(-len(prompt) // 4),
    "three tokens to two words": lambda prompt: 1 + len(prompt.split()) * 3 // 2,
    "two characters are a token, words apart": lambda p: sum(1 + len(w) // 2 for w in p.split()),
}


def fit(count: Callable[[str], int], tokens: int) -> tuple[PromptLengths, int]:
    asked = 0

    async def counted(prompt: str) -> int:
        nonlocal asked
        asked += 1
        return count(prompt)

    made = asyncio.run(calibrate(counted, tokens=tokens, source="usage", text=PromptText(), seed="s"))
    return made, asked


@pytest.mark.parametrize("tokens", [48, 128, 512, 4000])
@pytest.mark.parametrize("name", COUNTERS)
def test_calibrated_prompts_are_within_5_percent_or_2_tokens(name: str, tokens: int) -> None:
    made, asked = fit(COUNTERS[name], tokens)
    words, trims = made.words(tokens)
    text = PromptText()
    lengths = [COUNTERS[name](text.prompt(words, seed=str(k), trims=trims)) for k in range(30)]
    assert max(abs(length - tokens) for length in lengths) <= max(2, 0.05 * tokens)
    assert asked <= 6


@pytest.mark.parametrize("name", COUNTERS)
def test_lengths_around_the_calibrated_one_are_close_too(name: str) -> None:
    made, _ = fit(COUNTERS[name], 200)
    text = PromptText()
    for tokens in (100, 150, 300):
        words, trims = made.words(tokens)
        achieved = COUNTERS[name](text.prompt(words, seed="x", trims=trims))
        assert abs(achieved - tokens) <= max(3, 0.05 * tokens)


def test_a_word_a_token_takes_three_requests() -> None:
    assert fit(COUNTERS["a word is a token"], 512)[1] <= 3


def test_a_server_that_counts_nothing_leaves_a_word_for_a_token() -> None:
    async def nothing(prompt: str) -> None:
        return None

    made = asyncio.run(calibrate(nothing, tokens=9, source="usage", text=PromptText(), seed="s"))
    assert (made.source, made.words(9), made.achieved) == ("words", (9, 0), None)


@pytest.mark.parametrize("words", [11, 48, 500])
def test_prompts_of_one_length_have_the_same_words_in_another_order(words: int) -> None:
    text = PromptText()
    prompts = [text.prompt(words, seed=f"salt {k}") for k in range(200)]
    assert len(set(prompts)) == len(prompts)
    assert len({tuple(sorted(p.split())) for p in prompts}) == 1


def test_two_prompts_share_no_more_than_a_few_first_words() -> None:
    text = PromptText()
    prompts = [text.prompt(100, seed=f"salt {k}").split() for k in range(300)]
    shared = [
        len(list(takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=True))))
        for a, b in pairwise(sorted(prompts))
    ]
    assert max(shared) <= 5
    assert sum(shared) / len(shared) < 3


def test_a_prompt_depends_on_nothing_but_its_seed_and_length() -> None:
    one, other = PromptText(), PromptText()
    other.prompt(3000, seed="grown before")
    assert one.prompt(77, seed="a") == other.prompt(77, seed="a")


@pytest.mark.parametrize("words", [1, 3, 6, 7, 31, 32, 33, 64, 200])
def test_a_prompt_has_exactly_its_words_and_trims_after_its_prefix(words: int) -> None:
    prompt = PromptText().prompt(words, seed="z", trims=2, prefix="once upon")
    assert prompt.startswith("once upon ")
    assert len(prompt.split()) == words + 4
    assert "  " not in prompt
