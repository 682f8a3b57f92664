"""The server over HTTPS: reviews, readiness, renewed certificates, its end, its log and metrics."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import re
import signal
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mount_pods import annotations, engine, host, pod
from mount_webhook import served

from tuner.webhook.certs import issued
from tuner.webhook.certs_files import write_certificates
from tuner.webhook.log_lines import JsonLines
from tuner.webhook.tls import ReloadingTls, TlsFilesUnusable


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    renew(tmp_path)
    return tmp_path


def renew(folder: Path, *, days: float = 1) -> bytes:
    """New certificates in `folder`; the certificate as a client sees it."""
    made = issued(["127.0.0.1"], now=datetime.now(UTC), lifetime=timedelta(days=days))
    write_certificates(folder, made)
    return ssl.PEM_cert_to_DER_cert(made.cert.decode())


def connection(server, folder: Path) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    return http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=5)


def ask(server, folder: Path, path: str = "/mutate", body: Any = None) -> tuple[int, str]:
    asking = connection(server, folder)
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    asking.request("GET" if content is None else "POST", path, body=content)
    answer = asking.getresponse()
    text = answer.read().decode()
    asking.close()
    return answer.status, text


def review(one: Any) -> dict[str, Any]:
    request = {"uid": "u1", "namespace": "trials", "operation": "CREATE", "object": one}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def until(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def shown(server) -> bytes:
    """The certificate of a new connection."""
    pem = ssl.get_server_certificate(("127.0.0.1", server.port), timeout=5)
    return ssl.PEM_cert_to_DER_cert(pem)


ANNOTATED = pod(engine(), volumes=[host()])


def test_an_annotated_pod_comes_back_with_a_patch(certs: Path):
    with served(certs) as (server, _):
        status, text = ask(server, certs, body=review(ANNOTATED))
    answer = json.loads(text)
    assert status == 200
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert answer["response"]["uid"] == "u1"
    assert answer["response"]["allowed"] is True
    assert answer["response"]["patchType"] == "JSONPatch"
    patch = json.loads(base64.b64decode(answer["response"]["patch"]))
    assert patch[0]["path"] == "/spec/volumes/0"


def test_a_pod_with_nothing_to_do_is_allowed_without_a_patch(certs: Path):
    with served(certs) as (server, _):
        _, text = ask(server, certs, body=review(pod(engine(), notes={})))
    assert json.loads(text)["response"] == {"uid": "u1", "allowed": True}


def test_a_refused_pod_is_told_why_with_the_code_of_the_guard(certs: Path):
    wrong = pod(engine(), volumes=[host()], notes=annotations(pvc_subpath="/x"))
    with served(certs) as (server, _):
        _, text = ask(server, certs, body=review(wrong))
    response = json.loads(text)["response"]
    assert response["allowed"] is False
    assert response["status"]["code"] == 422
    assert "ome.io/pvc-subpath must be relative" in response["status"]["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", {"apiVersion": "v1"}, review(None), review({"metadata": {}})])
def test_what_is_no_review_of_a_pod_is_a_bad_request(certs: Path, body: Any):
    with served(certs) as (server, _):
        status, _ = ask(server, certs, body=body)
        assert status == 400
        assert metric(server, certs, 'tuner_webhook_reviews_total{outcome="bad_request"}') == 1


def test_a_pod_as_large_as_the_api_server_takes_is_answered(certs: Path):
    large = pod(engine(mounts=[], env=[{"name": "A", "value": "x" * (3 << 20)}]))
    with served(certs) as (server, _):
        status, _ = ask(server, certs, body=review(large))
    assert status == 200


def test_a_fault_of_our_own_is_an_error_and_so_refuses_the_pod(certs: Path, caplog):
    def broken(_review: Any) -> None:
        raise RuntimeError("broken")

    with served(certs, answered=broken) as (server, _):
        status, text = ask(server, certs, body=review(ANNOTATED))
        assert (status, metric(server, certs, 'tuner_webhook_reviews_total{outcome="fault"}')) == (500, 1)
    assert "broken" not in text
    assert "RuntimeError: broken" in caplog.text


def metric(server, certs: Path, name: str) -> float:
    _, text = ask(server, certs, "/metrics")
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE).group(1))


def test_metrics_count_what_became_of_pods(certs: Path):
    with served(certs) as (server, _):
        ask(server, certs, body=review(ANNOTATED))
        assert metric(server, certs, 'tuner_webhook_reviews_total{outcome="patched"}') == 1
        assert metric(server, certs, 'tuner_webhook_reviews_total{outcome="refused"}') == 0
        assert metric(server, certs, "tuner_webhook_review_seconds_count") == 1
        left = metric(server, certs, "tuner_webhook_certificate_expiry_timestamp_seconds") - time.time()
    assert 86_000 < left < 86_401


def test_a_renewed_certificate_is_shown_without_a_restart(certs: Path):
    with served(certs) as (server, _):
        before = shown(server)
        after = renew(certs, days=9)
        assert before != after
        until(lambda: shown(server) == after)
        assert ask(server, certs, "/readyz") == (200, "ok\n")
        assert metric(server, certs, "tuner_webhook_certificate_expiry_timestamp_seconds") > time.time() + 7e5


def test_a_half_written_renewal_keeps_the_certificate_until_it_is_whole(certs: Path, caplog):
    with served(certs) as (server, _):
        before = shown(server)
        (certs / "tls.crt").write_text("half")
        until(lambda: "certificate not reloaded" in caplog.text)
        assert shown(server) == before
        after = renew(certs)
        until(lambda: shown(server) == after)


def test_files_are_loaded_once_for_each_time_they_change(certs: Path):
    tls = ReloadingTls(certs / "tls.crt", certs / "tls.key")
    assert not tls.reload()
    renew(certs)
    assert tls.reload()
    assert not tls.reload()


def test_files_that_do_not_belong_together_are_told_in_one_line(certs: Path):
    key = (certs / "tls.key").read_bytes()
    renew(certs)
    (certs / "tls.key").write_bytes(key)
    with pytest.raises(TlsFilesUnusable, match=r"tls\.crt and .*tls\.key do not load"):
        ReloadingTls(certs / "tls.crt", certs / "tls.key")


def test_with_an_expired_certificate_it_is_alive_and_not_ready(certs: Path):
    with served(certs, now=lambda: time.time() + 2 * 86_400) as (server, _):
        assert ask(server, certs, "/readyz") == (503, "the certificate has expired\n")
        assert ask(server, certs, "/livez")[0] == 200


def test_told_to_end_it_turns_not_ready_and_serves_on_for_the_drain(certs: Path):
    with served(certs, drain_seconds=1.0) as (server, end):
        kept = connection(server, certs)
        kept.request("GET", "/readyz")
        first = kept.getresponse()
        first.read()
        assert (first.status, first.will_close) == (200, False)
        end.set()
        until(lambda: ask(server, certs, "/readyz")[0] == 503)
        kept.request("POST", "/mutate", body=json.dumps(review(ANNOTATED)))
        answer = kept.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["response"]["allowed"]
        assert answer.will_close  # so that the API server turns to another replica


def test_a_log_record_is_one_json_object_with_its_fields():
    record = logging.makeLogRecord(
        {
            "msg": "reviewed",
            "levelname": "INFO",
            "created": 0.0,
            "fields": {"pod": "ns/a\nb", "outcome": "patched"},
        }
    )
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "event": "reviewed",
        "pod": "ns/a\nb",
        "outcome": "patched",
    }


def test_the_command_serves_until_sigterm_and_ends_with_0(certs: Path):
    files = ["--cert", str(certs / "tls.crt"), "--key", str(certs / "tls.key")]
    code = "import sys; from tuner.webhook.command import main; sys.exit(main(sys.argv[1:]))"
    options = ["serve", *files, "--host", "127.0.0.1", "--port", "0", "--drain-seconds", "0"]
    running = subprocess.Popen([sys.executable, "-c", code, *options], stderr=subprocess.PIPE, text=True)
    try:
        assert running.stderr is not None
        line = json.loads(running.stderr.readline())
        assert line["event"] == "serving"
        asking = http.client.HTTPSConnection(
            "127.0.0.1",
            line["port"],
            context=ssl.create_default_context(cafile=str(certs / "ca.crt")),
            timeout=5,
        )
        asking.request("GET", "/readyz")
        assert asking.getresponse().status == 200
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
        assert [json.loads(rest)["event"] for rest in running.stderr] == ["draining"]
    finally:
        running.kill()
        running.wait()


def test_a_port_in_use_is_one_line(certs: Path):
    with served(certs) as (server, _):
        files = ["--cert", str(certs / "tls.crt"), "--key", str(certs / "tls.key")]
        code = "import sys; from tuner.webhook.command import main; sys.exit(main(sys.argv[1:]))"
        options = ["serve", *files, "--host", "127.0.0.1", "--port", str(server.port)]
        ended = subprocess.run(
            [sys.executable, "-c", code, *options], check=False, capture_output=True, text=True, timeout=20
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: cannot listen on 127.0.0.1:")
