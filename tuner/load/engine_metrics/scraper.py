"""Asks the engine for its metrics while it is loaded, about once a second, and never holds the load up."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from tuner.load.connection import Clock, Connection
from tuner.load.engine_metrics.names import Engine
from tuner.load.engine_metrics.page import engine_of, quantities
from tuner.load.engine_metrics.summary import Scrape
from tuner.load.exchange import OK, Exchange
from tuner.load.origin import Origin
from tuner.trial.ports import Endpoint, LoadError

EVERY_SECONDS = 1.0
FEWEST_IN_WINDOW = 5  # a short window is scraped more often
SHORTEST_SECONDS = 0.1
_SLOW_IN_PERIODS = 0.8  # an answer that takes longer is not waited for


class EngineScraper:
    """Scrapes of one endpoint, over a connection of its own on the load's event loop.

    Args:
        endpoint: its `metrics_url`, with the token and the CA of its requests.

    Attributes:
        missed: scrapes of the last `start` that failed or were too slow.
    """

    def __init__(self, endpoint: Endpoint, *, clock: Clock) -> None:
        self.missed = 0
        self._clock = clock
        self._origin, self._path = _where(endpoint)
        self._connection = Connection(self._origin, clock=clock) if self._origin else None
        self._engine: Engine | None = None
        self._scrapes: list[Scrape] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def scrapes(self) -> Sequence[Scrape]:
        """What was read since `start`, in order."""
        return self._scrapes

    def start(self, *, window_seconds: float) -> None:
        """Scrape from now until `stop`, often enough for a window of that length."""
        self._scrapes, self.missed = [], 0
        if self._connection is not None and self._task is None:
            period = max(SHORTEST_SECONDS, min(EVERY_SECONDS, window_seconds / FEWEST_IN_WINDOW))
            self._task = asyncio.get_running_loop().create_task(self._repeat(period))

    async def stop(self) -> None:
        """Scrape no more. Never raises."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()

    async def _repeat(self, period: float) -> None:
        due = self._clock()
        while True:
            await self._scrape(timeout_seconds=_SLOW_IN_PERIODS * period)
            now = self._clock()
            due += period
            if due <= now:  # late: leave out what cannot be made up
                due = now + period
            await asyncio.sleep(due - now)

    async def _scrape(self, *, timeout_seconds: float) -> None:
        assert self._connection is not None and self._origin is not None
        exchange = Exchange()
        request = self._origin.get(self._path)
        try:
            async with asyncio.timeout(timeout_seconds):  # opening a connection takes time too
                page = await self._connection.send(
                    request, exchange, timeout_seconds=timeout_seconds, streamed=False
                )
        except TimeoutError:
            page = b""
        if exchange.outcome != OK or exchange.ended is None:
            self.missed += 1
            return
        self._engine = self._engine or engine_of(page)
        if self._engine is None:
            self.missed += 1  # a page that nobody can read
            return
        self._scrapes.append(Scrape(exchange.ended, quantities(page, self._engine)))


def _where(endpoint: Endpoint) -> tuple[Origin | None, str]:
    """The metrics' server and path; None where there is none, or it cannot be asked."""
    if not endpoint.metrics_url:
        return None, ""
    try:
        parts = urlsplit(endpoint.metrics_url)
        origin = Origin.of(replace(endpoint, url=f"{parts.scheme}://{parts.netloc}"))
    except (LoadError, ValueError, ssl.SSLError):
        return None, ""
    query = f"?{parts.query}" if parts.query else ""
    return origin, (parts.path or "/metrics") + query
