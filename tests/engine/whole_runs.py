"""Whole commands on the real engine and a real Ray, each in a process of its own, and what they leave behind.

Everything a command starts inherits a mark in its environment, by which it is found again whatever became of
its parents.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tuner.deploy.supervised import RUN_MARK, Mark

MARK = "WHOLE_RUNS_LAB"
TRIAL_ACTOR = "ray::ResourceTrainable"  # Ray's name for what wraps DeploymentTrainable
BENCHMARK_ACTOR = "ray::BenchmarkActor"
_DEAD = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)

# Six configurations: the quantised cache without flash attention crashes, one slot misses the limit by far,
# eight slots keep it also where the machine is four times slower than at rest.
SMALL: dict[str, Any] = {
    "name": "small",
    "model": {"synthetic": {}},
    "deploy": {
        "backend": "local",
        "ready_seconds": 20,
        "template": "llama_server.argv.j2",
        "binary": "embedded",
    },
    "parameters": {
        "slots": {"values": [1, 4, 8], "flag": "--parallel"},
        "cache_v": {"values": ["f16", "q8_0"], "flag": "--cache-type-v"},
        "flash": {"values": ["off"], "flag": "--flash-attn"},
    },
    "baseline": {"slots": 4, "cache_v": "f16", "flash": "off"},
    "workload": {
        "scenario": "D(8,24)",
        "concurrency": 8,
        "rounds": 2,
        "round_seconds": 1,
        "warmup_seconds": 0.5,
    },
    "objective": {"maximize": "output_tokens_per_second"},
    "slo": {"ttft_p50_ms": 250},
    "accuracy": {"check": "off"},  # whom it would compare crashes; test_answers_run.py compares
    "search": {"trials": 6, "seed": 1, "sampler": "grid", "early_stop": "hopeless"},
    "validation": {"top": 1, "deployments": 2},
}


@dataclass(frozen=True)
class Ended:
    """How a command ended; `seconds` is its wall time."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.strip()]


class Started:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self.begun = time.monotonic()
        self._out, self._err = out, err

    def wait(self, seconds: float) -> Ended:
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still running after {seconds} s\n{self.out}\n{self.err}") from None
        return Ended(code, self.out, self.err, time.monotonic() - self.begun)

    @property
    def out(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_text(errors="replace")

    def interrupt(self) -> None:
        """Ctrl-C as a terminal sends it: to the whole group, Ray's processes among them."""
        os.killpg(self.process.pid, signal.SIGINT)


class Lab:
    """A directory to work in, with a home and a Ray of its own.

    Args:
        folder: commands run in it.
        python: the interpreter of the commands.
    """

    def __init__(self, folder: Path, *, python: str = sys.executable) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.python = python
        self.mark = uuid.uuid4().hex
        self._short = Path(tempfile.mkdtemp(prefix="lab-"))  # Ray's sockets want a short path
        self._count = 0
        self._sessions: set[int] = set()

    @property
    def environment(self) -> dict[str, str]:
        """For commands: nothing of Ray's is taken over, the cache of synthetic models is shared."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_") and k != "PYTHONPATH"}
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return {
            **kept,
            MARK: self.mark,
            "HOME": str(self._short),
            "XDG_CACHE_HOME": cache,
            "RAY_TMPDIR": str(self._short / "r"),
            "COLUMNS": "100",
        }

    def write(self, name: str = "small.yaml", **changes: Any) -> Path:
        """An experiment file: SMALL, with whole sections merged over it; None takes one out."""
        spec = json.loads(json.dumps(SMALL))
        for section, value in changes.items():
            if value is None:
                del spec[section]
            elif isinstance(value, dict) and isinstance(spec.get(section), dict):
                spec[section] = {**spec[section], **value}
            else:
                spec[section] = value
        path = self.folder / name
        path.write_text(yaml.safe_dump(spec, sort_keys=False))
        return path

    def start(self, *arguments: str | Path, module: str = "tuner.search") -> Started:
        """The command with --plain, not waited for."""
        plain = ["--plain"] if module == "tuner.search" else []
        command = [self.python, "-m", module, *map(str, arguments), *plain]
        return self.launch(command)

    def launch(self, command: list[str], **variables: str) -> Started:
        """Any command."""
        (self._short / "r").mkdir(exist_ok=True)
        self._count += 1
        out, err = (self._short / f"{self._count}.{kind}" for kind in ("out", "err"))
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                start_new_session=True,
            )
        self._sessions.add(process.pid)
        return Started(process, out, err)

    def run(self, *arguments: str | Path, seconds: float = 110.0) -> Ended:
        """The command to its end."""
        return self.start(*arguments).wait(seconds)

    # -- what is there -----------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Everything alive that a command of this lab started, directly or not."""
        found = {process.pid: process for process, _ in self._marked()}
        for process in psutil.process_iter():  # Ray's agents write their titles over their environment
            with contextlib.suppress(psutil.Error, OSError):
                if os.getsid(process.pid) in self._sessions and process.status() not in _DEAD:
                    found.setdefault(process.pid, process)
        return list(found.values())

    def engines(self) -> list[psutil.Process]:
        """Those of them that belong to a deployment."""
        return [process for process, environment in self._marked() if RUN_MARK in environment]

    def deployments(self) -> set[str]:
        """The names of what is deployed now."""
        marks = (Mark.read(environment) for _, environment in self._marked())
        return {mark.name for mark in marks if mark}

    def named(self, beginning: str) -> list[psutil.Process]:
        """Those whose title begins so, such as ray::BenchmarkActor, or whose program is called so."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                title = " ".join(process.cmdline())
                if title.startswith(beginning) or process.name() == beginning:
                    found.append(process)
        return found

    def _marked(self) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                environment = process.environ()
                if environment.get(MARK) == self.mark and process.status() not in _DEAD:
                    yield process, environment

    def the_run(self) -> Path:
        """The one run directory."""
        (found,) = (path for path in self.runs.iterdir() if path.is_dir())
        return found

    def close(self) -> None:
        """End whatever is left."""
        deadline = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.05)
        shutil.rmtree(self._short, ignore_errors=True)


def until(condition: Callable[[], Any], *, seconds: float, what: str, every: float = 0.05) -> Any:
    """What `condition` gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(every)
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file; none where it is not there yet. A line being written is left out."""
    if not path.exists():
        return []
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def ended_search(run: Path) -> list[tuple[int, int, str]]:
    """(trial, attempt, state) of the search's ended deployments."""
    return [
        (line["trial"], line["attempt"], line["state"])
        for line in lines(run / "trials.jsonl")
        if line["phase"] == "search"
    ]
