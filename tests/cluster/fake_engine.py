"""An engine that is none: it streams the tokens that it was asked for to any number of clients."""

from __future__ import annotations

import asyncio
import contextlib
import json

from loopback_server import LoopbackServer

_FIRST_SECONDS = 0.02
_PAGES = {"/health": "{}", "/props": json.dumps({"build_info": "fake 1"})}


class FakeEngine(LoopbackServer):
    """Serves all trials at once."""

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                path = lines[0].split()[1]
                if path.startswith("/v1/"):
                    await _stream(writer, json.loads(body))
                else:
                    _plain(writer, _PAGES.get(path))
        writer.close()


def _plain(writer: asyncio.StreamWriter, page: str | None) -> None:
    status = "404 Not Found" if page is None else "200 OK"
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(page or '')}\r\n\r\n{page or ''}".encode())


async def _stream(writer: asyncio.StreamWriter, request: dict[str, object]) -> None:
    tokens = int(str(request["max_tokens"]))
    usage = {"prompt_tokens": len(str(request.get("prompt", "")).split()), "completion_tokens": tokens}
    if not request.get("stream"):
        return _plain(writer, json.dumps({"choices": [{"text": " a" * tokens}], "usage": usage}))
    await asyncio.sleep(_FIRST_SECONDS)
    events = [{"choices": [{"text": " a"}]} for _ in range(tokens)]
    events.append({"choices": [{"text": "", "finish_reason": "length"}], "usage": usage})
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(f"{head}{len(text):x}\r\n{text}\r\n0\r\n\r\n".encode())
    return None
