"""Compiles the truth server on demand, into the user's cache directory; the source's hash is in its name."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parent
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-function")


def cache_directory() -> Path:
    """Where what the benchmarks make is kept: $XDG_CACHE_HOME/serving-tuner-benchmarks."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "serving-tuner-benchmarks"


def truth_binary() -> Path:
    """The compiled server; compiled now where no earlier call has.

    Raises:
        SystemExit: no C compiler, or it refuses the source; one line.
    """
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for source in sorted(SOURCES.glob("*.[ch]")):
        digest.update(source.read_bytes())
    binary = cache_directory() / f"truth-{digest.hexdigest()[:16]}"
    if binary.exists():
        return binary
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("the truth server needs a C compiler: cc or gcc on the PATH, or its path in CC")
    binary.parent.mkdir(parents=True, exist_ok=True)
    unfinished = binary.with_name(f"{binary.name}.{os.getpid()}")
    command = [compiler, *FLAGS, str(SOURCES / "truth.c"), "-o", str(unfinished), "-lm"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        print(made.stderr, file=sys.stderr)
        raise SystemExit(f"the truth server does not compile with {compiler}")
    unfinished.rename(binary)  # at once, or not at all: two may compile side by side
    return binary


if __name__ == "__main__":
    print(truth_binary())
