"""A byte-pair vocabulary in which every token is whole ASCII text, with the merges that lead to it.

A server holds back a token that is half a UTF-8 character until the rest has come, which blurs the time
to the first token; here no token is one. Words are made of syllables, so that the merges are known by
construction instead of being learned from a text.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

END = "<|end|>"  # begins, ends and pads; the only token without text
_CONSONANTS = "bcdfghjklmnprstvwxyz"
_VOWELS = "aeiou"
_SPACE = "\u0120"  # GPT-2's byte alphabet writes a space so,
_NEWLINE = "\u010a"  # and a line break so


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens in GPT-2's byte alphabet (the first is END), and merges, the earliest applied first."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]


def make_vocabulary(size: int, seed: int) -> Vocabulary:
    """A vocabulary of exactly `size` tokens, the same for the same arguments.

    It holds every printable ASCII character, the space and the line break, so ASCII text is never lost
    (anything else is dropped); every syllable with and without a leading space; then words of two syllables.

    Raises:
        ValueError: `size` is outside what syllables allow.
    """
    characters = [chr(code) for code in range(0x21, 0x7F)] + [_SPACE, _NEWLINE]
    syllables = [c + v for c in _CONSONANTS for v in _VOWELS]
    started = [_SPACE + s for s in syllables]
    base = 1 + len(characters) + len(syllables) + len(started)
    pairs = [(first, second) for first in started for second in syllables]
    if not base <= size <= base + len(pairs):
        raise ValueError(f"a vocabulary of {size} tokens cannot be made; from {base} to {base + len(pairs)}")
    words = random.Random(seed).sample(pairs, size - base)
    merges = [f"{s[0]} {s[1]}" for s in syllables]
    merges += [f"{_SPACE} {s}" for s in syllables]
    merges += [f"{first} {second}" for first, second in words]
    tokens = [END, *characters, *syllables, *started, *(first + second for first, second in words)]
    return Vocabulary(tuple(tokens), tuple(merges))
