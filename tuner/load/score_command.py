"""Runs the user's own command against an endpoint; the last line that it prints is a score."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tuner.errors import Cancelled
from tuner.load.exchange import one_line
from tuner.spec.accuracy import ScoreCommand
from tuner.trial.ports import Cancel, Endpoint, LoadError

_LOOK_SECONDS = 0.1
_END_SECONDS = 5.0  # from SIGTERM to SIGKILL
# A pipe as life line: when whoever holds its other end is gone, however that ended, so is the whole group.
_RUN = """\
exec 3<&0 </dev/null
{ cat <&3; kill -TERM 0; } >/dev/null 2>&1 &
exec 3<&-
exec /bin/sh -c "$1"
"""


def score_of(
    command: ScoreCommand,
    endpoint: Endpoint,
    *,
    cancel: Cancel,
    clock: Callable[[], float],
) -> float:
    """The score. What the command started is gone again when this returns or raises, or its process dies.

    Its environment says where to ask: ENDPOINT_URL (without a path), ENDPOINT_MODEL, and for tools that know
    OpenAI's variables OPENAI_BASE_URL and OPENAI_API_KEY; with a CA of its own also SSL_CERT_FILE.

    Raises:
        LoadError: it did not end in time, failed, or printed no number.
        Cancelled: `cancel()` said so.
    """
    with tempfile.TemporaryDirectory(prefix="tuner-score-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        line, held = os.pipe()
        with (
            out.open("wb") as stdout,
            err.open("wb") as stderr,
            os.fdopen(held, "wb"),
            os.fdopen(line, "rb") as stdin,
        ):
            started = subprocess.Popen(
                ["/bin/sh", "-c", _RUN, "sh", command.run],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **_told(endpoint, Path(folder))},
                start_new_session=True,
            )
            try:
                code = _ended(started, command.seconds, cancel=cancel, clock=clock)
            finally:
                _end(started)
        if code != 0:
            said = _last_line(err) or _last_line(out)
            if endpoint.token:  # a command may print its environment
                said = said.replace(endpoint.token, "***")
            raise LoadError(f"accuracy.command ended with {code}: {said}")
        return _score(_last_line(out))


def _ended(
    started: subprocess.Popen[bytes], seconds: float, *, cancel: Cancel, clock: Callable[[], float]
) -> int:
    until = clock() + seconds
    while True:
        try:
            return started.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if cancel():
                raise Cancelled("cancelled while accuracy.command ran") from None
            if clock() > until:
                raise LoadError(
                    f"accuracy.command did not end within {seconds:g} s; would be right: a quicker one, or "
                    "accuracy.command.seconds"
                ) from None


def _end(started: subprocess.Popen[bytes]) -> None:
    """The whole group; also what a command that ended by itself left behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(started.pid, number)
        except ProcessLookupError:
            break
        try:
            started.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _told(endpoint: Endpoint, folder: Path) -> dict[str, str]:
    found = {
        "ENDPOINT_URL": endpoint.url,
        "ENDPOINT_MODEL": endpoint.model,
        "OPENAI_BASE_URL": f"{endpoint.url.rstrip('/')}/v1",
        "OPENAI_API_KEY": endpoint.token or "none",
    }
    if endpoint.ca_pem:
        ca = folder / "ca.pem"
        ca.write_text(endpoint.ca_pem, encoding="utf-8")
        found["SSL_CERT_FILE"] = str(ca)
    return found


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    return one_line(lines[-1], 200) if lines else ""


def _score(line: str) -> float:
    try:
        found = float(line)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        got = repr(line) if line else "nothing"
        raise LoadError(f"accuracy.command printed {got} last; would be right: a number, more is better")
    return found
