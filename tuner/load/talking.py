"""Connections that can tell the last answer's text.

Answers are read after they have ended, from bytes that are kept beside the measuring: nothing is decoded
while tokens arrive.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tuner.load.connection import Clock, Connection, Reply
from tuner.load.http_response import ResponseReader


class KeepingReply(Reply):
    """A reply that keeps what it reads, after the time has been taken and the scanning done."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.read: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        super().data_received(data)
        self.read.append(data)

    def send(self, *given: Any, **named: Any) -> asyncio.Future[None]:
        """See Reply."""
        self.read = []
        return super().send(*given, **named)


class TalkingConnection(Connection):
    """A connection that can tell the last answer's text."""

    reply_type = KeepingReply

    def answer(self) -> str:
        """The text of the last answer, without its reasoning; "" where it had none."""
        return answer_text(b"".join(self._reply.read)) if isinstance(self._reply, KeepingReply) else ""


def answer_text(response: bytes) -> str:
    """What a streamed chat completion says, from the whole response with its head."""
    body = ResponseReader().feed(response)
    pieces: list[str] = []
    for line in body.split(b"\n"):
        if not line.startswith(b"data:") or b'"content"' not in line:
            continue
        try:
            event = json.loads(line[5:])
            pieces += [c.get("delta", {}).get("content") or "" for c in event.get("choices", ())]
        except (ValueError, AttributeError):  # no event of a completion
            continue
    return "".join(pieces)
