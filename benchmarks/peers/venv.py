"""Makes a tool's virtual environment, in the user's cache directory, from PyPI; once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from peers.tool import Tool
from truth.build import cache_directory

_INSTALL_LIMIT_SECONDS = 1800  # guidellm brings torch along
_NEWEST_MINOR = 13  # none of the tools is known to install on a later Python


class NotInstalled(Exception):
    """Why a tool is not there; one line."""


def installed(tool: Tool) -> Path:
    """The bin/ directory of the tool's environment; made now where no earlier call has.

    Raises:
        NotInstalled: no Python that it runs on, or pip refused.
    """
    package = f"{tool.name}=={tool.version}"
    return environment(f"{tool.name}-{tool.version}", [package], python=tool.python)


def environment(name: str, packages: Sequence[str], *, python: tuple[int, int]) -> Path:
    """The bin/ directory of a virtual environment with `packages`, pinned ones; as `installed`.

    Args:
        name: of its folder; names what is in it.
        python: the oldest that they install on.
    """
    home = cache_directory() / "peers" / name
    done = home / "installed"
    if done.exists():
        return home / "bin"
    found = next(_pythons(python), None)
    if found is None:
        raise NotInstalled(f"needs Python {python[0]}.{python[1]} or later, and none is here")
    print(f"installing {', '.join(packages)} from PyPI ...", file=sys.stderr, flush=True)
    shutil.rmtree(home, ignore_errors=True)
    _run([found, "-m", "venv", str(home)])
    install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    _run([str(home / "bin" / "python"), *install])
    done.touch()
    return home / "bin"


def _run(command: list[str]) -> None:
    try:
        made = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_INSTALL_LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"not installed within {_INSTALL_LIMIT_SECONDS} s") from error
    if made.returncode:
        told = made.stderr.strip() or made.stdout.strip()  # venv tells on stdout what it lacks
        last = (told or "no word").splitlines()[-1]
        raise NotInstalled(f"{' '.join(command[1:4])}: {last}")


def _pythons(oldest: tuple[int, int]) -> Iterator[str]:
    """Interpreters that are new enough: this one first, then by name, pyenv's among them."""
    if (3, _NEWEST_MINOR) >= sys.version_info[:2] >= oldest:
        yield sys.executable
    for minor in range(oldest[1], _NEWEST_MINOR + 1):
        version = f"{oldest[0]}.{minor}"
        pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        for candidate in (shutil.which(f"python{version}"), *map(str, pyenv)):
            if candidate and _works(candidate, version):
                yield candidate


def _works(python: str, version: str) -> bool:
    """pyenv's shims exist for versions that are not chosen, and then say so."""
    told = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    return told.returncode == 0 and f" {version}." in told.stdout
