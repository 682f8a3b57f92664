"""The webhook, served from the test's own process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuner.webhook.server import AdmissionServer
from tuner.webhook.tls import ReloadingTls


@contextmanager
def served(folder: Path, **settings) -> Iterator[tuple[AdmissionServer, threading.Event]]:
    """Serve with tls.crt and tls.key of `folder` at 127.0.0.1 and a free port; the server, and how to end it.

    Setting the event lets it drain and end; leaving the block waits for that.
    """
    settings = {"drain_seconds": 0.0, "reload_seconds": 0.02, **settings}
    server = AdmissionServer(
        tls=ReloadingTls(folder / "tls.crt", folder / "tls.key"), host="127.0.0.1", port=0, **settings
    )
    up, end, failed = threading.Event(), threading.Event(), []

    async def run() -> None:
        stop = asyncio.Event()

        async def watch() -> None:
            await asyncio.to_thread(end.wait)
            stop.set()

        watching = asyncio.create_task(watch())
        await server.run(stop, serving=up.set)
        await watching

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failed.append(error)
            up.set()

    thread = threading.Thread(target=work, name="webhook", daemon=True)
    thread.start()
    try:
        assert up.wait(10) and not failed, failed
        yield server, end
    finally:
        end.set()
        thread.join(10)
    assert not thread.is_alive() and not failed, failed
