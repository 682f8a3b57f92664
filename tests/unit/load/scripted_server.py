"""A completion server with a known truth and scripted faults, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvloop
from loopback_server import LoopbackServer


@dataclass(frozen=True)
class Script:
    """How one request is answered. `end`: whole | cut | stall | no_terminator | malformed | error_event."""

    status: int = 200
    error_body: str = ""
    first_seconds: float = 0.0
    gap_seconds: float = 0.0
    tokens: int | None = None  # None: max_tokens
    tokens_per_chunk: int = 1
    framing: str = "chunked"  # chunked | length | close
    line_break: str = "\n"
    comments: bool = False
    burst: int = 1  # events in one write
    split: int = 0  # bytes in one write; 0 for whole events
    usage: str = "finish"  # finish | own | every | none
    end: str = "whole"
    after_tokens: int = 0  # where `end` strikes
    then: str = "keep"  # keep | close (without a word) | announce
    refuse: bool = False  # read the request and close without an answer
    whole_json: bool = False  # no stream: one JSON object
    deaf: bool = False  # works on whether or not anybody reads the answer


@dataclass
class Seen:
    """What the server saw."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    connections: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    abandoned: int = 0  # answers that the client cut off

    @property
    def prompts(self) -> list[str]:
        return [str(r.get("prompt") or r.get("messages")) for r in self.requests]


class ScriptedServer(LoopbackServer):
    """Answers each request as `script(number, request)` says; number counts from 0 over all requests."""

    def __init__(
        self,
        script: Callable[[int, dict[str, Any]], Script] | None = None,
        *,
        count: Callable[[str], int] = lambda prompt: len(prompt.split()),
        slots: int | None = None,
        metrics: bool = False,
        tokenize: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(loop=uvloop.new_event_loop(), tls=tls)
        self.script = script or (lambda number, request: Script())
        self.seen = Seen()
        self._count = count
        self._metrics = metrics
        self._tokenize = tokenize
        self._slot = asyncio.Semaphore(slots) if slots else None

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.connections += 1
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("Content-Length", 0)))
        path = head.split(" ")[1]
        if path == "/metrics":
            page = f'vllm:num_requests_running{{model="m"}} {self.seen.in_flight}\n' if self._metrics else ""
            return self._plain(writer, 200 if self._metrics else 404, page)
        if path == "/tokenize":
            tokens = self._count(json.loads(body)["prompt"])
            page = json.dumps({"count": tokens})
            return self._plain(writer, 200 if self._tokenize else 404, page if self._tokenize else "")
        request = json.loads(body)
        script = self.script(len(self.seen.requests), request)
        self.seen.requests.append(request)
        self.seen.times.append(self._loop.time())
        self.seen.authorizations.append(fields.get("Authorization", ""))
        self.seen.in_flight += 1
        self.seen.most_in_flight = max(self.seen.most_in_flight, self.seen.in_flight)
        answer = asyncio.ensure_future(self._answer(writer, request, script))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            # A client that closes frees the engine, as engines do.
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                self.seen.abandoned += 1
                if script.deaf:
                    await answer
                return False
            return answer.result()
        finally:
            self.seen.in_flight -= 1
            answer.cancel()
            gone.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)

    def _plain(self, writer: asyncio.StreamWriter, status: int, body: str) -> bool:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        return True

    async def _answer(self, writer: asyncio.StreamWriter, request: dict[str, Any], script: Script) -> bool:
        if script.refuse:
            writer.transport.abort()
            return False
        if script.status != 200:
            return self._plain(writer, script.status, script.error_body)
        if script.whole_json:
            return self._plain(writer, 200, json.dumps({"choices": [{"text": "hello"}]}))
        if self._slot is not None:
            async with self._slot:
                return await self._stream(writer, request, script)
        return await self._stream(writer, request, script)

    async def _stream(self, writer: asyncio.StreamWriter, request: dict[str, Any], script: Script) -> bool:
        events = self._events(request, script)
        framing = {
            "chunked": "Transfer-Encoding: chunked\r\n",
            "length": f"Content-Length: {sum(len(e) for e in events)}\r\n",
            "close": "",
        }[script.framing]
        keep = "close" if script.then == "announce" or script.framing == "close" else "keep-alive"
        # The last header looks like the end of a chunked body to whoever leaves the line break out.
        head = f"HTTP/1.1 200 OK\r\n{framing}Connection: {keep}\r\nKeep-Alive: timeout=5, max=100\r\n\r\n"
        loop = asyncio.get_running_loop()
        due = loop.time() + script.first_seconds
        pending = [head.encode()]
        sent_tokens = 0
        for start in range(0, len(events), script.burst):
            burst = events[start : start + script.burst]
            if script.end in ("cut", "stall", "malformed", "error_event") and start >= script.after_tokens:
                return await self._fault(writer, pending, script)
            if start < len(events) - 2 or start == 0:  # finish and [DONE] come with the last token
                while (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                due += script.gap_seconds
            sent_tokens += len(burst)
            pending += [_chunk(e) if script.framing == "chunked" else e for e in burst]
            await _write(writer, b"".join(pending), script.split)
            pending = []
        if script.end == "no_terminator":
            await asyncio.sleep(3600)
        if script.framing == "chunked":
            await _write(writer, b"0\r\n\r\n", script.split)
        if script.then == "close" or keep == "close":
            writer.close()
            return False
        return True

    async def _fault(self, writer: asyncio.StreamWriter, pending: list[bytes], script: Script) -> bool:
        writer.write(b"".join(pending))
        if script.end == "stall":
            await asyncio.sleep(3600)
        if script.end == "cut":
            await asyncio.sleep(0.005)
            writer.transport.abort()
            return False
        if script.end == "malformed":
            writer.write(b"zz\r\nthis is no chunk\r\n")
            return False
        error = b'data: {"error":{"code":500,"message":"out of slots"}}\n\n'
        writer.write(_chunk(error) + b"0\r\n\r\n")
        return True

    def _events(self, request: dict[str, Any], script: Script) -> list[bytes]:
        prompt = request.get("prompt") or request["messages"][0]["content"]
        tokens = request["max_tokens"] if script.tokens is None else script.tokens
        usage = {"prompt_tokens": self._count(prompt), "completion_tokens": tokens}
        wants_usage = bool(request.get("stream_options")) and script.usage != "none"
        chat = "messages" in request
        made: list[dict[str, Any]] = []
        left = tokens
        while left > 0:
            # As engines do: the first token alone, then so many to a chunk.
            size = 1 if not made else min(script.tokens_per_chunk, left)
            left -= size
            text = " tok" * size
            event: dict[str, Any] = {"choices": [{"delta": {"content": text}} if chat else {"text": text}]}
            if wants_usage and script.usage == "every":
                event["usage"] = {**usage, "completion_tokens": tokens - left}
            made.append(event)
        finish: dict[str, Any] = {
            "choices": [{"delta": {}} if chat else {"text": "", "finish_reason": "length"}]
        }
        if wants_usage and script.usage == "finish":
            finish["usage"] = usage
        made.append(finish)
        if wants_usage and script.usage == "own":
            made.append({"choices": [], "usage": usage})
        br = script.line_break
        lines = [f"data: {json.dumps(e, separators=(',', ':'))}{br}{br}" for e in made]
        if script.comments:
            lines = [f": ping{br}{br}{line}" for line in lines]
        return [line.encode() for line in [*lines, f"data: [DONE]{br}{br}"]]


def _chunk(event: bytes) -> bytes:
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


async def _write(writer: asyncio.StreamWriter, payload: bytes, split: int) -> None:
    if not split:
        writer.write(payload)
        return
    for start in range(0, len(payload), split):
        writer.write(payload[start : start + split])
        await asyncio.sleep(0)
