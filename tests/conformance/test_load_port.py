"""What every Load promises, over the fake and over the real one."""

from __future__ import annotations

import importlib.util
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import logprob_server
import pytest

from tuner.errors import Cancelled
from tuner.load import HttpLoad
from tuner.spec.metrics import METRICS, Totals
from tuner.spec.workload import Workload
from tuner.trial.answers import difference
from tuner.trial.ports import Asked, Endpoint, Load, LoadError
from tuner.trial.rounds import HISTOGRAMS, RoundResult


def _module(path: Path) -> ModuleType:
    name = f"load_port_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


_HERE = Path(__file__).parent
fakes = _module(_HERE / "fakes_load.py")
scripted = _module(_HERE.parent / "unit" / "load" / "scripted_server.py")

ROUND_SECONDS = 0.3


@dataclass
class Bench:
    """A Load, an endpoint that it finds serving, and one that it does not."""

    load: Load
    endpoint: Endpoint
    dead: Endpoint


@pytest.fixture(params=["fake", "http"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with socket.socket() as free:  # bound and not listening: whoever connects is refused
        free.bind(("127.0.0.1", 0))
        dead = Endpoint(url=f"http://127.0.0.1:{free.getsockname()[1]}", model="m")
        if request.param == "fake":
            alive = Endpoint(url="http://127.0.0.1:1", model="m")
            yield Bench(fakes.FakeLoad(serves=lambda endpoint: endpoint != dead), alive, dead)
            return
        script = scripted.Script(first_seconds=0.01, gap_seconds=0.005)
        workload = Workload.model_validate(
            {"scenario": "D(16,8)", "concurrency": 2, "round_seconds": ROUND_SECONDS}
        )
        with scripted.ScriptedServer(lambda number, asked: script) as server:
            yield Bench(HttpLoad(workload), Endpoint(url=server.url, model="m"), dead)


def never() -> bool:
    return False


def at_once() -> bool:
    return True


def test_a_probe_passes_on_what_serves_and_says_in_one_line_what_does_not(bench: Bench) -> None:
    bench.load.probe(bench.endpoint, timeout_seconds=5)
    with pytest.raises(LoadError) as error:
        bench.load.probe(bench.dead, timeout_seconds=5)
    assert bench.dead.url in str(error.value) and "\n" not in str(error.value)


def test_a_probe_needs_no_session_and_does_not_end_one(bench: Bench) -> None:
    bench.load.open(bench.endpoint, salt="a")
    bench.load.probe(bench.endpoint, timeout_seconds=5)
    assert bench.load.run_round(1, cancel=never).number == 1
    bench.load.close()


def test_rounds_are_numbered_and_hold_every_histogram(bench: Bench) -> None:
    bench.load.open(bench.endpoint, salt="a")
    bench.load.warm_up(seconds=0.05, cancel=never)
    rounds = [bench.load.run_round(number, cancel=never) for number in (1, 2)]
    bench.load.close()
    assert [r.number for r in rounds] == [1, 2]
    assert rounds[0].started <= rounds[1].started
    for found in rounds:
        (point,) = found.points
        assert set(point.histograms) == set(HISTOGRAMS)
        assert point.output_tokens > 0 and point.requests > 0
        assert len(point.parts) >= 5
        assert found.seconds >= point.window_seconds > 0


def test_every_metric_can_be_made_from_a_round(bench: Bench) -> None:
    bench.load.open(bench.endpoint, salt="a")
    (point,) = bench.load.run_round(1, cancel=never).points
    bench.load.close()
    totals = Totals(
        window_seconds=point.window_seconds,
        requests=point.requests,
        failed=sum(point.errors.values()),
        output_tokens=point.output_tokens,
        input_tokens=point.input_tokens,
        histograms=point.histograms,
    )
    for name, metric in METRICS.items():
        if metric.kind == "client":  # the others hang on the experiment and the engine
            assert metric.formula(totals) >= 0, name
    assert METRICS["error_rate"].formula(totals) == 0


def test_a_round_survives_json(bench: Bench) -> None:
    bench.load.open(bench.endpoint, salt="a")
    found = bench.load.run_round(1, cancel=never)
    bench.load.close()
    assert RoundResult.from_json(found.to_json()).to_json() == found.to_json()


def test_a_session_at_another_load_says_so_in_its_rounds(bench: Bench) -> None:
    bench.load.open(bench.endpoint, salt="a", load=0.5)
    found = bench.load.run_round(3, cancel=never)
    assert (found.number, found.load) == (3, 0.5)
    assert RoundResult.from_json(found.to_json()).load == 0.5
    bench.load.open(bench.endpoint, salt="b")
    assert bench.load.run_round(4, cancel=never).load == 1
    bench.load.close()


def test_cancel_raises_within_a_second_and_the_session_goes_on(bench: Bench) -> None:
    bench.load.open(bench.endpoint, salt="a")
    for work in (
        lambda: bench.load.run_round(1, cancel=at_once),
        lambda: bench.load.warm_up(seconds=60, cancel=at_once),
    ):
        began = time.perf_counter()
        with pytest.raises(Cancelled):
            work()
        assert time.perf_counter() - began < 1
    assert bench.load.run_round(2, cancel=never).points[0].output_tokens > 0
    bench.load.close()


def test_one_object_serves_many_sessions(bench: Bench) -> None:
    for salt in ("a", "b"):
        bench.load.open(bench.endpoint, salt=salt)
        assert bench.load.run_round(1, cancel=never).points[0].errors == {}
        bench.load.close()


def test_a_session_that_does_not_open_leaves_the_object_usable(bench: Bench) -> None:
    with pytest.raises(LoadError):
        bench.load.open(bench.dead, salt="a")
    bench.load.open(bench.endpoint, salt="a")
    bench.load.run_round(1, cancel=never)
    bench.load.close()


def test_closing_twice_or_without_a_session_does_no_harm(bench: Bench) -> None:
    bench.load.close()
    bench.load.open(bench.endpoint, salt="a")
    bench.load.close()
    bench.load.close()


def test_a_round_without_a_session_is_refused(bench: Bench) -> None:
    with pytest.raises(LoadError, match="open"):
        bench.load.run_round(1, cancel=never)


@pytest.fixture(params=["fake", "http"])
def answering(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """As `bench`; the endpoint sends log-probabilities."""
    dead = Endpoint(url="http://127.0.0.1:1", model="m")
    if request.param == "fake":
        alive = Endpoint(url="http://127.0.0.1:2", model="m")
        yield Bench(fakes.FakeLoad(serves=lambda endpoint: endpoint != dead), alive, dead)
        return
    workload = Workload.model_validate({"scenario": "D(16,8)", "concurrency": 2})
    with logprob_server.LogprobServer(answer=logprob_server.restless(), seconds=0.006) as server:
        yield Bench(HttpLoad(workload), Endpoint(url=server.url, model="m"), dead)


def test_answers_need_no_session_and_are_the_same_prompts_every_time(answering: Bench) -> None:
    first, again = (answering.load.answers(answering.endpoint, Asked(1), cancel=never) for _ in range(2))
    assert len(first.prompts) >= 200 and first.again == ()
    assert difference(first.prompts, again.prompts).nats < 0.01


def test_each_further_pass_says_what_it_differs_by(answering: Bench) -> None:
    assert len(answering.load.answers(answering.endpoint, Asked(3), cancel=never).again) == 2


def test_who_does_not_answer_is_told_in_one_line_and_asking_can_be_cancelled(answering: Bench) -> None:
    with pytest.raises(LoadError) as error:
        answering.load.answers(answering.dead, Asked(1), cancel=never)
    assert answering.dead.url in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(Cancelled):
        answering.load.answers(answering.endpoint, Asked(1), cancel=at_once)
