"""That scraping goes on beside the load, skips what fails or is slow, and counts it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tuner.load.engine_metrics import EngineScraper
from tuner.trial.ports import Endpoint

PAGE = b"llamacpp:requests_processing 3\nllamacpp:requests_deferred 1\n"
Answer = Callable[[int, str], Awaitable[bytes]]


@asynccontextmanager
async def engine(answer: Answer) -> AsyncIterator[str]:
    """A server that gives `answer(number, head)` to every request; its metrics' URL."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                asked += 1
                writer.write(await answer(asked, head))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/of/metrics?all=1"
    finally:
        server.close()


def page(body: bytes = PAGE, status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def scraped(answer: Answer, enough: Callable[[EngineScraper], bool]) -> EngineScraper:
    async def run() -> EngineScraper:
        async with engine(answer) as url:
            endpoint = Endpoint(url="http://127.0.0.1:9", model="m", metrics_url=url, token="secret")
            scraper = EngineScraper(endpoint, clock=time.perf_counter)
            scraper.start(window_seconds=0.5)
            await until(lambda: enough(scraper))
            await scraper.stop()
            scraper.close()
            return scraper

    return asyncio.run(run())


def test_it_scrapes_again_and_again_from_the_metrics_own_address() -> None:
    heads: list[str] = []

    async def answer(number: int, head: str) -> bytes:
        heads.append(head)
        return page()

    found = scraped(answer, lambda s: len(s.scrapes) >= 3)
    assert [dict(s.quantities) for s in found.scrapes[:3]] == [
        {"engine_running": 3.0, "engine_waiting": 1.0}
    ] * 3
    assert found.scrapes[0].at < found.scrapes[1].at < found.scrapes[2].at
    assert found.missed == 0
    assert heads[0].startswith("GET /of/metrics?all=1 HTTP/1.1") and "Bearer secret" in heads[0]


def test_a_failed_and_an_unreadable_page_are_skipped_and_counted() -> None:
    async def answer(number: int, head: str) -> bytes:
        return {1: page(b"no", status=503), 2: page(b"up 1\n")}.get(number, page())

    found = scraped(answer, lambda s: len(s.scrapes) >= 1)
    assert found.missed == 2


def test_a_slow_answer_is_not_waited_for() -> None:
    hangs = asyncio.Event()

    async def answer(number: int, head: str) -> bytes:
        if number == 1:
            await hangs.wait()
        return page()

    found = scraped(answer, lambda s: len(s.scrapes) >= 1)
    assert found.missed == 1


def test_an_endpoint_without_metrics_is_never_asked() -> None:
    async def run() -> EngineScraper:
        scraper = EngineScraper(Endpoint(url="http://127.0.0.1:9", model="m"), clock=time.perf_counter)
        scraper.start(window_seconds=1.0)
        await scraper.stop()
        return scraper

    found = asyncio.run(run())
    assert (list(found.scrapes), found.missed) == ([], 0)


def test_a_server_that_is_not_there_is_missed_and_does_not_raise() -> None:
    async def run() -> EngineScraper:
        url = "http://127.0.0.1:9/metrics"
        scraper = EngineScraper(
            Endpoint(url="http://127.0.0.1:9", model="m", metrics_url=url), clock=time.perf_counter
        )
        scraper.start(window_seconds=0.5)
        await until(lambda: scraper.missed >= 2)
        await scraper.stop()
        return scraper

    assert list(asyncio.run(run()).scrapes) == []
