"""Rows of a dataset file: JSONL of prompts or messages, or ShareGPT's JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tuner.spec.faults import Fault, show

Message = tuple[str, str]  # role, content

CHARACTERS_PER_TOKEN = 4  # of English text; only where nobody counts
_SHAREGPT_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "assistant": "assistant",
    "system": "system",
}
_ROW = 'a JSON object such as {"prompt": "..."} or {"messages": [{"role": "user", "content": "..."}]}'


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked at once, and what the file has as the answer.

    Attributes:
        asked: the new messages, the last one the user's.
        answer: the file's; None where it has none.
        output_tokens: what the row asks for; None where it does not say.
    """

    asked: tuple[Message, ...]
    answer: str | None = None
    output_tokens: int | None = None

    @property
    def answer_tokens(self) -> int | None:
        """The answer's length, estimated at 4 characters a token; None without an answer."""
        return None if self.answer is None else max(1, len(self.answer) // CHARACTERS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One row of a dataset.

    Attributes:
        turns: at least one.
        alone: which of them a single request sends, what came before it as the file has it: the last of
            `messages`, the first of a ShareGPT conversation (the convention of vLLM's benchmark).
        line: of the file, 1-based; of a JSON array, the entry's number.
    """

    turns: tuple[Turn, ...]
    alone: int
    line: int

    def messages(self, turn: int) -> tuple[Message, ...]:
        """All that a request for `turn` carries, earlier answers as the file has them."""
        carried: list[Message] = []
        for earlier in self.turns[:turn]:
            carried += [*earlier.asked, ("assistant", earlier.answer or "")]
        return (*carried, *self.turns[turn].asked)


def parse_dataset(text: str, kind: str) -> tuple[DatasetRow, ...]:
    """Read a dataset.

    Args:
        kind: jsonl, sharegpt, or auto: a file that starts with `[` is ShareGPT's.

    Raises:
        Fault: a line cannot be read, or no row is of use; says which line and what would be right.
    """
    if kind == "sharegpt" or (kind == "auto" and text.lstrip()[:1] == "["):
        rows = tuple(_sharegpt(text))
        wanted = "conversations whose first message is a human's"
    else:
        rows = tuple(_jsonl(text))
        wanted = f"a line for each request, {_ROW}"
    if not rows:
        raise Fault(got="a file without a usable row", right=wanted, at=("path",))
    return rows


def _jsonl(text: str) -> Iterator[DatasetRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _fault(number, f"no JSON ({line.strip()[:40]!r})", _ROW) from error
        if isinstance(row, str):
            row = {"prompt": row}
        if not isinstance(row, dict):
            raise _fault(number, show(row), _ROW)
        if "conversations" in row and "messages" not in row:
            found = _conversation(row["conversations"], number)
            if found is not None:
                yield found
            continue
        yield _row(row, number)


def _row(row: dict[str, Any], number: int) -> DatasetRow:
    asked = row.get("output_tokens", row.get("max_tokens"))
    if asked is not None and (not isinstance(asked, int) or isinstance(asked, bool) or asked < 1):
        raise _fault(number, f"output_tokens {show(asked)}", "a whole number from 1 on")
    if isinstance(row.get("prompt"), str) and row["prompt"]:
        return DatasetRow((Turn((("user", row["prompt"]),), output_tokens=asked),), 0, number)
    messages = row.get("messages")
    if not isinstance(messages, list):
        raise _fault(number, f"the keys {', '.join(map(str, row)) or 'of nothing'}"[:80], _ROW)
    turns = _turns([_message(m, number) for m in messages])
    if not turns:
        raise _fault(number, "messages without one of the user", _ROW)
    last = Turn(turns[-1].asked, turns[-1].answer, asked)
    return DatasetRow((*turns[:-1], last), len(turns) - 1, number)


def _message(message: Any, number: int) -> Message:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise _fault(number, f"the message {show(message)}", '{"role": "user", "content": "..."}')
    content = message.get("content")
    if isinstance(content, list):  # parts: their text
        content = "".join(p.get("text", "") for p in content if isinstance(p, dict))
    if not isinstance(content, str):
        raise _fault(number, f"the content {show(content)}", "text")
    return message["role"], content


def _sharegpt(text: str) -> Iterator[DatasetRow]:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise _fault(error.lineno, f"no JSON: {error.msg}", "ShareGPT's JSON, one array") from error
    if not isinstance(entries, list):
        raise _fault(1, show(entries), "ShareGPT's JSON, one array")
    for number, entry in enumerate(entries, start=1):
        said = entry.get("conversations") if isinstance(entry, dict) else None
        found = _conversation(said, number)
        if found is not None:
            yield found


def _conversation(said: Any, number: int) -> DatasetRow | None:
    """The row; None for what real files have among it: conversations that a human does not start."""
    messages: list[Message] = []
    for message in said if isinstance(said, list) else ():
        role = _SHAREGPT_ROLES.get(str(message.get("from"))) if isinstance(message, dict) else None
        if role is None or not isinstance(message.get("value"), str):
            break
        messages.append((role, message["value"]))
    turns = _turns(messages)
    whole = turns and turns[0].asked[-1][1].strip() and turns[0].asked[0][0] != "assistant"
    return DatasetRow(tuple(turns), 0, number) if whole else None


def _turns(messages: list[Message]) -> list[Turn]:
    """Cut at the answers; what follows the last message of the user but its answer is left out."""
    turns: list[Turn] = []
    asked: list[Message] = []
    for role, content in messages:
        if role == "assistant" and asked and asked[-1][0] == "user":
            turns.append(Turn(tuple(asked), content))
            asked = []
        else:
            asked.append((role, content))
    if asked and asked[-1][0] in ("user", "tool"):
        turns.append(Turn(tuple(asked)))
    return turns


def _fault(line: int, got: str, right: str) -> Fault:
    return Fault(got=f"in line {line} of the file {got}", right=right, at=("path",))
