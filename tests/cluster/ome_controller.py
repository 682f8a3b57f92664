"""Something that does what OME does, for the tests of a cluster: the stand-in, or a real manager.

The stand-in (ome_stand_in.py and the files beside it) does with an InferenceService what the controller of
OME 0.1.5 was recorded to do. With the environment variable OME_MANAGER naming the controller manager of
OME, a program, that one runs instead. Only one may act on a cluster at a time: where TUNER_OME_RUNNING=1
says that one does already, none is started.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STAND_IN = Path(__file__).with_name("ome_stand_in.py")
_REAL = Path(__file__).with_name("ome_real_manager.py")
_WORKING = re.compile("Starting workers.*inferenceservice")  # both say so in their log
# The shell is the child's keeper: it ends it when the pipe that is its input closes, however that came about.
_KEEPER = """
exec 3<&0
"$@" 3<&- &
child=$!
{ cat <&3 >/dev/null; kill $child 2>/dev/null; } &
exec 3<&-
wait $child
"""


def manager_program() -> Path | None:
    """The real manager that the tests are to run with; None for the stand-in."""
    named = os.environ.get("OME_MANAGER")
    return Path(named) if named else None


@contextmanager
def running_ome(kubeconfig: Path, log: Path, *, start_seconds: float = 60) -> Iterator[None]:
    """A controller for InferenceServices on a cluster that has their definitions, until the block ends.

    It runs as a process of its own, and ends when this one does, also when this one is killed.

    Args:
        kubeconfig: rights to everything the controller makes and reads.
        log: where its output goes; written over.
        start_seconds: how long it may take until it acts.

    Raises:
        RuntimeError: it ended, or does not act after `start_seconds`; with the end of its log.
    """
    if os.environ.get("TUNER_OME_RUNNING") == "1":
        yield
        return
    manager = manager_program()
    command = [sys.executable, str(_STAND_IN if manager is None else _REAL), "--kubeconfig", str(kubeconfig)]
    if manager is not None:
        command += ["--manager", str(manager)]
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C at the terminal is for the tests
        )
    assert keeper.stdin is not None
    try:
        _wait_until_it_works(keeper, log, start_seconds)
        yield
    finally:
        keeper.stdin.close()
        keeper.wait(timeout=30)


def _wait_until_it_works(keeper: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _WORKING.search(said := log.read_text(errors="replace")):
        if keeper.poll() is not None or time.monotonic() > deadline:
            state = "ended" if keeper.returncode is not None else f"does not act after {seconds:g} s"
            raise RuntimeError(f"the controller for InferenceServices {state}: {said[-2000:]}")
        time.sleep(0.05)
