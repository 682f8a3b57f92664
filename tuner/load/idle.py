"""Waits until the engine has let go of what was dropped, so that the next load starts from rest."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from urllib.parse import urlsplit

from tuner.load.connection import Clock, Connection
from tuner.load.engine_metrics.names import RUNNING, WAITING
from tuner.load.engine_metrics.page import engine_of, quantities
from tuner.load.exchange import OK, REFUSED, Exchange
from tuner.load.origin import Origin

IDLE_WITHIN_SECONDS = 1.0
_LOOK_SECONDS = 0.01


def requests_inside(metrics_page: bytes) -> float | None:
    """Requests that an engine works on or has queued, by its Prometheus page; None where it does not say."""
    engine = engine_of(metrics_page)
    if engine is None:
        return None
    found = quantities(metrics_page, engine, only=(RUNNING, WAITING))
    return math.fsum(found.values()) if found else None


class IdleWatch:
    """Asks one endpoint's metrics, or where they do not say, sends one small request and waits for it."""

    def __init__(
        self,
        *,
        metrics_url: str | None,
        origin: Origin,
        small_request: Callable[[], bytes],
        clock: Clock,
    ) -> None:
        self._connection = Connection(origin, clock=clock)
        self._origin = origin
        self._metrics_path = urlsplit(metrics_url).path or "/metrics" if metrics_url else None
        if metrics_url and urlsplit(metrics_url).netloc != f"{origin.host}:{origin.port}":
            self._metrics_path = None  # another server's; not worth a connection of its own
        self._small_request = small_request
        self._clock = clock
        self.refused = ""  # why there was no connection at the last look; "" where there was one

    async def wait(self, within_seconds: float = IDLE_WITHIN_SECONDS) -> bool:
        """Wait for rest; whether it came."""
        until = self._clock() + within_seconds
        while (left := until - self._clock()) > 0:
            if self._metrics_path is None:
                exchange = Exchange()
                await self._connection.send(self._small_request(), exchange, timeout_seconds=left)
                self._look_at(exchange)
                return exchange.outcome == OK
            inside = await self._inside(left)
            if inside is None:
                self._metrics_path = None
            elif not inside:
                return True
            else:
                await asyncio.sleep(_LOOK_SECONDS)
        return False

    async def _inside(self, timeout_seconds: float) -> float | None:
        assert self._metrics_path is not None
        exchange = Exchange()
        page = await self._connection.send(
            self._origin.get(self._metrics_path), exchange, timeout_seconds=timeout_seconds, streamed=False
        )
        self._look_at(exchange)
        return requests_inside(page) if exchange.outcome == OK else None

    def _look_at(self, exchange: Exchange) -> None:
        self.refused = exchange.detail or exchange.outcome if exchange.outcome == REFUSED else ""

    def close(self) -> None:
        """Drop its connection."""
        self._connection.close()
