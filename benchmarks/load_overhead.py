"""What the load generator itself costs and adds: CPU per token, TTFT error, a round beyond its window.

Run as `python benchmarks/load_overhead.py [--concurrency 16 64 256] [--seconds 4]`. A server of its own
process, pinned to another core where there is one, answers with a known truth: first token after 50 ms,
then 99 more 10 ms apart. The last columns are ratios; 1.00 is ideal, and CPU is held against 20 us a token.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
from multiprocessing.connection import Connection

import uvloop

from tuner.load import HttpLoad
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint

FIRST_SECONDS = 0.050
GAP_SECONDS = 0.010
TOKENS = 100
ALLOWED_US_PER_TOKEN = 20.0
# As long as llama.cpp's events are.
_FILL = '"created":1700000000,"model":"truth","system_fingerprint":"b0-unknown","object":"text_completion"'
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"Keep-Alive: timeout=5, max=100\r\n\r\n"
)
_TITLE = (
    "                                TTFT ms         ITL     lag foreign    beyond |  ratios to ideal\n"
    "streams    tok/s  us/tok     mean     p99     p99 p99 ms   cores  window s |   tok   CPU  TTFT   p99"
)


def _chunk(event: str) -> bytes:
    text = f"data: {event}\n\n".encode()
    return f"{len(text):x}\r\n".encode() + text + b"\r\n"


_TOKEN = _chunk('{"choices":[{"text":" word","index":0,"logprobs":null,"finish_reason":null}],' + _FILL + "}")


class TruthServer(asyncio.Protocol):
    """Answers each request at the stated times, with as many tokens as it asks for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._read = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        self._read += data
        _, found, body = self._read.partition(b"\r\n\r\n")
        if not found or not body.endswith(b"}"):
            return
        self._read = b""
        self._left = int(body.partition(b'"max_tokens": ')[2].partition(b",")[0])
        self._usage = {"prompt_tokens": body.count(b" ") - 12, "completion_tokens": self._left}
        self._due = self._loop.time() + FIRST_SECONDS
        self._pending = _HEAD
        self._timer = self._loop.call_at(self._due, self._token)

    def _token(self) -> None:
        self._left -= 1
        last = self._left == 0
        end = b""
        if last:
            usage = str(self._usage).replace("'", '"')
            finish = '{"choices":[{"text":"","finish_reason":"length"}],"usage":' + usage + "}"
            end = _chunk(finish) + _chunk("[DONE]") + b"0\r\n\r\n"
        self._transport.write(self._pending + _TOKEN + end)  # type: ignore[attr-defined]
        self._pending = b""
        if not last:
            self._due += GAP_SECONDS
            self._timer = self._loop.call_at(self._due, self._token)


def _serve(port: Connection, cores: set[int]) -> None:
    if cores:
        os.sched_setaffinity(0, cores)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(TruthServer, "127.0.0.1", 0, backlog=4096)
        port.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(serve())


def _measure(url: str, concurrency: int, seconds: float, cores: tuple[int, ...], pid: int) -> str:
    given = {"scenario": f"D(48,{TOKENS})", "concurrency": concurrency, "round_seconds": seconds}
    load = HttpLoad(Workload.model_validate(given))
    load.open(Endpoint(url=url, model="truth", load_cpus=cores, serving=f"pid {pid}"), salt="bench")
    found = load.run_round(1, cancel=lambda: False)
    load.close()
    (point,) = found.points
    ttft = point.histograms["ttft_ms"]
    ideal = concurrency / (FIRST_SECONDS + (TOKENS - 1) * GAP_SECONDS)
    rate = point.output_tokens / point.window_seconds
    us_per_token = 1e6 * point.trust.client_cpu_share / rate
    cost = found.seconds - point.window_seconds
    trust = point.trust
    return (
        f"{concurrency:6d} {rate:8.0f} {us_per_token:7.1f} {ttft.mean():8.1f} {ttft.quantile(0.99):7.1f} "
        f"{point.histograms['itl_ms'].quantile(0.99):7.1f} {trust.client_lag_p99_ms:6.1f} "
        f"{trust.foreign_cpu_cores:7.2f} {cost:9.2f} | "
        f"{rate / (ideal * TOKENS):5.3f} {us_per_token / ALLOWED_US_PER_TOKEN:5.2f} "
        f"{ttft.mean() / (1e3 * FIRST_SECONDS):5.3f} "
        f"{ttft.quantile(0.99) / (1e3 * FIRST_SECONDS):5.3f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    available = sorted(os.sched_getaffinity(0))
    server_cores, client_cores = (set(available[:1]), available[1:2]) if len(available) > 1 else (set(), [])
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(theirs, server_cores), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{mine.recv()}"
        print(_TITLE)
        for concurrency in options.concurrency:
            assert server.pid is not None
            print(_measure(url, concurrency, options.seconds, tuple(client_cores), server.pid), flush=True)
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
