"""Two finished runs that differ in their storage, and in what a test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tuner.results.export import write_best
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunStatus
from tuner.trial.ports import Phase
from tuner.trial.rounds import Trust
from tuner.verdict import Outcome, Verdict

GOAL = "output_tokens_per_second"
POINT = {"name": "load", "scenario": "D(512,128)", "concurrency": 16}
PVC = {"type": "pvc", "pvc_name": "models"}
HOST_PATH = {"type": "hostPath"}
CONFIGURATIONS = {0: {"parallel": 8}, 3: {"parallel": 32}}
MakeRun = Callable[..., RunDirectory]


@pytest.fixture
def make_run(tmp_path: Path, lines: Any) -> MakeRun:
    """A finished run: `values` are of the validation's blocks, by trial; trial 3 is the winner."""

    def made(
        name: str,
        values: dict[int, Sequence[float]],
        *,
        storage: dict[str, str] = PVC,
        points: Sequence[dict[str, Any]] = (POINT,),
        started: float = 0.0,
        outcome: Outcome = Outcome.BETTER,
        winner: int | None = 3,
        params: dict[int, dict[str, Any]] | None = None,
        searched: Sequence[Any] = (),
        usable: bool = True,
        workload: dict[str, Any] | None = None,
        goodput: dict[str, float] | None = None,
        **state: Any,
    ) -> RunDirectory:
        begun = lines.now + started
        written = {
            "name": name,
            "storage": storage,
            "workload": {"points": list(points), "rounds": 2, **(workload or {})},
            **({"goodput": goodput} if goodput else {}),
        }
        run = RunDirectory.create(
            tmp_path / "runs",
            name,
            experiment_yaml=yaml.safe_dump(written, sort_keys=False),
            state=lines.state(
                **{"started": begun, "status": RunStatus.FINISHED, "ended": begun + 600.0, **state}
            ),
        )
        chosen = {**CONFIGURATIONS, **(params or {})}
        run.acquire(now=begun)
        for line in searched:
            run.append_trial(line)
            run.append_round(lines.round_line(line.trial, 1))
        for trial, of_blocks in values.items():
            for block, value in enumerate(of_blocks):
                key = {"phase": Phase.VALIDATION, "attempt": block + 1}
                measured = lines.round(1, trust=Trust(client_bound=not usable))
                run.append_round(lines.round_line(trial, 1, round=measured, **key))
                metrics = {GOAL: value, "ttft_p95_ms": 40_000 / value, f"load.{GOAL}": value}
                line = {"block": block, "params": chosen[trial], "metrics": metrics, **key}
                times = {"started": begun, "ended": begun + 60.0}
                run.append_trial(lines.trial_line(trial, value=value, **line, **times))
        write_best(run, Verdict(outcome, 0, winner, "Said of it."))
        run.release()
        return run

    return made


@pytest.fixture
def two_runs(make_run: MakeRun) -> Callable[..., tuple[RunDirectory, RunDirectory]]:
    """A on a PVC and B, a quarter of an hour later, on a hostPath; B's winner is `factor` times as fast."""

    def made(*, factor: float = 1.0, **changes: Any) -> tuple[RunDirectory, RunDirectory]:
        a = make_run("apvc0000-pvc", {0: (100, 104, 98), 3: (200, 205, 195)})
        values = {0: (101, 97, 105), 3: tuple(factor * v for v in (199, 206, 197))}
        return a, make_run("bhost000-host", values, **{"storage": HOST_PATH, "started": 900.0, **changes})

    return made
