"""Other searchers: run with `--full`, recorded in surfaces/peers with the hash of the surface."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any

from peers.venv import environment
from searches.spending import Spending
from searches.surfaces import PEERS, Recorded

from tuner.search.replay.surface import Row
from tuner.spec.distribution import Categorical

PROGRAMS = Path(__file__).parent / "programs"
PINNED = ("optuna==5.0.0", "botorch==0.18.1", "torch==2.15.0", "scipy>=1.12")
MOST_TRIALS = 250  # a search that has not found a good one by then is recorded as that
_PYTHON = (3, 11)


@dataclass(frozen=True)
class Peer:
    """A program that asks and is told (see programs/protocol.py)."""

    name: str
    title: str
    program: str
    arguments: tuple[str, ...] = ()


ALL = (
    Peer("tpe", "Optuna TPE", "optuna_program.py", ("tpe",)),
    Peer("gp", "Optuna GP", "optuna_program.py", ("gp",)),
    Peer("botorch", "BoTorch qLogNEI", "botorch_program.py"),
)


class Stale(Exception):
    """What was recorded is of another surface or experiment; one line."""


def recorded_runs(recorded: Recorded, peer: Peer) -> list[Mapping[str, Any]] | None:
    """What was recorded of a peer; None where nothing was.

    Raises:
        Stale: the surface or the experiment has changed since.
    """
    path = _path(recorded, peer)
    if not path.is_file():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    for key, now in _identity(recorded).items():
        if told[key] != now:
            raise Stale(
                f"{path.name}: {key} is {told[key][:12]}, of the surface now {now[:12]}; --full renews"
            )
    runs: list[Mapping[str, Any]] = told["runs"]
    return runs


def record(recorded: Recorded, peer: Peer, seeds: Sequence[int], *, jobs: int) -> None:
    """Run a peer on every seed that is not recorded yet, and write down what came of it.

    Raises:
        peers.venv.NotInstalled: its environment cannot be made.
    """
    try:
        known = {run["seed"]: run for run in recorded_runs(recorded, peer) or ()}
    except Stale:
        known = {}
    left = [seed for seed in seeds if seed not in known]
    if not left:
        return
    python = environment("search-optuna-5.0.0-botorch-0.18.1", PINNED, python=_PYTHON) / "python"
    writing = Lock()
    shares = [left[i::jobs] for i in range(min(jobs, len(left)))]

    def work(share: Sequence[int]) -> None:
        with _started(python, peer) as (told, answers):
            for seed in share:
                run = _search(recorded, seed, told, answers).to_json()
                with writing:
                    known[seed] = run
                    _write(recorded, peer, [known[s] for s in sorted(known)])

    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(work, shares))


def _search(recorded: Recorded, seed: int, told: IO[str], answers: IO[str]) -> Spending:
    rows = [r for r in recorded.surface.rows if recorded.surface.space.complete(r.params)]
    task = _task(recorded, rows, seed)
    spending = Spending(recorded, seed)
    baseline = recorded.surface.row(recorded.surface.space.baseline)
    _say(told, {"begin": task})
    if baseline in rows:
        _say(told, {"row": rows.index(baseline), **_measured(recorded, spending, baseline)})
    else:
        spending.measure(baseline)
    while not spending.done and spending.trials < min(MOST_TRIALS, len(rows)):
        _say(told, {"ask": True})
        line = answers.readline()
        if not line:
            raise RuntimeError(f"{recorded.name}, seed {seed}: the peer's program ended")
        answer = json.loads(line)
        spending.think(answer["seconds"])
        _say(told, {"row": answer["row"], **_measured(recorded, spending, rows[answer["row"]])})
    return spending


def _task(recorded: Recorded, rows: Sequence[Row], seed: int) -> dict[str, Any]:
    parameters = recorded.surface.space.parameters
    grids = {name: list(p.grid() or ()) for name, p in parameters.items()}
    ordered = {}
    for name, parameter in parameters.items():
        neutral, values = parameter.distribution(), grids[name]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        ordered[name] = not isinstance(neutral, Categorical) or numbers
        if ordered[name]:
            values.sort(key=float)
    return {
        "values": [len(grids[n]) for n in parameters],
        "ordered": [ordered[n] for n in parameters],
        "rows": [[grids[n].index(r.params[n]) if n in r.params else None for n in parameters] for r in rows],
        "limits": len(recorded.experiment.slo),
        "maximize": recorded.experiment.objective[0].is_maximized,
        "seed": seed,
    }


def _measured(recorded: Recorded, spending: Spending, row: Row) -> dict[str, Any]:
    score = spending.measure(row)
    if score is None:
        return {"failed": True, "value": None, "violations": []}
    violations = [score.violations[m] for m in recorded.experiment.slo]
    return {"failed": False, "value": score.values[0], "violations": violations}


@contextmanager
def _started(python: Path, peer: Peer) -> Iterator[tuple[IO[str], IO[str]]]:
    command = [str(python), "-W", "ignore", str(PROGRAMS / peer.program), *peer.arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None and program.stdout is not None
        try:
            yield program.stdin, program.stdout
        finally:
            program.stdin.close()
            program.terminate()


def _say(told: IO[str], message: Mapping[str, Any]) -> None:
    told.write(json.dumps(message) + "\n")
    told.flush()


def _identity(recorded: Recorded) -> dict[str, str]:
    return {"surface_sha256": recorded.surface.sha256, "experiment_sha256": recorded.experiment_sha256}


def _path(recorded: Recorded, peer: Peer) -> Path:
    return PEERS / f"{recorded.name}.{peer.name}.json"


def _write(recorded: Recorded, peer: Peer, runs: Sequence[Mapping[str, Any]]) -> None:
    lines = ",\n".join(f"  {json.dumps(run)}" for run in runs)
    head = {"surface": recorded.name, "peer": peer.title, "packages": PINNED, **_identity(recorded)}
    text = json.dumps(head)[:-1] + f', "runs": [\n{lines}\n]}}\n'
    path = _path(recorded, peer)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
