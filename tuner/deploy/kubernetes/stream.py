"""A watch's answer: a JSON object a line, for as long as the server sends; another thread may end it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import urllib3


class Expired(Exception):
    """The version to go on from is no longer known (410): list again."""


class Broken(Exception):
    """The connection ended in the middle, or the server sent an error."""


class Stream:
    """Iterates (type, object); ends with the server's time limit, or when `close` is called."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self._closed = False

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Changes as they arrive.

        Raises:
            Expired, Broken: see there; neither once it was closed.
        """
        rest = b""
        try:
            for chunk in self._response.stream(None, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield _change(line)
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            if not self._closed:  # a socket that is shut down under a reader raises many things
                raise Broken(str(error) or type(error).__name__) from error
        finally:
            self._response.close()

    def close(self) -> None:
        """End the iteration in whichever thread it is. Never raises."""
        self._closed = True
        with suppress(Exception):
            self._response.shutdown()


def _change(line: bytes) -> tuple[str, dict[str, Any]]:
    told = json.loads(line)
    if told["type"] == "ERROR":
        status = told["object"]
        if status.get("code") == 410:
            raise Expired
        raise Broken(str(status.get("message") or status))
    return told["type"], told["object"]
