"""What the local backend promises, on a stub engine."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import psutil
import pytest

from tuner.deploy.http_get import get
from tuner.deploy.listen_port import ReservedPort
from tuner.errors import (
    BackendBroken,
    Cancelled,
    ConfigurationRefused,
    DeployInterrupted,
    FailureClass,
    UserError,
)
from tuner.trial.ports import LoadError, Slot


def bring_up(backend, trial, *, probe=lambda endpoint: None, cancel=lambda: False):
    return backend.deploy(trial, probe=probe, progress=lambda line: None, cancel=cancel)


def refused(backend, trial, kind, error=ConfigurationRefused, **options):
    with pytest.raises(error) as raised:
        bring_up(backend, trial, **options)
    assert raised.value.failure.kind is kind
    assert backend.released(trial.name)
    return raised.value.failure


def pids_of(backend, name):
    engine = backend._deployments[name].engine
    return engine.tree() | {engine._supervisor.pid}


def test_a_deployment_is_described_by_what_serves_it(backend, trial):
    endpoint = bring_up(backend, trial())
    pid = int(endpoint.serving.split()[1])
    assert psutil.Process(pid).cmdline()[-1] == endpoint.url.rpartition(":")[2]
    assert endpoint.engine_version == "stub 1"
    assert endpoint.metrics_url == endpoint.url + "/metrics"
    assert endpoint.node == socket.gethostname()
    assert set(endpoint.times) == {"started", "healthy", "served"}
    assert all(seconds >= 0 for seconds in endpoint.times.values())


def test_ready_means_that_the_probe_was_served(backend, trial):
    answers = iter([LoadError("HTTP 500"), LoadError("HTTP 500"), None])

    def probe(endpoint):
        if error := next(answers):
            raise error

    bring_up(backend, trial(), probe=probe)
    assert next(answers, "all asked") == "all asked"


def test_healthy_but_never_served_is_never_ready_with_the_last_answer(backend, trial):
    def probe(endpoint):
        raise LoadError("HTTP 500 no slots")

    failure = refused(replace(backend, ready_seconds=0.4), trial(), FailureClass.NEVER_READY, probe=probe)
    assert "answers /health but served no request (last: HTTP 500 no slots)" in failure.message
    assert "stub starts" in failure.log_tail


def test_a_probe_that_hangs_does_not_hold_the_deadline_up(backend, trial):
    begun = time.monotonic()
    refused(
        replace(backend, ready_seconds=0.4),
        trial(),
        FailureClass.NEVER_READY,
        probe=lambda endpoint: get(endpoint.url, "/slow", timeout_seconds=20) and None,
    )
    assert time.monotonic() - begun < 3


def test_an_engine_that_does_not_get_healthy_is_never_ready(backend, trial):
    failure = refused(replace(backend, ready_seconds=0.5), trial("--unhealthy"), FailureClass.NEVER_READY)
    assert (
        "not ready within 0.5 s: it did not answer /health with 200 (last: HTTP 503 loading)"
        in failure.message
    )


def test_another_error_of_the_probe_comes_out_as_it_is(backend, trial):
    def probe(endpoint):
        raise ZeroDivisionError("a fault of our own")

    with pytest.raises(ZeroDivisionError):
        bring_up(backend, trial(), probe=probe)
    assert backend.released(trial().name)


def test_an_engine_that_ends_is_a_crash_with_its_reason(backend, trial):
    failure = refused(
        backend, trial("--say", "error: head size 3 is not supported", "--exit", "7"), FailureClass.CRASH
    )
    assert failure.exit_code == 7
    assert "the engine ended with code 7" in failure.message
    assert "head size 3 is not supported" in failure.message
    assert "stub starts" in failure.log_tail
    assert backend.log_tail(trial().name) == failure.log_tail


def test_accelerator_memory_is_told_from_the_log(backend, trial):
    said = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB"
    refused(backend, trial("--say", said, "--exit", "1"), FailureClass.ACCELERATOR_OOM)


def test_a_kill_from_outside_condemns_nothing(backend, trial, monkeypatch):
    monkeypatch.setattr("tuner.deploy.supervised.kernel_oom_kills", lambda: 4)
    failure = refused(backend, trial("--signal", "9"), FailureClass.CRASH, DeployInterrupted)
    assert failure.exit_code == -9


def test_a_kill_by_the_kernel_for_memory_condemns(backend, trial, monkeypatch):
    counts = iter([4, 5])
    monkeypatch.setattr("tuner.deploy.supervised.kernel_oom_kills", lambda: next(counts))
    refused(backend, trial("--signal", "9"), FailureClass.OOM_KILLED)


def test_cancelling_takes_half_a_second_at_most_even_from_a_stubborn_engine(backend, trial):
    asked = []

    def cancel():
        engine = backend._deployments[trial().name].engine
        if engine.pid and not asked:
            asked.append(time.monotonic())
        return bool(asked)

    with pytest.raises(Cancelled):
        bring_up(backend, trial("--unhealthy", "--ignore-term"), cancel=cancel)
    assert time.monotonic() - asked[0] < 0.5
    assert backend.released(trial().name)


def test_cancelling_reaches_a_probe_that_hangs(backend, trial):
    probing = threading.Event()

    def probe(endpoint):
        probing.set()
        get(endpoint.url, "/slow", timeout_seconds=20)

    begun = time.monotonic()
    with pytest.raises(Cancelled):
        bring_up(backend, trial(), probe=probe, cancel=probing.is_set)
    assert time.monotonic() - begun < 3


def test_a_fixed_port_that_is_taken_stops_the_run_and_names_the_taker(backend, trial):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failure = refused(replace(backend, port=port), trial(), FailureClass.BACKEND_BROKEN, BackendBroken)
    assert failure.message == f"port {port} is taken by pid {os.getpid()} ({psutil.Process().name()})"


def test_a_port_that_is_lost_in_between_is_replaced_by_another(backend, trial, monkeypatch):
    real, ports, takers = ReservedPort, [], []

    def reserve(fixed, rng):
        port = real(rng.randrange(20_000, 30_000))
        if not ports:  # somebody is faster than the engine
            takers.append(socket.create_server(("127.0.0.1", port.number)))
        ports.append(port.number)
        return port

    monkeypatch.setattr("tuner.deploy.local.reserve_port", reserve)
    endpoint = bring_up(backend, trial())
    takers[0].close()
    assert len(ports) == 2
    assert endpoint.url.endswith(str(ports[1]))


def test_somebody_elses_healthy_answer_is_not_taken_for_the_engines(backend, trial, monkeypatch):
    """A port taken by another server, while the engine has not come to listening yet."""
    real, ports, others = ReservedPort, [], []

    def reserve(fixed, rng):
        port = real(rng.randrange(20_000, 30_000))
        if not ports:
            command = [*backend.binary, "--port", str(port.number)]
            others.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            while get(f"http://127.0.0.1:{port.number}", "/health").status != 200:
                time.sleep(0.005)
        ports.append(port.number)
        return port

    monkeypatch.setattr("tuner.deploy.local.reserve_port", reserve)
    sleeper = replace(backend, template="sleep\n30\n")
    first, second = iter([sleeper.template, backend.template]), backend
    monkeypatch.setattr(
        type(second), "argv", lambda self, t, cores, port: _rendered(next(first), backend, port)
    )
    try:
        endpoint = bring_up(backend, trial())
    finally:
        others[0].kill()
        others[0].wait()
    assert len(ports) == 2
    assert endpoint.url.endswith(str(ports[1]))


def _rendered(template, backend, port):
    return ["sleep", "30"] if template.startswith("sleep") else [*backend.binary, "--port", str(port)]


def test_two_deployments_at_the_same_moment_get_ports_of_their_own(backend, trial):
    found = []
    starts = [
        threading.Thread(target=lambda n=n: found.append(bring_up(backend, trial(number=n))))
        for n in range(3)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len({endpoint.url for endpoint in found}) == 3
    assert len({endpoint.serving for endpoint in found}) == 3


def test_deploying_again_what_is_up_gives_the_same_engine(backend, trial):
    first = bring_up(backend, trial())
    assert bring_up(backend, trial()) == first


def test_deploying_again_what_died_gives_a_new_engine(backend, trial, until):
    first = bring_up(backend, trial())
    get(first.url, "/die")
    assert bring_up(backend, trial()).serving != first.serving


def test_an_engine_that_dies_under_load_says_so_at_once(backend, trial):
    endpoint = bring_up(backend, trial())
    assert backend.failure(trial().name) is None
    get(endpoint.url, "/die")
    failure = backend.failure(trial().name)
    assert failure.kind is FailureClass.CRASH_UNDER_LOAD
    assert failure.exit_code == 3
    assert "told to die" in failure.log_tail


def test_delete_does_not_wait_and_released_tells_the_truth(backend, trial, until, living):
    bring_up(backend, trial("--ignore-term", "--grandchild"))
    until(lambda: "child up" in backend.log_tail(trial().name), "grandchild up")
    pids = pids_of(backend, trial().name)
    assert len(pids) == 3
    begun = time.monotonic()
    backend.delete(trial().name)
    assert time.monotonic() - begun < 0.1
    assert not backend.released(trial().name)
    until(lambda: backend.released(trial().name), "released")
    assert not living(pids)
    assert time.monotonic() - begun > backend.stop_seconds - 0.1  # it was given its time


def test_what_a_crashed_engine_leaves_behind_is_ended_too(backend, trial, until, living):
    endpoint = bring_up(backend, trial("--grandchild"))
    until(lambda: "child up" in backend.log_tail(trial().name), "grandchild up")
    pids = pids_of(backend, trial().name)
    get(endpoint.url, "/die")
    until(lambda: backend.released(trial().name), "released")
    assert not living(pids)


def test_an_engine_that_heeds_sigterm_is_gone_at_once(backend, trial, until):
    bring_up(backend, trial())
    begun = time.monotonic()
    backend.delete(trial().name)
    until(lambda: backend.released(trial().name), "released", seconds=1)
    assert time.monotonic() - begun < 1


def test_deleting_what_is_not_there_is_no_error(backend, trial):
    backend.delete("never-t0001-a1")
    assert backend.released("never-t0001-a1")
    assert backend.log_tail("never-t0001-a1") == ""


def test_a_deployment_of_another_process_is_not_released_while_it_lives(backend, trial, until):
    bring_up(backend, trial())
    other = pickle.loads(pickle.dumps(backend))
    assert not other.released(trial().name)
    backend.delete(trial().name)
    until(lambda: other.released(trial().name), "released, as the other sees it")


def test_a_killed_supervisor_takes_the_engine_along(backend, trial, until, living):
    bring_up(backend, trial("--grandchild", "--ignore-term"))
    until(lambda: "child up" in backend.log_tail(trial().name), "grandchild up")
    pids = pids_of(backend, trial().name)
    os.kill(backend._deployments[trial().name].engine._supervisor.pid, signal.SIGKILL)
    until(lambda: backend.failure(trial().name), "noticed")
    assert backend.failure(trial().name).kind is FailureClass.NODE_FAULT
    until(lambda: backend.released(trial().name), "released")
    assert not living(pids)


def test_the_log_keeps_its_end(backend, trial):
    bring_up(backend, trial("--chatter", "5000"))
    lines = backend.log_tail(trial().name).splitlines()
    assert len(lines) == 60
    assert lines[-2] == "line 4999"


def test_the_log_stays_as_a_file_where_a_directory_is_given(backend, trial, tmp_path, until):
    kept = replace(backend, log_dir=tmp_path / "logs")
    bring_up(kept, trial())
    kept.delete(trial().name)
    until(lambda: kept.released(trial().name), "released")
    assert "stub starts" in (tmp_path / "logs" / f"{trial().name}.log").read_text()
    assert "stub starts" in pickle.loads(pickle.dumps(kept)).log_tail(trial().name)


def test_rays_one_thread_is_not_inherited_and_the_trials_variables_are(backend, trial, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    bring_up(backend, trial())
    assert "threads None" in backend.log_tail(trial().name)
    bring_up(backend, replace(trial(number=2), environment={"OMP_NUM_THREADS": "6"}))
    assert "threads 6" in backend.log_tail(trial(number=2).name)


def test_the_engine_runs_on_its_own_cores(backend, trial, until):
    core = min(os.sched_getaffinity(0))
    pinned = replace(backend, pinning={"engine": [core], "load": [core]})
    endpoint = bring_up(pinned, replace(trial(), slot=Slot(index=1, of=2)))
    assert endpoint.load_cpus == (core,)
    assert f"cpus [{core}]" in pinned.log_tail(trial().name)
    pinned.delete(trial().name)
    until(lambda: pinned.released(trial().name), "released")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"binary": "no-such-engine"},
            "engine binary no-such-engine is not on PATH; install it, or set deploy.binary",
        ),
        ({"binary": "/no/such"}, "engine binary /no/such is not an executable file"),
        ({"model": "/no/model.gguf"}, "model /no/model.gguf: no such file or directory on"),
        ({"template": "{{ nothing }}"}, "engine command template: 'nothing' is undefined"),
        ({"pinning": {"engine": [4096]}}, "deploy.pinning names cores [4096]"),
    ],
)
def test_a_persons_mistake_is_found_before_anything_starts(backend, trial, change, says):
    wrong = replace(backend, **change)
    with pytest.raises(UserError) as raised:
        wrong.prepared(trial())
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    failure = refused(wrong, trial(), FailureClass.BACKEND_BROKEN, BackendBroken)
    assert says in failure.message


def test_a_program_that_cannot_be_executed_stops_the_run(backend, trial, tmp_path):
    program = tmp_path / "engine"
    program.write_text("not a program")
    program.chmod(0o755)
    failure = refused(
        replace(backend, binary=str(program)), trial(), FailureClass.BACKEND_BROKEN, BackendBroken
    )
    assert "Exec format error" in failure.message


def test_the_command_by_hand_is_quoted_for_a_shell(backend, trial):
    said = replace(backend, environment={"A": "b c"}).serving(trial("--grammar", "x'y z")).shell
    assert said == f"A='b c' {sys.executable} -I -S {backend.binary[-1]} --port 8080 --grammar 'x'\"'\"'y z'"
