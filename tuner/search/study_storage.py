"""Where the study is kept: opened with a password from elsewhere, and waited for while its server is away."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import optuna
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError

from tuner.errors import UserError, WorldError
from tuner.spec.search import STORAGE_PASSWORD, VARIABLE

R = TypeVar("R")

PATIENCE_SECONDS = 60.0  # a server that is started again, or moves to another node
_PAUSE_SECONDS = 0.5
_RIGHT = "postgresql+psycopg://USER@HOST/DATABASE, or without it a file in the run directory"
# A server whose machine is gone says nothing: without these a query would wait for a quarter of an hour.
_LIBPQ: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def opened(url: str, *, environment: Mapping[str, str] | None = None) -> optuna.storages.BaseStorage:
    """The storage at an Optuna URL; what stands as `${NAME}` for its password is taken from the environment.

    The password is handed to the database's driver alone: neither the storage nor an error holds it.

    Raises:
        UserError: the URL is none, the driver that it names is not installed, the variable is not set.
        WorldError: it cannot be reached.
    """
    plain, password = _apart(url, os.environ if environment is None else environment)
    try:
        return optuna.storages.RDBStorage(plain, engine_kwargs=_engine(plain, password))
    except (ArgumentError, NoSuchModuleError) as error:
        raise UserError(f"search.storage: got {url!r}: {cause(error)}; would be right: {_RIGHT}") from error
    except ImportError as error:
        raise UserError(
            f"search.storage: got {url!r}: {cause(error)}; would be right: that package, "
            "or the extra `postgres` and postgresql+psycopg://"
        ) from error
    except Exception as error:  # SQLAlchemy's and the drivers' own, by backend
        raise WorldError(f"study storage {url}: {cause(error)}") from error


def cause(error: BaseException) -> str:
    """What lies at the bottom of it, in one line: Optuna's own words on a full disk speak of invalid data."""
    while (below := error.__cause__ or getattr(error, "orig", None)) is not None:
        error = below
    return " ".join(str(error).split())[:200]


class Patience:
    """Makes calls to the storage; while its server is away, again and again. Each must bear being repeated.

    A server that was given up is not waited for again: a run ends with one wait, not with one for each trial.

    Args:
        url: of the storage; "" for one without a server.
        say: told in one line that there is a wait.
        now: monotonic seconds.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        say: Callable[[str], None] = lambda line: None,
        seconds: float = PATIENCE_SECONDS,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._has_server = "://" in url and not url.startswith("sqlite")
        self._say = say
        self._seconds = seconds
        self._now = now
        self._sleep = sleep
        self._given_up: WorldError | None = None

    def insist(self, call: Callable[[], R]) -> R:
        """What `call` returns.

        Raises:
            WorldError: it failed; where the server is away, after so long.
        """
        if self._given_up is not None:
            raise self._given_up
        since: float | None = None
        while True:
            try:
                return call()
            except (optuna.exceptions.StorageInternalError, SQLAlchemyError, OSError) as error:
                why = cause(error)
                if not (self._has_server and _may_pass(error)):
                    raise WorldError(f"study storage: {why}") from error
                if since is None:
                    since = self._now()
                    self._say(
                        f"the study's storage is away, waiting for it up to {self._seconds:.0f} s: {why}"
                    )
                elif self._now() - since > self._seconds:
                    self._given_up = WorldError(
                        f"study storage: away for {self._now() - since:.0f} s: {why}; "
                        "start it again and give the same command: the run goes on"
                    )
                    raise self._given_up from error
            self._sleep(_PAUSE_SECONDS)


def _may_pass(error: BaseException | None) -> bool:
    """Whether it is the connection or the server, not what was asked of it."""
    while error is not None:
        if isinstance(error, (OperationalError, InterfaceError, OSError)):
            return True
        error = error.__cause__
    return False


def _apart(url: str, environment: Mapping[str, str]) -> tuple[str, str | None]:
    """The URL without a password, and the password; None where the driver finds its own, as in PGPASSWORD."""
    given = STORAGE_PASSWORD.search(url)
    named = VARIABLE.fullmatch(given[2]) if given else None
    if given is None or named is None:
        return url, None
    if named[1] not in environment:
        raise UserError(
            f"search.storage: the variable {named[1]} is not set; would be right: the password in it"
        )
    return f"{url[: given.start()]}{given[1]}{url[given.end() :]}", environment[named[1]]


def _engine(url: str, password: str | None) -> dict[str, Any]:
    """What SQLAlchemy is told; a key that the URL has itself is left alone."""
    if url.startswith("sqlite"):
        return {}
    connect: dict[str, Any] = {} if password is None else {"password": password}
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        connect |= {key: value for key, value in _LIBPQ.items() if key not in parsed.query}
    return {"pool_pre_ping": True, "connect_args": connect}
