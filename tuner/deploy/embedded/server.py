"""Runs xllamacpp's server in this process until it is killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tuner.deploy.embedded.flags import FLASH_ATTENTION, parse

_INSTALL = "the embedded engine needs the xllamacpp package: pip install 'ray-serving-tuner[engine]'"
_AUTO_SLOTS = 4  # llama-server's own choice for --parallel -1, with a unified KV cache
_NEVER_ALIKE = {  # what would make two starts of the same flags differ
    "fit_params": False,  # fits the context to whatever memory is free at this moment
    "cache_ram_mib": 0,  # keeps prompts of earlier rounds
}


def common_params(xllamacpp: Any, fields: dict[str, Any]) -> Any:
    """xllamacpp's CommonParams as llama-server would set them for the same flags.

    Args:
        xllamacpp: the module; passed in because it is an optional dependency.
        fields: of `flags.parse`.
    """
    params = xllamacpp.CommonParams()
    params.n_parallel = -1
    for name, value in {**_NEVER_ALIKE, **fields}.items():
        *path, last = name.split(".")
        target = params
        for part in path:
            target = getattr(target, part)
        setattr(target, last, _converted(xllamacpp, last, value))
    if "cpuparams_batch.n_threads" not in fields:
        params.cpuparams_batch.n_threads = params.cpuparams.n_threads
    if params.n_parallel < 0:
        params.n_parallel = _AUTO_SLOTS
        if "kv_unified" not in fields:
            params.kv_unified = True
    return params


def _converted(xllamacpp: Any, field: str, value: Any) -> Any:
    """`value` in the type that CommonParams has for `field`."""
    if field == "flash_attn_type":
        return xllamacpp.llama_flash_attn_type[f"LLAMA_FLASH_ATTN_TYPE_{FLASH_ATTENTION[value]}"]
    if field in ("cache_type_k", "cache_type_v"):
        return xllamacpp.ggml_type[f"GGML_TYPE_{value.upper()}"]
    if field == "model_alias":
        return {value}
    if field in ("hostnames", "api_keys"):
        return [value]
    return value


def main(arguments: list[str]) -> int:
    """Serve until a signal ends the process; the exit code when it could not be started.

    2: the flags, or a file that they name; 1: the engine refused, its reason stands above on stderr.
    """
    fields = parse(arguments)
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # a debugger's stack would bury the reason, seconds later
    try:
        import xllamacpp  # noqa: PLC0415 -- an optional dependency
    except ImportError:
        sys.stderr.write(f"error: {_INSTALL}\n")
        return 2
    if fields.pop("version", False):
        sys.stdout.write(f"xllamacpp {xllamacpp.__version__}\n")
        return 0
    model = fields.get("model.path")
    if not model or not Path(model).is_file():
        sys.stderr.write(f"error: --model {model or ''}: no such file\n")
        return 2
    # The server's threads outlive any attempt of Python's to end in order: let the kernel end it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        server = xllamacpp.Server(common_params(xllamacpp, fields))
    except (RuntimeError, ValueError) as error:
        sys.stderr.write(f"error: the engine did not start: {error}\n")
        return 1
    sys.stderr.write(f"xllamacpp {xllamacpp.__version__} listens on {server.listening_address}\n")
    sys.stderr.flush()
    while True:
        signal.pause()
