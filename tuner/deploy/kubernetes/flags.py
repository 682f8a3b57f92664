"""A trial's flags laid over the arguments that a runtime has: one flag's values replace the same flag's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"-(\d|\.\d|inf$)")
_END = "--"


@dataclass(frozen=True, slots=True)
class _Group:
    """A flag with the words up to the next one; words before the first flag have no key."""

    key: str  # `--max_num_seqs`, `--max-num-seqs` and `--max-num-seqs=8` have the same
    words: tuple[str, ...]

    @property
    def is_switch(self) -> bool:
        return len(self.words) == 1 and "=" not in self.words[0]


def merged(own: Sequence[str], over: Sequence[str]) -> tuple[str, ...]:
    """`own` with the flags of `over`: in place of the first of the same flag, else at the end.

    A flag that `over` repeats stays repeated, and `--x` takes `--no-x` away. Of the words behind a replaced
    flag those stay that look like an argument of their own: all of them behind a switch, else paths.
    """
    ended = list(own).index(_END) if _END in own else len(own)
    wanted: dict[str, list[_Group]] = {}
    for group in _groups(over):
        wanted.setdefault(group.key, []).append(group)
    opposite = {_opposite(key) for key, groups in wanted.items() if groups[0].is_switch}
    found: list[str] = []
    placed: set[str] = set()
    for group in _groups(own[:ended]):
        by = wanted.get(group.key, []) if group.key else []
        if not by and not (group.key in opposite and "=" not in group.words[0]):
            found += group.words
            continue
        if group.key not in placed:
            placed.add(group.key)
            found += [word for one in by for word in one.words]
        found += _kept(group, by[0] if by else None)
    found += [word for key, groups in wanted.items() if key not in placed for g in groups for word in g.words]
    return (*found, *own[ended:])


def _kept(group: _Group, by: _Group | None) -> tuple[str, ...]:
    """Of the words behind a flag that goes, those that are not its values."""
    if by is None or by.is_switch or "=" in group.words[0]:
        return group.words[1:]
    return tuple(word for word in group.words[2:] if "/" in word or "$" in word)


def _groups(words: Sequence[str]) -> Iterator[_Group]:
    """The words, cut before each flag."""
    current: list[str] = []
    for word in words:
        if _is_flag(word) and current:
            yield _Group(_key(current[0]), tuple(current))
            current = []
        current.append(word)
    if current:
        yield _Group(_key(current[0]), tuple(current))


def _is_flag(word: str) -> bool:
    return len(word) > 1 and word.startswith("-") and not _NUMBER.match(word) and not word[1:].isspace()


def _key(word: str) -> str:
    return word.partition("=")[0].replace("_", "-") if _is_flag(word) else ""


def _opposite(key: str) -> str:
    return f"--{key.removeprefix('--no-')}" if key.startswith("--no-") else key.replace("--", "--no-", 1)
