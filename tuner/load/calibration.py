"""How many words make a prompt of so many tokens, learned by asking the server to count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tuner.load.prompts import PromptText

Count = Callable[[str], Awaitable[int | None]]  # tokens of a prompt as the server counts; None: it does not

_PROBE_WORDS = 12  # made of orders, not of free choice: the same words in every prompt of that length
_PROBE_TRIMS = 8
_MOST_CORRECTIONS = 3


@dataclass(frozen=True, slots=True)
class PromptLengths:
    """tokens = overhead + per_word * words + per_trim * trims, fitted near one length.

    Attributes:
        source: "usage" or "tokenize" (who counted), or "words" where nobody did and a word is one token.
        wanted, achieved: tokens of the prompt that was counted last.
    """

    overhead: float = 0.0
    per_word: float = 1.0
    per_trim: float = 1.0
    source: str = "words"
    wanted: int = 0
    achieved: int | None = None

    def words(self, tokens: int) -> tuple[int, int]:
        """(words >= 1, trimming words >= 0) whose prompt comes nearest to `tokens`."""
        exact = (tokens - self.overhead) / self.per_word
        if abs(exact - round(exact)) * self.per_word < 0.5 or self.per_trim <= 0:
            return max(1, round(exact)), 0
        words = max(1, int(exact))
        rest = tokens - self.overhead - self.per_word * words
        return words, max(0, round(rest / self.per_trim))

    def tokens(self, words: int, trims: int = 0) -> float:
        """The expected tokens of such a prompt."""
        return self.overhead + self.per_word * words + self.per_trim * trims


async def calibrate(
    count: Count, *, tokens: int, source: str, text: PromptText, prefix: str = "", seed: str
) -> PromptLengths:
    """Fit the lengths near `tokens` with two or three counted prompts, a few more on an odd tokenizer.

    The prompts depend on `seed` alone, so every deployment of one model gets the same fit.

    Returns:
        The fit; the default one (a word is a token) where `count` gives None.
    """

    async def counted(words: int, trims: int = 0) -> int | None:
        name = f"{seed} {words} {trims}"
        return await count(text.prompt(words, seed=name, trims=trims, prefix=prefix))

    few = min(_PROBE_WORDS, max(1, tokens))
    first = await counted(few)
    if first is None:
        return PromptLengths(wanted=tokens)
    more = few + max(8, round(tokens * few / max(first, 1)) - few)
    second = await counted(more)
    if second is None or second <= first:
        return PromptLengths(wanted=tokens)
    per_word = (second - first) / (more - few)
    fit = PromptLengths(second - per_word * more, per_word, 0.0, source, tokens, second)
    if per_word > 1.5:
        trimmed = await counted(more, _PROBE_TRIMS)
        if trimmed is not None and trimmed > second:
            per_trim = (trimmed - second) / _PROBE_TRIMS
            fit = PromptLengths(fit.overhead, per_word, per_trim, source, tokens, second)
    for _ in range(_MOST_CORRECTIONS):
        words, trims = fit.words(tokens)
        if (words, trims) == (more, 0) and fit.achieved == second:
            break
        achieved = await counted(words, trims)
        if achieved is None:
            break
        error = achieved - fit.tokens(words, trims)
        fit = PromptLengths(fit.overhead + error, per_word, fit.per_trim, source, tokens, achieved)
        if abs(error) < max(0.5, per_word / 2) or fit.words(tokens) == (words, trims):
            break
    return fit
