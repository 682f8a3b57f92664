"""The first process of a test engine's container: the embedded engine, or a failure that was asked for.

    /engine --model $(MODEL_PATH) <llama-server flags> [--fail KIND[,KIND...]]

--model may name a folder with one GGUF file. KIND, here or in the variable ENGINE_FAIL, is one of
    none               serve
    exit=CODE          end at once with this exit code
    exit=CODE@SECONDS  serve, and end so long after the start
    memory             take memory until the container's limit ends it
    memory@SECONDS     the same after serving for so long
    never-ready        run and listen nowhere
    slow=SECONDS       start so much later
    accelerator-oom    print what PyTorch prints when CUDA memory is out, and exit with 1
    ignore-sigterm     serve, and leave SIGTERM unanswered
What the variable ENGINE_SAY holds is printed at the start, as engines print their arguments.
With ENGINE_IGNORE_UNKNOWN=1, flags that llama-server lacks are dropped, so that another engine's are taken.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tuner.deploy.embedded.flags import FLAGS

_STEP_BYTES = 32 << 20
_MEMORY_CAP_BYTES = 4 << 30  # a container without a limit must not take the machine's
_TAKES_VALUE = {name: flag.kind is not None for flag in FLAGS for name in flag.names}
_CUDA_OUT_OF_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
    "79.15 GiB of which 1.06 GiB is free."
)


def split_failures(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """The engine's own arguments, and the failures asked for with what follows their `=` or `@`.

    >>> split_failures(["--parallel", "2", "--fail", "exit=3@5"])
    (['--parallel', '2'], {'exit': '3@5'})
    """
    kept, asked = [], os.environ.get("ENGINE_FAIL", "none")
    words = iter(arguments)
    for word in words:
        if word == "--fail":
            asked = next(words, "none")
        elif word.startswith("--fail="):
            asked = word.partition("=")[2]
        else:
            kept.append(word)
    failures = {}
    for kind in asked.split(","):
        name = kind.partition("=")[0].partition("@")[0]
        failures[name] = kind[len(name) + 1 :]
    failures.pop("none", None)
    return kept, failures


def known_only(arguments: list[str]) -> list[str]:
    """The flags that llama-server has, with their values; another engine's are dropped with theirs."""
    kept: list[str] = []
    keep = values = False
    for word in arguments:
        if word.startswith("-") and not word[1:2].isdigit():
            name, equals, _ = word.partition("=")
            keep = name in _TAKES_VALUE
            values = keep and _TAKES_VALUE[name] and not equals
            if keep:
                kept.append(word)
        elif keep and values:
            kept.append(word)
            values = False
    return kept


def with_model_file(arguments: list[str]) -> list[str]:
    """`arguments` with a --model that names a folder turned into the first GGUF file in it."""
    changed = list(arguments)
    for place, word in enumerate(changed[1:], start=1):
        if changed[place - 1] == "--model" and Path(word).is_dir():
            files = sorted(Path(word).glob("*.gguf"))
            changed[place] = str(files[0]) if files else word
    return changed


def take_memory() -> int:
    """Take and touch memory until the kernel ends this process; 64 where it does not."""
    taken = []
    for _ in range(_MEMORY_CAP_BYTES // _STEP_BYTES):
        taken.append(b"\1" * _STEP_BYTES)
    _say(f"took {len(taken) * _STEP_BYTES >> 20} MiB and was let; give the container a memory limit")
    return 64


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def serve(arguments: list[str], failures: dict[str, str]) -> int:
    """Run the engine in a child, which unlike a container's first process dies of SIGTERM; its exit code."""
    code, _, exit_after = failures.get("exit", "").partition("@")
    seconds = exit_after or failures.get("memory") or None
    engine = subprocess.Popen([sys.executable, "-m", "tuner.deploy.embedded", *arguments])

    def pass_on(number: int, _: object) -> None:
        if "ignore-sigterm" not in failures:
            engine.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    try:
        ended = engine.wait(None if seconds is None else float(seconds))
    except subprocess.TimeoutExpired:
        engine.kill()
        engine.wait()
        _say(f"failing as asked: {failures}")
        return take_memory() if "memory" in failures else int(code)
    return ended if ended >= 0 else 128 - ended


def main() -> int:
    """What the container ends with."""
    arguments, failures = split_failures(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: None if "ignore-sigterm" in failures else sys.exit(143))
    if "ENGINE_SAY" in os.environ:
        _say(f"the engine was told {os.environ['ENGINE_SAY']}")
    if "slow" in failures:
        time.sleep(float(failures["slow"]))
    if "accelerator-oom" in failures:
        _say(_CUDA_OUT_OF_MEMORY)
        return 1
    if failures.get("memory") == "":
        return take_memory()
    if "exit" in failures and "@" not in failures["exit"]:
        _say(f"failing as asked: {failures}")
        return int(failures["exit"])
    if "never-ready" in failures:
        while True:
            signal.pause()
    if os.environ.get("ENGINE_IGNORE_UNKNOWN"):
        arguments = known_only(arguments)
    return serve(with_model_file(arguments), failures)


if __name__ == "__main__":
    sys.exit(main())
