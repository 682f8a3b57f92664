"""Debian's PostgreSQL in a folder of the test's own, under a user that is not root; it ends with the test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

REQUIRED = "TUNER_TEST_POSTGRES"  # set to 1: a server that is missing fails the test instead of skipping it
_PLACES = "/usr/lib/postgresql"
_UP_SECONDS = 30.0
_USERS = ("postgres", "nobody")


def programs() -> Path:
    """The folder with `postgres` and `initdb`; skips the test, in one line, where there is none."""
    on_path = shutil.which("postgres")
    found = sorted(Path(_PLACES).glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if on_path:
        found.append(Path(on_path))
    lacking = "" if found else "the Debian package postgresql"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        lacking = "psycopg: pip install 'ray-serving-tuner[postgres]'"
    if lacking:
        (pytest.fail if os.environ.get(REQUIRED) == "1" else pytest.skip)(f"the test needs {lacking}")
    return found[-1].parent


class PostgresServer:
    """One server on loopback, with the database `study` of a user `study` who has a password.

    Attributes:
        url: for `search.storage`; the password is not in it.
    """

    def __init__(self, password: str) -> None:
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._password = password
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg://study@127.0.0.1:{self._port}/study"

    def create(self) -> None:
        """Make the cluster and the database, and leave the server up."""
        secret = self._folder / "password"
        secret.write_text(self._password)
        if user := _user():
            for path in (self._folder, secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        initdb = [self._programs / "initdb", "--pgdata", self._data, "--username=study", f"--pwfile={secret}"]
        subprocess.run(
            _as_user([*initdb, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]),
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        self.start()
        with self.connect("postgres") as connection:
            connection.execute("CREATE DATABASE study")

    def start(self) -> None:
        """Start it, and return once it answers."""
        options = (f"port={self._port}", "listen_addresses=127.0.0.1", "unix_socket_directories=")
        command = [self._programs / "postgres", "-D", self._data, *(f"--{each}" for each in options)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                _as_user(command),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        import psycopg

        deadline = time.monotonic() + _UP_SECONDS
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()[-500:]
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.05)

    def stop(self, *, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts connections and ends in order, SIGQUIT is a crash that is recovered from."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def connect(self, database: str = "study") -> Any:
        """A connection as the owner; every statement by itself."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self._port,
            user="study",
            password=self._password,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def text(self) -> str:
        """Every value of every table."""
        with self.connect() as connection:
            tables = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            ).fetchall()
            rows = [connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in tables]
        return repr(rows)

    def close(self) -> None:
        """End it and leave nothing."""
        with suppress(subprocess.TimeoutExpired):
            self.stop(how=signal.SIGQUIT)
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"


def _user() -> pwd.struct_passwd | None:
    """Whom the server runs as where we are root, which it refuses to be."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in _USERS if name in known)


def _as_user(command: list[Any]) -> list[str]:
    """The command under that user; it is killed with this process."""
    user = _user()
    whom = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else []
    return ["setpriv", "--pdeathsig=KILL", *whom, "--", *map(str, command)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
