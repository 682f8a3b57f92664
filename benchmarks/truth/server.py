"""Runs a truth server for as long as a `with` block lasts."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from truth.build import truth_binary
from truth.record import Truth, read_log


class TruthServer:
    """A truth server of its own process; the flags are those at the head of truth.c, `_` for `-`.

    Example: `with TruthServer(first_us=50_000, gap_us=10_000, log=path) as server: server.url`

    Args:
        log: where what was sent is written; needed for `records`.
    """

    def __init__(self, *, log: Path | None = None, **flags: int | str) -> None:
        self._log = log
        command = [str(truth_binary()), *(["--log", str(log)] if log else [])]
        for name, value in flags.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> TruthServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if len(words) != 2:
            self.__exit__(None, None, None)
            raise SystemExit(f"the truth server did not start: {' '.join(self._command)}")
        self.port = int(words[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    @property
    def url(self) -> str:
        """Its base, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def records(self) -> Iterator[Truth]:
        """Every request that has ended so far."""
        assert self._log is not None, "the server was started without a log"
        return self.read(self.url, self._log)

    @staticmethod
    def read(url: str, log: Path) -> Iterator[Truth]:
        """The same from another process."""
        with urllib.request.urlopen(f"{url}/truth/flush", timeout=10) as answer:
            answer.read()
        return read_log(log)
