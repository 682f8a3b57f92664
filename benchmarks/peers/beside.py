"""Runs one tool against the truth server: what it says, and what the server's log says of the same run."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from peers import aiperf, genai_bench, guidellm, inference_perf
from peers.tokenizer import write_tokenizer
from peers.tool import Job, Tool
from peers.venv import NotInstalled, installed
from truth.record import WHOLE, Truth
from truth.server import TruthServer

TOOLS = {t.name: t for t in (genai_bench.TOOL, guidellm.TOOL, aiperf.TOOL, inference_perf.TOOL)}
_BEYOND_THE_LOAD_SECONDS = 180  # for starting up, making prompts and writing reports
_LOOK_SECONDS = 0.25


def run_beside(
    tool: Tool, *, streams: int, seconds: int, tokens: int, ideal_per_second: float
) -> dict[str, Any]:
    """One run of one tool; {"tool", "failed"} where it cannot be had or gives no figures.

    Nobody is pinned: the tool has all cores, as far as the server leaves them.
    """
    found: dict[str, Any] = {"tool": f"{tool.name} {tool.version}"}
    try:
        binaries = installed(tool)
    except NotInstalled as error:
        return {**found, "failed": f"not installed: {error}"}
    with tempfile.TemporaryDirectory() as place:
        log, folder = Path(place) / "truth.log", Path(place) / "out"
        folder.mkdir()
        with TruthServer(log=log, tokens=tokens, nice=-10) as server:
            job = Job(
                url=server.url,
                tokenizer=write_tokenizer(Path(place) / "tokenizer"),
                folder=folder,
                streams=streams,
                seconds=seconds,
                tokens=tokens,
                requests=streams * math.ceil(seconds * ideal_per_second / streams),
            )
            failed, cpu = _run(tool, binaries, job)
            records = list(server.records())
        try:
            reported = tool.reported(job)
        except (KeyError, IndexError, OSError, ValueError, TypeError) as error:
            return {**found, "failed": failed or f"no figures: {type(error).__name__}: {error}"}
        found |= {
            "reported_requests_per_second": reported.requests_per_second,
            "reported_ttft_mean_ms": reported.ttft_mean_ms,
            "reported_ttft_p99_ms": reported.ttft_p99_ms,
        }
        return found | _from_log(records, cpu, tokens)


def _run(tool: Tool, binaries: Path, job: Job) -> tuple[str, list[tuple[float, float]]]:
    """Why it failed ("" where it did not), and its CPU seconds over time."""
    name, *arguments = tool.command(job)
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ.get('PATH', '')}", **tool.environment}
    output = job.folder / "output.txt"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [str(binaries / "python"), str(binaries / name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=job.folder,
            env=environment,
            start_new_session=True,
        )
        cpu: list[tuple[float, float]] = []
        ended = threading.Event()
        watch = threading.Thread(target=_watch_cpu, args=(process.pid, cpu, ended))
        watch.start()
        limit = job.seconds + _BEYOND_THE_LOAD_SECONDS
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"not done within {limit} s", cpu
        finally:
            ended.set()
            watch.join()
            _end_session(process.pid)
            process.wait()
    last = (output.read_text(errors="replace").strip() or "no word").splitlines()[-1].strip()
    return (f"exit code {process.returncode}: {last}" if process.returncode else ""), cpu


def _end_session(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # all of it has ended


def _watch_cpu(pid: int, cpu: list[tuple[float, float]], ended: threading.Event) -> None:
    """CPU seconds of the tool and all its processes, again and again."""
    while not ended.wait(_LOOK_SECONDS):
        try:
            root = psutil.Process(pid)
            times = [p.cpu_times() for p in (root, *root.children(recursive=True))]
        except psutil.Error:
            continue  # one ended between being listed and being asked
        cpu.append((time.perf_counter(), sum(t.user + t.system for t in times)))


def _from_log(records: Sequence[Truth], cpu: Sequence[tuple[float, float]], tokens: int) -> dict[str, float]:
    """Rate and CPU in the middle half of the load, where neither start nor end is; TTFT of every request."""
    whole = [r for r in records if r.status == WHOLE and len(r.token_times) == tokens]
    if not whole or len(cpu) < 2:
        return {"requests": float(len(whole))}
    first, last = min(r.received for r in whole), max(r.ended for r in whole)
    opens, closes = first + 0.25 * (last - first), first + 0.75 * (last - first)
    times = np.concatenate([r.token_times for r in records if len(r.token_times)])
    sent = int(((times >= opens) & (times < closes)).sum())
    at, used = zip(*cpu, strict=True)
    seconds = float(np.interp(closes, at, used) - np.interp(opens, at, used))
    ttft_ms = [r.ttft_ms for r in whole]
    return {
        "requests": float(len(whole)),
        "requests_per_second": sent / tokens / (closes - opens),
        "us_per_token": 1e6 * seconds / sent if sent else float("nan"),
        "truth_ttft_mean_ms": float(np.mean(ttft_ms)),
        "truth_ttft_p99_ms": float(np.quantile(ttft_ms, 0.99)),
    }
