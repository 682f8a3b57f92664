"""Servers that misbehave below the level of completions: each fault has its class, is counted, and ends."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import itertools
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from loopback_server import LoopbackServer

import tuner.load.connection
from tuner.load import HttpLoad
from tuner.load.connection import Connection
from tuner.load.exchange import Exchange
from tuner.load.origin import Origin
from tuner.load.payload import Payload
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
TIMEOUT_SECONDS = 0.15

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"text":"a"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1}}\n\ndata: [DONE]\n\n'
BODY = EVENT + USAGE
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
WHOLE = CHUNKED + CHUNK + b"%x\r\n%s\r\n0\r\n\r\n" % (len(USAGE), USAGE)


def says(*parts: bytes, close: bool = False, stall: bool = False) -> Answer:
    """Send the parts one by one, then keep the connection, close it, or say nothing more."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if stall:
            await asyncio.sleep(3600)
        if close:
            writer.close()

    return answer


def for_ever(head: bytes, part: bytes) -> Answer:
    """Send the head, then the part again and again."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.001)

    return answer


def resets(*parts: bytes) -> Answer:
    """Send the parts, then reset the connection (RST) rather than end it."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))
        await writer.drain()
        await asyncio.sleep(0.005)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    return answer


class RawServer(LoopbackServer):
    """Reads each request whole and lets `answers` (taken in turn) write bytes."""

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.turn = itertools.cycle(range(len(answers)))
        self.answers = list(answers)
        self.connections = 0
        self.given: Counter[int] = Counter()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                number = next(self.turn)
                self.given[number] += 1
                await self.answers[number](writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def ask(url: str, *, requests: int = 1, **endpoint: Any) -> list[Exchange]:
    """Send requests over one connection, each with TIMEOUT_SECONDS."""
    target = Endpoint(url=url, model="m", **endpoint)

    async def run() -> list[Exchange]:
        origin, payload = Origin.of(target), Payload("m", "completions")
        connection, made = Connection(origin, clock=time.perf_counter), []
        for _ in range(requests):
            made.append(Exchange())
            request = origin.post(payload.path, payload.body("hi", max_tokens=1))
            await connection.send(request, made[-1], timeout_seconds=TIMEOUT_SECONDS)
        connection.close()
        await asyncio.sleep(0)
        return made

    return asyncio.run(run())


SOUND: dict[str, Answer] = {
    "HTTP/1.0 that ends by closing": says(b"HTTP/1.0 200 OK\r\n\r\n" + BODY, close=True),
    "HTTP/1.0 with a length": says(
        b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY), BODY, close=True
    ),
    "HTTP/1.0 that keeps": says(
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    ),
    "closes after each answer": says(WHOLE, close=True),
    "interim answers first": says(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 P\r\n\r\n" + WHOLE),
    "trailers": says(WHOLE[:-2] + b"Server-Timing: a\r\nX: y\r\n\r\n"),
}


@pytest.mark.parametrize("answer", SOUND.values(), ids=list(SOUND))
def test_an_odd_but_sound_answer_is_ok_time_after_time(answer: Answer) -> None:
    with RawServer(answer) as server:
        exchanges = ask(f"http://127.0.0.1:{server.port}", requests=3)
    for x in exchanges:
        assert (x.outcome, x.detail, len(x.output_times), x.completion_tokens) == ("ok", "", 1, 1)


FAULTS: dict[str, tuple[Answer, str]] = {
    "stalls before its head": (says(stall=True), "timeout"),
    "stalls in its head": (says(b"HTTP/1.1 20", stall=True), "timeout"),
    "stalls after its head": (says(CHUNKED, stall=True), "timeout"),
    "stalls in a chunk": (says(CHUNKED + CHUNK[:10], stall=True), "timeout"),
    "stalls in an error's body": (
        says(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nab", stall=True),
        "timeout",
    ),
    "never stops giving tokens": (for_ever(CHUNKED, CHUNK), "timeout"),
    "never stops commenting": (for_ever(CHUNKED, b"8\r\n: ping\n\n\r\n"), "timeout"),
    "never stops promising": (for_ever(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), "timeout"),
    "never stops trailing": (for_ever(CHUNKED + CHUNK + b"0\r\n", b"X: y\r\n"), "timeout"),
    "never ends its head": (for_ever(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 4000 + b"\r\n"), "malformed"),
    "closes in its head": (says(b"HTTP/1.1 20", close=True), "cut"),
    "closes after an interim answer": (says(b"HTTP/1.1 102 P\r\n\r\n", close=True), "cut"),
    "closes in a chunk": (says(CHUNKED + CHUNK[:-6], close=True), "cut"),
    "closes short of its length": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + EVENT, close=True),
        "cut",
    ),
    "resets before its head": (resets(), "cut"),
    "resets in the stream": (resets(CHUNKED + CHUNK), "cut"),
    "is no HTTP": (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "malformed"),
    "has no status": (says(b"HTTP/1.1 000 X\r\n\r\n"), "malformed"),
    "has a length of thousands of digits": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"),
        "malformed",
    ),
    "has a chunk that is no chunk": (says(CHUNKED + b"zz\r\nab\r\n"), "malformed"),
    "has a negative chunk": (says(CHUNKED + b"-4\r\nab\r\n"), "malformed"),
    "has a chunk longer than it says": (says(CHUNKED + b"2\r\nabcdef\r\n"), "malformed"),
    "has an event that is no JSON": (says(CHUNKED + b"b\r\ndata: oops\n\r\n" + b"1\r\n\n\r\n"), "malformed"),
    "redirects with a body": (
        says(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 5\r\n\r\nmoved"),
        "http_307",
    ),
    "redirects without one": (
        says(b"HTTP/1.1 301 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
        "http_301",
    ),
    "has had enough": (
        says(b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nslow"),
        "http_429",
    ),
    "breaks in chunks": (
        says(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"),
        "http_500",
    ),
    "is not ready and closes": (
        says(b"HTTP/1.1 503 X\r\nConnection: close\r\n\r\nloading", close=True),
        "http_503",
    ),
    "has nothing to say": (says(b"HTTP/1.1 204 X\r\n\r\n"), "http_204"),
    "sends a page for people": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n<html>log in</html"),
        "empty",
    ),
}


@pytest.mark.parametrize(("answer", "outcome"), FAULTS.values(), ids=list(FAULTS))
def test_each_fault_has_its_class_and_an_end_in_time(answer: Answer, outcome: str) -> None:
    with RawServer(answer) as server:
        began = time.monotonic()
        (exchange,) = ask(f"http://127.0.0.1:{server.port}")
        assert time.monotonic() - began < TIMEOUT_SECONDS + 2
    assert exchange.outcome == outcome, exchange.detail
    assert exchange.ended is not None
    assert "\n" not in exchange.detail and len(exchange.detail) <= 300


def test_a_redirect_is_never_followed() -> None:
    with RawServer(says(WHOLE)) as elsewhere:
        target = b"http://127.0.0.1:%d/" % elsewhere.port
        moved = says(b"HTTP/1.1 308 X\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n")
        with RawServer(moved) as server:
            (exchange,) = ask(f"http://127.0.0.1:{server.port}", token="secret")
        assert exchange.outcome == "http_308"
        assert elsewhere.connections == 0


def test_every_fault_of_a_round_is_counted_under_its_class_and_the_round_ends() -> None:
    with RawServer(says(WHOLE)) as server:
        workload = Workload.model_validate(
            {
                "scenario": "D(2,1)",
                "concurrency": 32,
                "round_seconds": 0.8,
                "request_timeout_seconds": TIMEOUT_SECONDS,
            }
        )
        load = HttpLoad(workload)
        load.open(Endpoint(url=f"http://127.0.0.1:{server.port}", model="m"), salt="s")
        server.answers += [answer for answer, _ in FAULTS.values()]
        server.turn = itertools.cycle(range(len(server.answers)))
        server.given.clear()
        try:
            began = time.monotonic()
            (point,) = load.run_round(1, cancel=lambda: False).points
            assert time.monotonic() - began < 10
        finally:
            load.close()
    assert set(point.errors) == {outcome for _, outcome in FAULTS.values()}
    assert point.requests > 0
    assert point.errors["malformed"] > 1 and point.errors["cut"] > 1  # several servers' worth of each
    # Nothing is lost: what ended in the window is at most what was asked, faults many times the good.
    assert sum(point.errors.values()) + point.requests <= sum(server.given.values())
    assert any("http_429" in reason for reason in point.trust.reasons)


def test_requests_sent_in_the_window_are_followed_to_their_end(scripted: ModuleType) -> None:
    # A request takes 0.12 s to its first token: those of the last 0.12 s get theirs after the window.
    script = scripted.Script(first_seconds=0.12, gap_seconds=0.02)
    workload = Workload.model_validate(
        {"scenario": "D(4,5)", "request_rate": 40, "arrivals": "constant", "round_seconds": 0.3}
    )
    with scripted.ScriptedServer(lambda n, r: script) as server:
        load = HttpLoad(workload)
        load.open(Endpoint(url=server.url, model="m"), salt="s")
        (point,) = load.run_round(1, cancel=lambda: False).points
        load.close()
    ttft, e2e = point.histograms["ttft_ms"], point.histograms["e2e_ms"]
    assert point.errors == {} and point.cut > 0
    assert 11 <= ttft.count <= 13 and e2e.count == ttft.count
    assert ttft.minimum >= 119 and e2e.minimum >= 195


@contextmanager
def certified(path: Path, name: str, *, days: int) -> Iterator[tuple[ssl.SSLContext, str]]:
    """A server's context with a certificate for `name` that ends in `days`, and its PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "truth")])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    yield context, pem.decode()


@pytest.mark.parametrize(
    ("name", "days", "trusted", "words"),
    [
        ("127.0.0.1", -1, True, "expired"),
        ("elsewhere.example", 1, True, "not valid for"),
        ("127.0.0.1", 1, False, "self"),
    ],
    ids=["expired", "of another host", "of nobody known"],
)
def test_a_bad_certificate_is_refused_in_words_and_no_request_is_sent(
    tmp_path: Path, name: str, days: int, trusted: bool, words: str
) -> None:
    with (
        certified(tmp_path / "c.pem", name, days=days) as (tls, pem),
        RawServer(says(WHOLE), tls=tls) as server,
    ):
        (exchange,) = ask(f"https://127.0.0.1:{server.port}", ca_pem=pem if trusted else None, token="secret")
        assert not server.given
    assert exchange.outcome == "refused" and exchange.sent is None
    assert "certificate" in exchange.detail.lower() and words in exchange.detail


def test_tls_to_a_plain_port_and_plain_to_a_tls_port_fail_and_do_not_hang(tmp_path: Path) -> None:
    with RawServer(says(WHOLE)) as server:
        server.answers = [says(b"HTTP/1.1 400 X\r\n\r\n", close=True)]
        tuner_address = f"https://127.0.0.1:{server.port}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tuner.load.connection, "CONNECT_TIMEOUT_SECONDS", 0.2)
            (exchange,) = ask(tuner_address)
    assert exchange.outcome == "refused"
    with (
        certified(tmp_path / "c.pem", "127.0.0.1", days=1) as (tls, _),
        RawServer(says(WHOLE), tls=tls) as server,
    ):
        (exchange,) = ask(f"http://127.0.0.1:{server.port}")
    assert exchange.outcome in ("cut", "malformed", "timeout")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_takes_the_connection_and_says_nothing_does_not_hang(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuner.load.connection, "CONNECT_TIMEOUT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)  # the kernel accepts, nobody answers: no byte of TLS comes either
        (exchange,) = ask(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
    assert exchange.outcome == {"http": "timeout", "https": "refused"}[scheme]
