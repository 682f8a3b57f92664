"""The client against a small HTTP server: what it asks, what it makes of the answers, how a watch ends."""

from __future__ import annotations

import json
import pickle
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tuner.deploy.kubernetes.api_errors import ApiRefused, Unreachable
from tuner.deploy.kubernetes.client import Access, Cluster
from tuner.deploy.kubernetes.resources import INFERENCE_SERVICE, NODE, POD
from tuner.deploy.kubernetes.stream import Broken, Expired
from tuner.errors import UserError, WorldError


class Server(BaseHTTPRequestHandler):
    """Answers by path from `answers`; keeps what was asked in `asked`."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict] = {}
    asked: ClassVar[list] = []

    def do_GET(self):
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        self.asked.append((self.command, parts.path, query, body))
        status, answer = self.answers.get(parts.path, (404, {"message": "not found", "reason": "NotFound"}))
        if callable(answer):
            return answer(self)
        self.send_response(status)
        text = json.dumps(answer).encode()
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        return None

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_):
        """Nothing."""

    def chunk(self, text):
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


@pytest.fixture
def server(monkeypatch):
    Server.answers, Server.asked = {}, []
    made = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def kubeconfig(folder, port, namespace="trials"):
    path = folder / "kubeconfig"
    context = {"cluster": "c", "user": "u", "namespace": namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "hidden"}}],
        "contexts": [{"name": "there", "context": context}],
        "current-context": "there",
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def cluster(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.server_port)))
    return Cluster()


PODS = "/api/v1/namespaces/trials/pods"


def test_it_takes_the_contexts_namespace_and_is_pickled_by_its_address(cluster):
    Server.answers = {f"{PODS}/a": (200, {"metadata": {"name": "a"}})}
    again = pickle.loads(pickle.dumps(cluster))
    assert again.get(POD, "a") == {"metadata": {"name": "a"}}
    assert again.namespace == "trials"
    assert "hidden" not in repr(again)
    assert b"hidden" not in pickle.dumps(cluster)


def test_what_is_not_there_is_none_and_deleting_it_is_no_error(cluster):
    assert cluster.get(POD, "a") is None
    assert cluster.delete(POD, "a") is False


def test_objects_are_created_with_strict_validation(cluster):
    path = "/apis/ome.io/v1beta1/namespaces/trials/inferenceservices"
    Server.answers = {path: (201, {"metadata": {"name": "x"}})}
    cluster.create(INFERENCE_SERVICE, {"metadata": {"name": "x"}}, dry_run=True)
    method, asked, query, body = Server.asked[-1]
    assert (method, asked, body) == ("POST", path, {"metadata": {"name": "x"}})
    assert (query["fieldValidation"], query["dryRun"]) == ("Strict", "All")


def test_lists_are_narrowed_by_the_server(cluster):
    Server.answers = {
        PODS: (200, {"items": []}),
        "/api/v1/pods": (200, {"items": []}),
        "/api/v1/nodes": (200, {}),
    }
    cluster.list(POD, labels="a=b", fields="status.phase=Pending", limit=1)
    wanted = {"labelSelector": "a=b", "fieldSelector": "status.phase=Pending", "limit": "1"}
    assert Server.asked[-1][2] == wanted
    cluster.list(POD, everywhere=True)
    assert Server.asked[-1][1] == "/api/v1/pods"
    cluster.list(NODE)
    assert Server.asked[-1][1] == "/api/v1/nodes"


def test_a_refusal_is_one_line_with_the_servers_words_and_what_would_be_right(cluster):
    said = 'pods "a" is forbidden:\n user cannot get'
    Server.answers = {f"{PODS}/a": (403, {"message": said, "reason": "Forbidden"})}
    with pytest.raises(ApiRefused, match=r"HTTP 403: pods .*cluster/rbac\.yaml") as raised:
        cluster.get(POD, "a")
    assert "\n" not in str(raised.value)
    assert (raised.value.status, raised.value.reason) == (403, "Forbidden")
    assert not raised.value.passing


def test_a_request_without_credentials_is_advised_to_have_some_not_a_role(cluster):
    said = 'pods is forbidden: User "system:anonymous" cannot list resource "pods"'
    Server.answers = {PODS: (403, {"message": said, "reason": "Forbidden"})}
    with pytest.raises(ApiRefused, match=r"would be right: credentials that the cluster knows$") as raised:
        cluster.list(POD)
    assert raised.value.of_nobody


def test_a_server_that_is_down_is_told_from_one_that_refuses(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    down = Cluster(access=Access(str(kubeconfig(tmp_path, port)), "there", "trials"))
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} does not answer: .*refused") as raised:
        down.get(POD, "a")
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, WorldError)
    assert time.monotonic() - begun < 2


def test_without_a_kubeconfig_and_outside_a_pod_it_says_what_would_be_right(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UserError, match="would be right: KUBECONFIG=FILE"):
        Access.found()


@pytest.mark.parametrize(
    "content",
    [b"apiVersion: v1\nkind: Config\n", b"clusters: [", b"[1, 2]", b"a word", b"", b"\xff\xfe\x00"],
    ids=["no context", "no YAML", "a list", "a word", "empty", "no text"],
)
def test_a_kubeconfig_of_another_shape_is_one_line_with_its_path(tmp_path, monkeypatch, content):
    broken = tmp_path / "broken"
    broken.write_bytes(content)
    monkeypatch.setenv("KUBECONFIG", str(broken))
    with pytest.raises(UserError, match=r"broken: .*would be right: ") as raised:
        Access.found()
    assert "\n" not in str(raised.value)


def streaming(*lines, hold=None):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for line in lines:
            handler.chunk(line)
        if hold is not None:
            hold.wait(10)
        handler.wfile.write(b"0\r\n\r\n")

    return 200, answer


def test_a_watch_gives_changes_as_they_arrive_however_they_are_cut(cluster):
    first = json.dumps({"type": "ADDED", "object": {"n": 1}}) + "\n"
    second = json.dumps({"type": "MODIFIED", "object": {"n": 2}}) + "\n"
    Server.answers = {PODS: streaming(first[:10], first[10:] + second[:5], second[5:])}
    found = list(cluster.watch(POD, version="7", seconds=30))
    assert found == [("ADDED", {"n": 1}), ("MODIFIED", {"n": 2})]
    query = Server.asked[-1][2]
    assert (query["resourceVersion"], query["watch"], query["timeoutSeconds"]) == ("7", "true", "30")


def test_a_watch_whose_version_has_expired_and_one_with_an_error_are_told_apart(cluster):
    for code, error in ((410, Expired), (500, Broken)):
        line = json.dumps({"type": "ERROR", "object": {"code": code, "message": "x"}}) + "\n"
        Server.answers = {PODS: streaming(line)}
        with pytest.raises(error):
            list(cluster.watch(POD, version="7", seconds=30))


def test_another_thread_ends_a_watch_at_once(cluster):
    hold = threading.Event()
    Server.answers = {PODS: streaming(hold=hold)}
    stream = cluster.watch(POD, version="7", seconds=30)
    ended = threading.Event()

    def read():
        list(stream)
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    time.sleep(0.05)  # most likely it reads by now; it has to end either way
    stream.close()
    assert ended.wait(1)
    hold.set()
