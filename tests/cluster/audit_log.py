"""What an account asked of the API server, by its audit log."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


class Requests:
    """Those of one account, without watches, oldest first."""

    def __init__(self) -> None:
        self.entries: list[Json] = []

    def __len__(self) -> int:
        return len(self.entries)

    def from_first(self, verb: str, resource: str) -> Requests:
        """Those from the first of that kind on: what comes before is a run's beginning."""
        made = Requests()
        for entry in self.entries:
            about = (entry["verb"], entry.get("objectRef", {}).get("resource"))
            if made.entries or (about == (verb, resource) and "dryRun" not in entry["requestURI"]):
                made.entries.append(entry)
        return made

    def where(self, verb: str) -> list[str]:
        """What was asked with it: the paths with their selectors, one for each request."""
        return [_asked(entry) for entry in self.entries if entry["verb"] == verb]

    def shown(self) -> str:
        """How often which verb met which resource, for a person."""
        counts: dict[str, int] = {}
        for entry in self.entries:
            about = entry.get("objectRef", {})
            name = "/".join(
                filter(None, (about.get("resource", entry["requestURI"]), about.get("subresource")))
            )
            counts[f"{entry['verb']} {name}"] = counts.get(f"{entry['verb']} {name}", 0) + 1
        return ", ".join(f"{count} {what}" for what, count in sorted(counts.items(), key=lambda one: -one[1]))


def _asked(entry: Json) -> str:
    parts = urlsplit(entry["requestURI"])
    query = parse_qs(parts.query)
    chosen = [f"{key}={query[key][0]}" for key in ("labelSelector", "fieldSelector") if key in query]
    return " ".join([parts.path, *chosen])


@contextlib.contextmanager
def requests_of(user: str, log: Path) -> Iterator[Requests]:
    """What `user` asks meanwhile; filled when the context ends.

    Args:
        log: the API server's audit log, of whole requests alone.
    """
    found = Requests()
    with log.open("rb") as file:
        file.seek(0, 2)
        yield found
        for line in file:
            entry = json.loads(line)
            if entry["user"]["username"] == user and entry["verb"] != "watch":
                found.entries.append(entry)
