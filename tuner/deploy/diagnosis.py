"""Tells from an exit code and a log why an engine failed. A new pattern is one line here."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tuner.errors import (
    ConfigurationRefused,
    DeployError,
    DeployInterrupted,
    Failure,
    FailureClass,
)

_ACCELERATOR_OOM = re.compile(
    r"CUDA out of memory|OutOfMemoryError: (CUDA|HIP|XPU)|cudaErrorMemoryAllocation|CUDA error: out of memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED|hipErrorOutOfMemory|HIP out of memory|cudaMalloc failed: out of memory"
    r"|failed to allocate (CUDA|ROCm|Vulkan|Metal|SYCL)\d* buffer|ErrorOutOfDeviceMemory"
    r"|No available memory for the cache blocks"
    r"|Not enough memory\. Please try to increase --mem-fraction-static",
    re.IGNORECASE,
)
# The first line that matches is the cause; what follows it are its consequences.
_REASONS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(GGML_ASSERT\(.*\) failed.*)"), lambda m: m[1]),
    (re.compile(r"^[\d.]+ E (?:\w+ +[\w~]+: )?(.*)$"), lambda m: m[1]),  # llama.cpp: time, level, source
    (
        re.compile(r"^(?:llama|ggml|gguf)\w*: .*(?:error|failed|requires|must be|unable|cannot).*$"),
        lambda m: m[0],
    ),
    (re.compile(r"^\S*(?:error|Error): (?!the engine did not start)(.+)$"), lambda m: m[0]),
)
_PYTHON_ERROR = re.compile(r"^(?:\([^)]*\) )?(?:\w+ [\d: -]+)?([\w.]*(?:Error|Exception|Interrupt): .+)$")
_PORT_TAKEN = re.compile(
    r"couldn't bind HTTP server socket|address already in use|EADDRINUSE"
    r"|error while attempting to bind on address",
    re.IGNORECASE,
)
_MESSAGE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Ended:
    """An engine that ended by itself.

    Attributes:
        exit_code: negative for a signal; None where nobody saw it end.
        log: its last lines.
        seconds: it had run.
        kernel_oom_kills: of this machine or container, counted while it ran; None where that is not told.
    """

    exit_code: int | None
    log: str
    seconds: float
    kernel_oom_kills: int | None


def reason(log: str, *, last: bool = False) -> str:
    """The line of a log that says why, shortened: the first that may, or the `last`; "" where none does."""
    lines = [line.rstrip() for line in log.splitlines()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        for line in reversed(lines):
            if match := _PYTHON_ERROR.match(line):
                return _shortened(match[1])
    for line in reversed(lines) if last else lines:
        for pattern, text in _REASONS:
            if match := pattern.search(line):
                return _shortened(text(match))
    return ""


def port_was_taken(log: str) -> bool:
    """Whether the engine says that it could not listen."""
    return bool(_PORT_TAKEN.search(log))


def died_before_ready(ended: Ended) -> DeployError:
    """The error to raise for an engine that ended before it served."""
    return _died(ended, reason(ended.log))


def _died(ended: Ended, why: str) -> DeployError:
    failure = Failure(FailureClass.CRASH, "", ended.log, ended.exit_code)
    how = _how(ended.exit_code)
    if _ACCELERATOR_OOM.search(ended.log):
        text = f"the engine ran out of accelerator memory{_colon(why)}"
        return ConfigurationRefused(replace(failure, kind=FailureClass.ACCELERATOR_OOM, message=text))
    if _killed_by_kernel(ended):
        text = f"the engine was killed for want of host memory after {ended.seconds:.1f} s"
        return ConfigurationRefused(replace(failure, kind=FailureClass.OOM_KILLED, message=text))
    text = f"the engine {how} after {ended.seconds:.1f} s{_colon(why)}"
    failure = replace(failure, message=text)
    if ended.exit_code is None or ended.exit_code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP):
        return DeployInterrupted(failure)  # somebody's doing, not its own
    return ConfigurationRefused(failure)


def died_under_load(ended: Ended) -> Failure:
    """The failure of an engine that had served and then ended."""
    failure = _died(ended, reason(ended.log, last=True)).failure
    if ended.exit_code is None:
        return replace(
            failure, kind=FailureClass.NODE_FAULT, message="the engine and its supervisor vanished"
        )
    if failure.kind is FailureClass.CRASH:
        text = failure.message.replace(
            f" after {ended.seconds:.1f} s", f" {ended.seconds:.1f} s after it was ready"
        )
        return replace(failure, kind=FailureClass.CRASH_UNDER_LOAD, message=text)
    return failure


def kernel_oom_kills() -> int | None:
    """How often the kernel has killed for memory, by every counter that may be read; None where none may."""
    counts = [
        int(match[1])
        for path in _oom_counters()
        if path.is_file() and (match := re.search(r"^oom_kill (\d+)$", _text(path), re.MULTILINE))
    ]
    return sum(counts) if counts else None


def _oom_counters() -> list[Path]:
    """memory.events (cgroup v2), memory.oom_control (v1), and the machine's own counter."""
    found = [Path("/proc/vmstat")]
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:
            found.append(Path("/sys/fs/cgroup") / group.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            found.append(Path("/sys/fs/cgroup/memory") / group.lstrip("/") / "memory.oom_control")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _killed_by_kernel(ended: Ended) -> bool:
    if ended.exit_code != -signal.SIGKILL:
        return False
    return ended.kernel_oom_kills is None or ended.kernel_oom_kills > 0


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "vanished"
    if exit_code < 0:
        return f"ended by {signal.Signals(-exit_code).name}"
    return f"ended with code {exit_code}"


def _colon(why: str) -> str:
    return f": {why}" if why else ", and its log does not say why"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MESSAGE_CHARACTERS else f"{text[: _MESSAGE_CHARACTERS - 3]}..."
