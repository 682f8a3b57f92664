"""An engine that is none: it streams the tokens that it was asked for to any number of clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading

_FIRST_SECONDS = 0.02
_PAGES = {"/health": "{}", "/props": json.dumps({"build_info": "fake 1"})}


class FakeEngine:
    """A context: serves on loopback, from a thread of its own, for all trials at once."""

    def __init__(self) -> None:
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="fake engine", daemon=True)

    def __enter__(self) -> FakeEngine:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
