"""Lines, and a whole small run, as a driver would write them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuner.errors import Failure, FailureClass
from tuner.results.lines import RoundLine, TrialLine
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunState
from tuner.trial.histogram import Histogram
from tuner.trial.objective import Goal
from tuner.trial.ports import Phase, State
from tuner.trial.rounds import HISTOGRAMS, PointResult, RoundResult, Trust

NOW = 1_790_000_000.0


def make_round(number: int = 1, *, tokens: int = 800, trust: Trust | None = None) -> RoundResult:
    rng = random.Random(number)
    point = PointResult(
        point="load",
        window_seconds=2.5,
        requests=20,
        output_tokens=tokens,
        input_tokens=900,
        errors={"http_429": 1},
        cut=2,
        histograms={name: Histogram(rng.uniform(1, 900) for _ in range(20)) for name in HISTOGRAMS},
        parts=(300.0, 310.5),
        engine={"kv_cache_usage": 0.4},
        trust=trust or Trust(dirty=number == 2, reasons=("0.8 foreign cores",) if number == 2 else ()),
    )
    return RoundResult(number, NOW + number, 3.0, (point,))


def make_round_line(trial: int = 1, number: int = 1, **changes: Any) -> RoundLine:
    value = changes.pop("value", 300.0 + number)
    return RoundLine(
        **{
            "trial": trial,
            "phase": Phase.SEARCH,
            "attempt": 1,
            "round": make_round(number),
            "metrics": {"output_tokens_per_second": value, "ttft_p95_ms": 400.0},
            "decision": "go on",
            "values": (value,),
            "intervals": ((value - 20, value + 20),),
            **changes,
        }
    )


def make_trial_line(trial: int = 1, **changes: Any) -> TrialLine:
    value = changes.pop("value", 300.0)
    return TrialLine(
        **{
            "trial": trial,
            "phase": Phase.SEARCH,
            "attempt": 1,
            "state": State.COMPLETE,
            "feasible": True,
            "params": {"parallel": 8, "flash_attn": True, "cache_type": "f16", "fraction": 0.8},
            "arguments": ("--parallel", "8"),
            "metrics": {"output_tokens_per_second": value, "ttft_p95_ms": 420.0, "itl_p99_ms": 30.0},
            "values": (value,),
            "violations": {"ttft_p95_ms": -0.16},
            "intervals": ((value - 10, value + 10),),
            "times": {"started": 0.2, "served": 0.1, "warmup": 1.0, "rounds": 10.0},
            "accelerator_seconds": 12.0,
            "engine_version": "b4711",
            "node": "node-1",
            "cold": False,
            "started": NOW + trial * 20,
            "ended": NOW + trial * 20 + 15,
            **changes,
        }
    )


def make_failed_line(trial: int, message: str = "the engine ended with code 1", log: str = "") -> TrialLine:
    return make_trial_line(
        trial,
        state=State.FAILED,
        feasible=False,
        metrics={},
        values=(),
        violations={},
        intervals=(),
        failure=Failure(FailureClass.CRASH, message, log, exit_code=1),
    )


def make_state(**changes: Any) -> RunState:
    return RunState(
        **{
            "experiment": "quickstart",
            "experiment_hash": "c0ffee",
            "started": NOW,
            "goals": (Goal("output_tokens_per_second", True),),
            "slos": {"ttft_p95_ms": 500.0},
            "parameters": ("parallel", "flash_attn", "cache_type", "fraction"),
            "log_parameters": ("parallel",),
            "planned_trials": 12,
            "planned_blocks": 3,
            "startup_seconds": {"imports": 2.0, "ray": 8.0, "ours": 1.0},
            "spent_seconds": {"deploying": 12.0, "rounds": 120.0},
            "importance": {"parallel": 0.8, "flash_attn": 0.2},
            "machine": {"host": "bench-1", "cores": "2"},
            **changes,
        }
    )


@pytest.fixture
def new_run(tmp_path: Path) -> Iterator[Callable[..., RunDirectory]]:
    """A run whose lease this process holds until the test ends."""
    held: list[RunDirectory] = []

    def made(name: str = "d4m2k1x7-quickstart", **changes: Any) -> RunDirectory:
        run = RunDirectory.create(
            tmp_path / "runs", name, experiment_yaml="name: quickstart\n", state=make_state(**changes)
        )
        run.acquire(now=NOW)
        held.append(run)
        return run

    yield made
    for run in held:
        run.release()


def fill(run: RunDirectory) -> None:
    """A search with every way to end, and a validation of three blocks."""
    for number in (1, 2):
        for trial in (0, 1, 2):
            run.append_round(make_round_line(trial, number, value=100.0 * (trial + 1) + number))
    run.append_trial(make_trial_line(0, value=100.0))
    run.append_trial(make_trial_line(1, value=200.0))
    run.append_trial(make_trial_line(2, value=300.0, feasible=False, violations={"ttft_p95_ms": 0.25}))
    run.append_trial(make_failed_line(3, log="ggml: out of memory\n"))
    run.append_trial(
        make_trial_line(4, value=90.0, state=State.STOPPED, feasible=False, reason="hopeless: ttft_p95_ms")
    )
    run.append_trial(make_trial_line(5, state=State.INTERRUPTED, feasible=False, values=(), metrics={}))
    for block, factor in enumerate((1.0, 0.9, 1.1)):
        for trial in (0, 1):
            value = factor * (100.0, 200.0 + block)[trial]
            changes = {"phase": Phase.VALIDATION, "attempt": block + 1}
            measured = make_round(1, tokens=round(2.5 * value))
            run.append_round(make_round_line(trial, 1, value=value, round=measured, **changes))
            run.append_trial(make_trial_line(trial, value=value, block=block, **changes))


@pytest.fixture
def lines() -> Any:
    """The factories, for tests that are imported by path."""

    class Factories:
        now = NOW
        round = staticmethod(make_round)
        round_line = staticmethod(make_round_line)
        trial_line = staticmethod(make_trial_line)
        failed_line = staticmethod(make_failed_line)
        state = staticmethod(make_state)
        fill = staticmethod(fill)

    return Factories
