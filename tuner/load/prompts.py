"""Prompts of a wanted length without a tokenizer: words from a fixed list, new ones for every request.

How many tokens a prompt of n words has must not depend on which prompt it is, or lengths would differ
between trials. So prompts of n words are all made of the same words: the first n of one fixed sequence.
What differs is the order: the first 32 words are shuffled by the request's seed, so that two prompts part
within the first few words and no prefix cache helps, and the rest is turned by a random offset, which
costs nothing for long prompts.
"""

from __future__ import annotations

import random
from array import array

# Short and common: one token each in the vocabularies of large models, few in any other.
_LIST = """
the of and to in is for on that by this with you it not or be are from at as your all have new more an was
we will can us if my do no up so out one our see time site has who may way her him his two day get use how
now any only its they over good home year here
"""
WORDS = tuple(_LIST.split())
TRIM = " a"  # the shortest word there is: makes up for what whole words leave
_SHUFFLED_WORDS = 32
_FREE_CHOICE_WORDS = 10  # up to here orders are too few to differ: words are drawn at will


class PromptText:
    """Writes prompts of a number of words.

    The same (words, trims, seed, prefix) gives the same text in every run and on every machine.
    """

    def __init__(self) -> None:
        self._order = random.Random("order of the words")
        self._text = ""  # the fixed sequence, each word with a space before it
        self._ends = array("q", [0])  # where each word ends

    def prompt(self, words: int, *, seed: str, trims: int = 0, prefix: str = "") -> str:
        """A prompt of `words` (>= 1) words and `trims` trimming words, after `prefix`."""
        rng = random.Random(seed)
        if words <= _FREE_CHOICE_WORDS:
            text = " ".join(rng.choice(WORDS) for _ in range(words))
        else:
            self._grow(words)
            split = min(words, _SHUFFLED_WORDS)
            head = self._text[1 : self._ends[split]].split(" ")
            rng.shuffle(head)
            turn = self._ends[rng.randrange(split, words + 1)]
            start, end = self._ends[split], self._ends[words]
            text = " ".join(head) + self._text[turn:end] + self._text[start:turn]
        return (f"{prefix} {text}" if prefix else text) + TRIM * trims

    def trims(self, count: int) -> str:
        """So many trimming words, to stand behind a prompt."""
        return TRIM * count

    def _grow(self, words: int) -> None:
        while len(self._ends) <= words:
            block = list(WORDS)
            self._order.shuffle(block)
            for word in block:
                self._ends.append(self._ends[-1] + len(word) + 1)
            self._text += "".join(f" {word}" for word in block)
