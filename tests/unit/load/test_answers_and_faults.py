"""Every way in which a request can go, over a real socket: told apart, and never a hang."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tuner.load.connection import Connection
from tuner.load.exchange import Exchange
from tuner.load.origin import Origin
from tuner.load.payload import Payload
from tuner.trial.ports import Endpoint, LoadError


def ask(
    url: str, *, requests: int = 1, timeout_seconds: float = 5.0, api: Any = "completions", **endpoint: Any
) -> list[Exchange]:
    """Send `requests` requests of 5 tokens over one connection."""
    target = Endpoint(url=url, model="m", **endpoint)

    async def run() -> list[Exchange]:
        origin, payload = Origin.of(target), Payload("m", api)
        connection = Connection(origin, clock=time.perf_counter)
        exchanges = []
        for number in range(requests):
            exchange = Exchange()
            request = origin.post(payload.path, payload.body(f"prompt {number}", max_tokens=5))
            await connection.send(request, exchange, timeout_seconds=timeout_seconds)
            exchanges.append(exchange)
        connection.close()
        await asyncio.sleep(0)
        return exchanges

    return asyncio.run(run())


WHOLE = [
    {},
    {"line_break": "\r\n", "comments": True},
    {"framing": "length"},
    {"framing": "close"},
    {"burst": 3},
    {"split": 7},
    {"split": 1, "line_break": "\r\n"},
    {"usage": "own"},
    {"usage": "every"},
    {"then": "close"},
    {"then": "announce"},
]


@pytest.mark.parametrize("given", WHOLE, ids=str)
def test_an_answer_is_read_whole_however_the_server_sends_it(
    scripted: ModuleType, given: dict[str, Any]
) -> None:
    with scripted.ScriptedServer(lambda number, request: scripted.Script(**given)) as server:
        for exchange in ask(server.url, requests=3):
            assert (exchange.outcome, exchange.detail) == ("ok", "")
            assert len(exchange.output_times) == 5
            assert (exchange.prompt_tokens, exchange.completion_tokens) == (2, 5)


def test_chat_answers_are_read_too(scripted: ModuleType) -> None:
    with scripted.ScriptedServer(lambda n, r: scripted.Script(usage="own")) as server:
        (exchange,) = ask(server.url, api="chat")
    assert (exchange.outcome, len(exchange.output_times), exchange.completion_tokens) == ("ok", 5, 5)


def test_without_usage_the_counts_stay_unknown(scripted: ModuleType) -> None:
    with scripted.ScriptedServer(lambda n, r: scripted.Script(usage="none")) as server:
        (exchange,) = ask(server.url)
    assert (exchange.outcome, exchange.prompt_tokens, exchange.completion_tokens) == ("ok", None, None)


FAULTS = [
    ({"end": "cut", "after_tokens": 2}, "cut", "closed after 2 chunks"),
    ({"end": "malformed", "after_tokens": 2}, "malformed", "no chunk size"),
    ({"end": "stall", "after_tokens": 2}, "timeout", "0.3 s"),
    ({"end": "error_event", "after_tokens": 2}, "error_in_stream", "out of slots"),
    ({"status": 400, "error_body": '{"error":\n {"message": "too long"}}'}, "http_400", '"too long"'),
    ({"status": 429, "error_body": "slow down"}, "http_429", "slow down"),
    ({"status": 500, "error_body": "broken"}, "http_500", "broken"),
    ({"status": 503, "error_body": "loading model"}, "http_503", "loading model"),
    ({"refuse": True}, "cut", "without an answer"),
    ({"tokens": 0}, "empty", ""),
    ({"whole_json": True}, "empty", "hello"),
]


@pytest.mark.parametrize(("given", "outcome", "words"), FAULTS, ids=str)
def test_each_failure_is_told_apart_and_keeps_the_servers_words(
    scripted: ModuleType, given: dict[str, Any], outcome: str, words: str
) -> None:
    with scripted.ScriptedServer(lambda number, request: scripted.Script(**given)) as server:
        (exchange,) = ask(server.url, timeout_seconds=0.3)
    assert exchange.outcome == outcome
    assert words in exchange.detail
    assert "\n" not in exchange.detail
    assert exchange.ended is not None


def test_an_answer_without_its_last_chunk_is_whole_once_done_was_said(scripted: ModuleType) -> None:
    with scripted.ScriptedServer(lambda n, r: scripted.Script(end="no_terminator")) as server:
        exchanges = ask(server.url, requests=2)
        assert [x.outcome for x in exchanges] == ["ok", "ok"]
        assert server.seen.connections == 2


def test_nobody_listening_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (exchange,) = ask(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert exchange.outcome == "refused"
    assert exchange.sent is None and exchange.ended is not None


def test_a_connection_is_kept_between_requests(scripted: ModuleType) -> None:
    with scripted.ScriptedServer() as server:
        ask(server.url, requests=5)
        assert server.seen.connections == 1


def test_a_kept_connection_that_was_closed_is_reopened_and_timed_from_its_own_send(
    scripted: ModuleType,
) -> None:
    # Every second request on a connection finds it closed, as its bytes are on the way.
    with scripted.ScriptedServer(lambda number, r: scripted.Script(refuse=number % 3 == 1)) as server:
        first, second, third = ask(server.url, requests=3)
        assert [x.outcome for x in (first, second, third)] == ["ok"] * 3
        assert (first.reopened, second.reopened) == (False, True)
        assert server.seen.connections == 2
    assert second.sent is not None
    assert 0 <= second.output_times[0] - second.sent < 0.5


def test_a_server_that_takes_requests_and_closes_is_not_asked_for_ever(scripted: ModuleType) -> None:
    with scripted.ScriptedServer(lambda number, r: scripted.Script(refuse=number > 0)) as server:
        exchanges = ask(server.url, requests=2)
        assert [x.outcome for x in exchanges] == ["ok", "cut"]
        assert len(server.seen.requests) == 3


def test_a_token_goes_along_and_stays_out_of_reprs(scripted: ModuleType) -> None:
    with scripted.ScriptedServer() as server:
        ask(server.url, token="s3cret")
        assert server.seen.authorizations == ["Bearer s3cret"]
    assert "s3cret" not in repr(Endpoint(url="http://x", model="m", token="s3cret"))


def test_tls_is_checked_against_the_endpoints_ca(scripted: ModuleType, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    try:
        subprocess.run([*made.split(), *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with scripted.ScriptedServer(tls=context) as server:
        (trusted,) = ask(server.url, ca_pem=certificate.read_text())
        (untrusted,) = ask(server.url)
    assert trusted.outcome == "ok" and len(trusted.output_times) == 5
    assert untrusted.outcome == "refused" and "certificate" in untrusted.detail


@pytest.mark.parametrize("url", ["ftp://host", "host:80", "http://host:port", ""])
def test_a_url_that_cannot_be_used_is_said_in_one_line(url: str) -> None:
    with pytest.raises(LoadError, match="endpoint url"):
        Origin.of(Endpoint(url=url, model="m"))


def test_a_ca_that_is_none_is_said_in_one_line() -> None:
    with pytest.raises(LoadError, match="would be right: PEM certificates"):
        Origin.of(Endpoint(url="https://h", model="m", ca_pem="no certificate"))


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_cancellation_that_comes_as_the_connection_does_is_not_lost(turns: int) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        connected: asyncio.Future[tuple[None, None]] = loop.create_future()

        async def create_connection(*_: Any, **__: Any) -> Any:
            return await connected

        loop.create_connection = create_connection  # type: ignore[method-assign, assignment]
        origin = Origin.of(Endpoint(url="http://127.0.0.1:1", model="m"))
        opening = asyncio.ensure_future(Connection(origin, clock=time.perf_counter).open())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        connected.set_result((None, None))
        for _ in range(turns):
            await asyncio.sleep(0)
        if opening.cancel():  # else it was done before
            with pytest.raises(asyncio.CancelledError):
                await opening

    asyncio.run(run())
