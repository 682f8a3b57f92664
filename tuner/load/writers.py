"""What writes the prompts of one kind of request, and draws the next of it: generated text, or a file's."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from tuner.load.calibration import PromptLengths
from tuner.load.payload import Prompt
from tuner.load.prompts import PromptText
from tuner.load.schedule import Ask, Draw, scenario_draw
from tuner.spec.content import Content
from tuner.spec.dataset_rows import Message
from tuner.spec.scenario import Scenario

Talk = Callable[[random.Random], list[Ask]]  # draws the turns of one conversation, at least one


class Writer(Protocol):
    """One kind of request. Nothing that is drawn depends on the salt, all that is generated does."""

    def draws(self, seed: str, *, stream: int, streams: int, backwards: bool = False) -> Draw:
        """What draws the lone requests of one of so many streams.

        Args:
            seed: the same for all streams.
            backwards: the other way through a file: a ramp's, so that its rows are not the window's.
        """
        ...

    def talks(self, seed: str, *, stream: int, streams: int, backwards: bool = False) -> Talk:
        """What draws the conversations of one of so many streams; of one turn where there are none.

        Args:
            seed, backwards: as in `draws`.
        """
        ...

    def prompt(self, ask: Ask, *, seed: str) -> Prompt:
        """What a lone request says."""
        ...

    def turn(self, ask: Ask, *, seed: str) -> tuple[Message, ...]:
        """What a turn of a conversation adds; `seed` is the turn's own."""
        ...

    def answer(self, ask: Ask, *, seed: str) -> str:
        """What stands in for an answer that was never asked for, of a conversation met on its way."""
        ...


class GeneratedWriter:
    """Prompts of a scenario's lengths, made of words.

    Args:
        fit: how many words make so many tokens, `prefix` counted in.
    """

    def __init__(
        self, content: Content, part: int, *, text: PromptText, fit: PromptLengths, prefix: str
    ) -> None:
        self._content = content
        self._part = part
        self._text = text
        self._fit = fit
        self._more = PromptLengths(0.0, fit.per_word, fit.per_trim, fit.source)
        self._prefix = prefix

    def draws(self, seed: str, *, stream: int, streams: int, backwards: bool = False) -> Draw:
        """See Writer."""
        return scenario_draw(self._content.lengths, self._part)

    def talks(self, seed: str, *, stream: int, streams: int, backwards: bool = False) -> Talk:
        """See Writer."""
        scenario = self._content.lengths
        talked = self._content.conversations
        fewest, most = (talked.span if talked is not None else None) or (1, 1)
        return lambda rng: self._turns(scenario, rng.randint(fewest, most), rng)

    def _turns(self, scenario: Scenario, count: int, rng: random.Random) -> list[Ask]:
        asks: list[Ask] = []
        carried = 0
        for turn in range(count):
            new, output = scenario.sample(rng)
            asks.append(Ask(carried + new, output, self._part, -1, turn, new))
            carried += new + output
        return asks

    def prompt(self, ask: Ask, *, seed: str) -> Prompt:
        """See Writer."""
        words, trims = self._fit.words(ask.input_tokens)
        return self._text.prompt(words, seed=seed, trims=trims, prefix=self._prefix)

    def turn(self, ask: Ask, *, seed: str) -> tuple[Message, ...]:
        """See Writer. The first turn has the prefix."""
        if ask.turn == 0:
            words, trims = self._fit.words(ask.new_tokens)
            return (("user", self._text.prompt(words, seed=seed, trims=trims, prefix=self._prefix)),)
        return (("user", self._generated(ask.new_tokens, seed)),)

    def answer(self, ask: Ask, *, seed: str) -> str:
        """See Writer."""
        return self._generated(ask.output_tokens, f"{seed} answer")

    def _generated(self, tokens: int, seed: str) -> str:
        words, trims = self._more.words(tokens)
        return self._text.prompt(words, seed=seed, trims=trims)
