"""The local backend over the real engine."""

import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import replace

import psutil
import pytest

from tuner.deploy.supervised import marked
from tuner.errors import BackendBroken, ConfigurationRefused, FailureClass

pytestmark = pytest.mark.engine


def refused(backend, trial, complete, error=ConfigurationRefused):
    with pytest.raises(error) as raised:
        backend.deploy(
            trial,
            probe=lambda endpoint: complete(endpoint.url, tokens=1) and None,
            progress=lambda line: None,
            cancel=lambda: False,
        )
    assert backend.released(trial.name)
    return raised.value.failure


def test_it_serves_within_a_second_on_cores_of_its_own(serve, trial, complete):
    begun = time.monotonic()
    endpoint = serve(trial("--parallel", "4"))
    assert time.monotonic() - begun < 3  # a third of that on a machine at rest
    assert complete(endpoint.url)["model"] == endpoint.model
    assert endpoint.engine_version.startswith("xllamacpp ")
    assert endpoint.metrics_url
    engine = psutil.Process(int(endpoint.serving.split()[1]))
    if len(os.sched_getaffinity(0)) > 1:
        assert not set(engine.cpu_affinity()) & set(endpoint.load_cpus)


def test_deleting_ends_it_within_a_second_also_in_mid_stream(serve, trial, complete, engine_backend):
    endpoint = serve(trial())
    stream = threading.Thread(target=lambda: _ignore(lambda: complete(endpoint.url, tokens=3000)))
    stream.start()
    begun = time.monotonic()
    engine_backend.delete(trial().name)
    while not engine_backend.released(trial().name):
        assert time.monotonic() - begun < 1
        time.sleep(0.005)
    stream.join()


def _ignore(call):
    try:
        call()
    except Exception:
        return


def test_killed_under_load_it_says_how_and_when(serve, trial, engine_backend):
    endpoint = serve(trial())
    os.kill(int(endpoint.serving.split()[1]), signal.SIGABRT)
    while not (failure := engine_backend.failure(trial().name)):
        time.sleep(0.005)
    assert failure.kind is FailureClass.CRASH_UNDER_LOAD
    assert "SIGABRT" in failure.message
    assert "listens on" in failure.log_tail


def test_killing_the_supervisor_leaves_nothing_within_two_seconds(serve, trial, engine_backend):
    endpoint = serve(trial())
    engine = psutil.Process(int(endpoint.serving.split()[1]))
    engine.parent().kill()
    deadline = time.monotonic() + 2
    while any(mark.name == trial().name for _, mark in marked()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert engine_backend.released(trial().name)


def test_two_at_the_same_moment_both_serve(serve, trial, complete):
    found = []
    starts = [threading.Thread(target=lambda n=n: found.append(serve(trial(number=n)))) for n in (1, 2)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len({endpoint.url for endpoint in found}) == 2
    for endpoint in found:
        assert complete(endpoint.url)


def test_a_fixed_port_that_is_taken_names_the_taker(engine_backend, trial, complete):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failure = refused(replace(engine_backend, port=port), trial(), complete, BackendBroken)
    assert f"port {port} is taken by pid {os.getpid()}" in failure.message


def test_a_missing_model_stops_the_run(engine_backend, trial, complete):
    failure = refused(replace(engine_backend, model="/no/such.gguf"), trial(), complete, BackendBroken)
    assert "model /no/such.gguf: no such file" in failure.message


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--foo", "3"], "unrecognized arguments: --foo 3"),
        (
            ["--cache-type-v", "q8_0", "--flash-attn", "off"],
            "quantized V cache requires flash_attn to be enabled",
        ),
        (["--parallel", "300"], "n_seq_max must be <= 256"),
        (["--batch-size", "0"], "GGML_ASSERT"),
    ],
)
def test_what_the_engine_refuses_is_a_crash_with_its_reason_within_seconds(
    engine_backend, trial, complete, flags, reason
):
    begun = time.monotonic()
    failure = refused(engine_backend, trial(*flags), complete)
    assert time.monotonic() - begun < 3
    assert failure.kind is FailureClass.CRASH
    assert reason in failure.message
    assert failure.log_tail


def test_no_slots_is_never_ready_although_healthy(engine_backend, trial, complete):
    failure = refused(replace(engine_backend, ready_seconds=1.5), trial("--parallel", "0"), complete)
    assert failure.kind is FailureClass.NEVER_READY
    assert "served no request" in failure.message


def test_a_context_of_forty_million_tokens_is_refused_or_never_ready(engine_backend, trial, complete):
    failure = refused(
        replace(engine_backend, ready_seconds=4.0),
        trial("--ctx-size", "40000000", "--no-kv-unified"),
        complete,
    )
    assert failure.kind in {FailureClass.CRASH, FailureClass.NEVER_READY, FailureClass.OOM_KILLED}
    assert failure.log_tail


def test_the_command_by_hand_serves_the_same(engine_backend, trial, complete):
    command = replace(engine_backend, port=18_480).serving(trial("--parallel", "2")).shell
    process = subprocess.Popen(f"exec {command}", shell=True, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                assert complete("http://127.0.0.1:18480")
                return
            except OSError:
                assert time.monotonic() < deadline
            except Exception as error:
                assert time.monotonic() < deadline, error
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
