"""The admission server: HTTPS, with readiness, metrics and an end in good order."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from tuner.webhook.metrics import WebhookMetrics
from tuner.webhook.review import Answer, BadReview, answer
from tuner.webhook.tls import ReloadingTls, TlsFilesUnusable

MUTATE_PATH = "/mutate"
_LARGEST_BODY = 8 << 20  # bytes; the API server takes objects of up to 3 MiB
_LAST_ANSWERS_SECONDS = 5.0  # after the drain; together well within the pod's 30 s of grace
_LOG = logging.getLogger("tuner.webhook")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(kw_only=True)
class AdmissionServer:
    """Answers AdmissionReviews at /mutate; /readyz, /livez and /metrics beside it on the same port.

    Attributes:
        tls: certificate and key.
        host: the address to listen on.
        port: 0 takes a free one; `port` says which once it serves.
        drain_seconds: how long it goes on serving, not ready, once it is told to end: until the cluster has
            taken it from the Service.
        reload_seconds: between two looks at the certificate's files.
        now: seconds since 1970.
        answered: makes the answer to one review.
    """

    tls: ReloadingTls
    host: str = "0.0.0.0"
    port: int = 8443
    drain_seconds: float = 5.0
    reload_seconds: float = 10.0
    now: Callable[[], float] = time.time
    answered: Callable[[Any], Answer] = answer
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self._metrics = WebhookMetrics(self.registry)
        self._metrics.certificate(self.tls.expires_at)
        self._ending = False

    async def run(self, stop: asyncio.Event, *, serving: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is set and the drain is over; `serving()` is called once it listens."""
        runner = web.AppRunner(
            self.application(), access_log=None, handle_signals=False, shutdown_timeout=_LAST_ANSWERS_SECONDS
        )
        await runner.setup()
        reloading = asyncio.create_task(self._reload_for_ever())
        try:
            site = web.TCPSite(runner, self.host, self.port, ssl_context=self.tls.context)
            await site.start()
            self.port = runner.addresses[0][1]
            _LOG.info("serving", extra={"fields": {"host": self.host, "port": self.port}})
            serving()
            await stop.wait()
            self._ending = True
            _LOG.info("draining", extra={"fields": {"seconds": self.drain_seconds}})
            await asyncio.sleep(self.drain_seconds)
        finally:
            reloading.cancel()
            with suppress(asyncio.CancelledError):
                await reloading
            await runner.cleanup()  # answers what it is still asked

    def application(self) -> web.Application:
        """The routes."""
        made = web.Application(client_max_size=_LARGEST_BODY, middlewares=[self._closing])
        made.router.add_post(MUTATE_PATH, self._mutate)
        made.router.add_get("/readyz", self._readyz)
        made.router.add_get("/livez", self._livez)
        made.router.add_get("/metrics", self._scrape)
        return made

    @web.middleware
    async def _closing(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """While it ends, every connection ends with its answer: the API server turns to another replica."""
        response = await handler(request)
        if self._ending:
            response.force_close()
        return response

    async def _mutate(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        try:
            made = self.answered(json.loads(await request.read()))
        except (BadReview, ValueError) as error:  # not JSON is a ValueError
            self._metrics.bad_request()
            _LOG.warning("bad request", extra={"fields": {"message": str(error)}})
            return web.json_response({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)
        except web.HTTPException:  # larger than any object that the API server takes
            self._metrics.bad_request()
            raise
        except Exception:  # the API server refuses the pod (failurePolicy Fail); the log says why
            self._metrics.fault()
            _LOG.exception("fault")
            return web.json_response({"error": "see the webhook's log"}, status=500)
        seconds = time.perf_counter() - started
        self._metrics.reviewed(made.outcome, seconds)
        _LOG.info("reviewed", extra={"fields": _written(made, seconds)})
        return web.json_response(made.body)

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._ending:
            return web.Response(status=503, text="ending\n")
        if self.tls.expires_at <= self.now():
            return web.Response(status=503, text="the certificate has expired\n")
        return web.Response(text="ok\n")

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _scrape(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _reload_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.reload_seconds)
            try:
                if self.tls.reload():
                    self._metrics.certificate(self.tls.expires_at)
                    _LOG.info("certificate reloaded", extra={"fields": {"expires_at": self.tls.expires_at}})
            except TlsFilesUnusable as error:
                _LOG.error("certificate not reloaded", extra={"fields": {"message": str(error)}})


def _written(made: Answer, seconds: float) -> dict[str, object]:
    written: dict[str, object] = {
        "pod": made.pod,
        "outcome": made.outcome.value,
        "operations": made.operations,
        "milliseconds": round(seconds * 1000, 2),
    }
    if made.message:
        written["message"] = made.message
    return written


async def serve_until_signalled(server: AdmissionServer) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.run(stop)
