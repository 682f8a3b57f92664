"""A server on loopback in a thread of its own: what the tests' stand-ins for an engine have in common."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Self


class LoopbackServer:
    """A context that listens on `port`; each connection is `_connection`'s until it ends or the server does.

    Args:
        loop: in place of asyncio's own.
        tls: to serve HTTPS.
    """

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.port = 0
        self._tls = tls
        self._loop = loop or asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.close()

    async def _main(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError
