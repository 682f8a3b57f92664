"""Flags put into a shell script behind its engine's command, or the reason why that cannot be done.

The script is not run or rewritten: it is read far enough to find where its last command ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

SHELLS = ("bash", "sh", "dash", "ash", "zsh")
_NO_ENGINE = frozenset(
    {".", "cd", "echo", "eval", "exit", "export", "false", "kill", "read", "return", "set", "sleep", "source"}
    | {"tail", "trap", "true", "wait"}
)
_CLOSERS = ("fi", "done", "esac", "}", ")", ";;")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


class Unfit(ValueError):
    """Why flags cannot be put into a script."""


@dataclass(slots=True)
class _Command:
    start: int
    end: int
    grouped: bool = False  # it ends with a bracket of its own, not with one of a word
    joined_by: set[str] = field(default_factory=set)  # the operators of the list that it ends


def with_words(script: str, words: str) -> str:
    """`script` with `words`, quoted already, at the end of its last command.

    Raises:
        Unfit: they would not reach the engine.
    """
    command = _last_command(script)
    text = script[command.start : command.end]
    first = _program(text)
    if not first:
        raise Unfit("it has no command")
    if first in _CLOSERS or command.grouped:
        raise Unfit(f"it ends with {text.split()[-1]!r}, so its engine is inside something")
    if "|" in command.joined_by:
        raise Unfit("the engine is part of a pipe")
    if "||" in command.joined_by:
        raise Unfit("two commands are alternatives (||)")
    if "&" in command.joined_by:
        raise Unfit("the engine runs in the background")
    if first in _NO_ENGINE or PurePosixPath(first).name in SHELLS:
        raise Unfit(f"its last command is {first!r}, not the engine")
    return f"{script[: command.end]} {words}{script[command.end :]}"


def _program(text: str) -> str:
    words = [
        w for w in text.split() if not _ASSIGNMENT.match(w) and w not in ("exec", "env", "command", "\\")
    ]
    return words[0] if words else ""


def _last_command(script: str) -> _Command:
    return _Scan(script).last()


class _Scan:
    """One pass over a script; keeps the last command that was not empty."""

    def __init__(self, script: str) -> None:
        self._text = script
        self._at = 0
        self._start = 0
        self._end = 0  # behind the last character that belongs to the command
        self._grouped = False
        self._joined: set[str] = set()
        self._found = _Command(0, 0)

    def last(self) -> _Command:
        while self._at < len(self._text):
            self._step()
        self._close(separator="")
        return self._found

    def _step(self) -> None:
        text, at = self._text, self._at
        rest = text[at : at + 3]
        if rest[0] == "\n":
            self._close(separator="\n")
        elif rest[0].isspace():
            self._at += 1
        elif rest[:2] == "\\\n":
            self._at += 2
        elif rest[0] == "#" and (at == 0 or text[at - 1].isspace() or text[at - 1] in ";&|("):
            self._at = (text + "\n").index("\n", at)
        elif rest[:2] == "<<" and rest != "<<<":
            raise Unfit("it has a here-document")
        elif rest[:2] in ("&>", ">&", "<&", ">|"):
            self._word(at + 2)
        elif rest[:2] in ("&&", "||"):
            self._close(separator=rest[:2])
        elif rest[0] in ";|&":
            self._close(separator=rest[0])
        else:
            self._word(self._behind(at))

    def _word(self, end: int) -> None:
        if self._end <= self._start:
            self._start = self._at
        self._grouped = self._text[self._at : end] == ")"
        self._at = self._end = end

    def _close(self, *, separator: str) -> None:
        empty = self._end <= self._start
        if not empty:
            self._found = _Command(self._start, self._end, self._grouped, set(self._joined))
        if separator == "\n" and empty:
            pass  # a list goes on over the line's end
        elif separator in ("|", "||", "&&"):
            self._joined.add(separator)
            self._found.joined_by = self._joined
        else:
            if separator == "&" and not empty:
                self._found.joined_by.add("&")
            self._joined = set()
        self._at += len(separator)
        self._start = self._end = self._at

    def _behind(self, at: int) -> int:
        """The place behind the character, the quoted text or the substitution that begins at `at`."""
        text, two = self._text, self._text[at : at + 2]
        if two[0] == "\\":
            return at + 2
        if two[0] == "'":
            return self._closing(at + 1, "'", nested=False)
        if two[0] in '"`':
            return self._closing(at + 1, two[0], nested=two[0] == '"')
        if two == "$'":
            return self._closing(at + 2, "'", nested=False, escapes=True)
        if two in ("$(", "${", "<(", ">("):
            return self._closing(at + 2, ")" if two[1] == "(" else "}", nested=True, quotes=True)
        return min(at + 1, len(text))

    def _closing(
        self, at: int, closer: str, *, nested: bool, quotes: bool = False, escapes: bool = False
    ) -> int:
        text = self._text
        opener = {")": "(", "}": "{"}.get(closer)
        while at < len(text):
            if text[at] == closer:
                return at + 1
            if text[at] == "\\" and (closer != "'" or escapes):
                at += 2
            elif opener and text[at] == opener:
                at = self._closing(at + 1, closer, nested=nested, quotes=quotes)
            elif (nested and (text[at : at + 2] in ("$(", "${") or text[at] == "`")) or (
                quotes and text[at] in "'\""
            ):
                at = self._behind(at)
            else:
                at += 1
        raise Unfit(f"a {closer} is missing")
