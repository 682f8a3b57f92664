"""Starts a cluster's processes and finds them again, whatever became of whoever started them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from state import MARK, ClusterError, State


def start(state: State, name: str, arguments: list[str | Path]) -> psutil.Process:
    """Start a process that outlives this one, marked as the state's; its log and pid lie in the state."""
    state.log(name).parent.mkdir(parents=True, exist_ok=True)
    with state.log(name).open("wb") as log:
        started = subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd=state.folder,
            env=os.environ | {MARK: str(state.folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    state.pid(name).write_text(str(started.pid))
    return psutil.Process(started.pid)


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def marked() -> dict[psutil.Process, Path]:
    """Every live process that a cluster started, with the folder of its state: shims too, containers not."""
    found = {}
    for process in psutil.process_iter():
        try:
            entries = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or it is not ours to look at
            continue
        for entry in entries:
            if entry.startswith(f"{MARK}=".encode()) and alive(process):
                found[process] = Path(os.fsdecode(entry.partition(b"=")[2]))
    return found


def of(state: State) -> list[psutil.Process]:
    """The marked processes of one state."""
    return [process for process, folder in marked().items() if folder == state.folder]


def named(state: State, name: str) -> list[psutil.Process]:
    """The live process that was started as `name`, or none; a pid file alone may be stale."""
    try:
        number = int(state.pid(name).read_text())
    except (FileNotFoundError, ValueError):
        return []
    return [process for process in of(state) if process.pid == number]


def end(processes: list[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Ask them to end, kill those that are still there after `seconds`; returns what even that left."""
    for process in processes:
        _send(process.terminate)
    wait_until(lambda: not any(map(alive, processes)), seconds)
    for process in filter(alive, processes):
        _send(process.kill)
    wait_until(lambda: not any(map(alive, processes)), 10)
    return list(filter(alive, processes))


def _send(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.NoSuchProcess:
        return


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came to hold within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_for(
    what: str,
    condition: Callable[[], bool],
    *,
    seconds: float,
    state: State,
    by: str,
    process: psutil.Process | None = None,
) -> None:
    """Return once `condition` holds.

    Args:
        what: what is waited for, as in "the API server is ready".
        by: whose log tells why it did not come.
        process: where given, its end ends the waiting too.

    Raises:
        ClusterError: it did not hold within `seconds`, or the process ended; with the log's tail.
    """
    ended = False

    def settled() -> bool:
        nonlocal ended
        ended = process is not None and not alive(process)
        return ended or condition()

    if not wait_until(settled, seconds):
        raise ClusterError(f"waited until {what}: not within {seconds:g} s; {state.log_tail(by)}")
    if ended:
        raise ClusterError(f"waited until {what}: {by} ended; {state.log_tail(by)}")


def command(arguments: list[str | Path]) -> str:
    """What a command that ends by itself prints.

    Raises:
        ClusterError: it is not there, or it failed; with its last line.
    """
    words = [str(argument) for argument in arguments]
    try:
        done = subprocess.run(words, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout).strip().splitlines()[-1:] or ["no output"]
        raise ClusterError(f"{' '.join(words)}: exit code {error.returncode}: {last[0]}") from error
    return done.stdout
