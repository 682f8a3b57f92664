"""The embedded engine's own program: served requests, flags, failures with their reason, and its end."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tuner.deploy.embedded.flags import FLAGS
from tuner.deploy.http_get import get

pytestmark = pytest.mark.engine


@pytest.fixture
def start(tiny_model):
    """Start the program on a port of its own; killed afterwards."""
    started = []

    def run(*flags, model=tiny_model, port=0):
        port = port or 19_200 + os.getpid() % 500 + len(started)
        command = [sys.executable, "-m", "tuner.deploy.embedded", "--model", str(model), "--port", str(port)]
        process = subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        started.append(process)
        process.url = f"http://127.0.0.1:{port}"
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def healthy(process):
    deadline = time.monotonic() + 20
    while get(process.url, "/health").status != 200:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def ended(process):
    process.wait(timeout=20)
    return process.stderr.read().decode()


def test_every_flag_names_a_field_that_the_engine_has():
    xllamacpp = pytest.importorskip("xllamacpp")
    for flag in FLAGS:
        found = xllamacpp.CommonParams()
        for part in flag.field.split("."):
            found = getattr(found, part)


def test_it_serves_whole_tokens_with_usage_under_its_alias(start, complete):
    process = healthy(start("--alias", "m", "--parallel", "2"))
    answer = complete(process.url, tokens=16)
    assert answer["model"] == "m"
    assert answer["usage"]["completion_tokens"] == 16
    assert answer["choices"][0]["text"].strip()
    assert answer["choices"][0]["text"].isascii()


def test_every_token_comes_in_a_chunk_of_its_own(start):
    process = healthy(start())
    host, port = process.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    body = {
        "prompt": "bako",
        "max_tokens": 40,
        "ignore_eos": True,
        "stream": True,
        "seed": 1,
        "temperature": 1,
    }
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    events = [
        line for line in connection.getresponse().read().decode().splitlines() if line.startswith("data: {")
    ]
    texts = [choice["text"] for event in events for choice in json.loads(event[6:])["choices"]]
    connection.close()
    assert sum(bool(text) for text in texts) == 40


def test_metrics_are_there_when_asked_for(start):
    process = healthy(start("--metrics"))
    assert "llamacpp:" in get(process.url, "/metrics").body


def test_the_same_flags_give_the_same_answer_at_each_start(start, complete):
    answers = {complete(healthy(start()).url, tokens=24)["choices"][0]["text"] for _ in range(2)}
    assert len(answers) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_also_in_mid_stream(start, number):
    process = healthy(start("--parallel", "2"))
    host, port = process.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    body = json.dumps({"prompt": "bako", "max_tokens": 3000, "ignore_eos": True, "stream": True})
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    assert connection.getresponse().readline().startswith(b"data:")
    begun = time.monotonic()
    process.send_signal(number)
    process.wait(timeout=5)
    assert time.monotonic() - begun < 1
    connection.close()


@pytest.mark.parametrize(
    ("flags", "code", "reason"),
    [
        (["--foo", "3"], 2, "error: unrecognized arguments: --foo 3"),
        (["--flash-attn", "maybe"], 2, "invalid choice: 'maybe'"),
        (["--flash-attn", "off", "--cache-type-v", "q8_0"], 1, "quantized V cache requires flash_attn"),
        (["--parallel", "300"], 1, "n_seq_max must be <= 256"),
        (["--threads", "0"], -6, "GGML_ASSERT(cplan->n_threads > 0) failed"),
        (["--batch-size", "0"], -6, "GGML_ASSERT"),
    ],
)
def test_what_it_refuses_ends_with_the_reason_on_stderr(start, flags, code, reason):
    process = start(*flags)
    assert reason in ended(process)
    assert process.returncode == code


def test_a_missing_model_is_one_line(start):
    process = start(model="/no/such.gguf")
    assert ended(process) == "error: --model /no/such.gguf: no such file\n"
    assert process.returncode == 2


def test_without_the_package_it_says_what_to_install():
    code = "import sys; sys.modules['xllamacpp'] = None; from tuner.deploy.embedded.server import main; "
    code += "sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: the embedded engine needs the xllamacpp package: pip install 'ray-serving-tuner[engine]'\n"
    )


def test_a_prompt_longer_than_a_slot_is_refused_in_words(start, complete):
    process = healthy(start("--ctx-size", "2048", "--parallel", "8"))  # 256 tokens a slot
    with pytest.raises(Exception, match="exceed_context_size_error"):
        complete(process.url, prompt=" bako" * 300)
