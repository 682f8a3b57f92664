"""llama-server's flags, and what each sets in xllamacpp's CommonParams. A new flag is one line here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

FLASH_ATTENTION = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its spellings, the dotted field it sets, and how its value is read.

    Attributes:
        kind: reads the value; None for a switch, which takes no value and sets `switch`.
    """

    names: tuple[str, ...]
    field: str
    kind: Callable[[str], Any] | None = int
    choices: tuple[str, ...] | None = None
    switch: bool = True


def _switches(field: str, name: str, *, short: str = "", short_off: str = "") -> tuple[Flag, Flag]:
    on = tuple(n for n in (short, f"--{name}") if n)
    off = tuple(n for n in (short_off, f"--no-{name}") if n)
    return Flag(on, field, None), Flag(off, field, None, switch=False)


FLAGS: tuple[Flag, ...] = (
    Flag(("-m", "--model"), "model.path", str),
    Flag(("-a", "--alias"), "model_alias", str),
    Flag(("--host",), "hostnames", str),
    Flag(("--port",), "port"),
    Flag(("--api-key",), "api_keys", str),
    Flag(("-np", "--parallel"), "n_parallel"),
    Flag(("-c", "--ctx-size"), "n_ctx"),
    Flag(("-b", "--batch-size"), "n_batch"),
    Flag(("-ub", "--ubatch-size"), "n_ubatch"),
    Flag(("-n", "--predict", "--n-predict"), "n_predict"),
    Flag(("-t", "--threads"), "cpuparams.n_threads"),
    Flag(("-tb", "--threads-batch"), "cpuparams_batch.n_threads"),
    Flag(("--threads-http",), "n_threads_http"),
    Flag(("--poll",), "cpuparams.poll"),
    Flag(("--poll-batch",), "cpuparams_batch.poll"),
    Flag(("-fa", "--flash-attn"), "flash_attn_type", str, tuple(FLASH_ATTENTION)),
    Flag(("-ctk", "--cache-type-k"), "cache_type_k", str, CACHE_TYPES),
    Flag(("-ctv", "--cache-type-v"), "cache_type_v", str, CACHE_TYPES),
    Flag(("-ngl", "--gpu-layers", "--n-gpu-layers"), "n_gpu_layers"),
    Flag(("-mg", "--main-gpu"), "main_gpu"),
    Flag(("-cram", "--cache-ram"), "cache_ram_mib"),
    Flag(("--cache-reuse",), "n_cache_reuse"),
    Flag(("-sps", "--slot-prompt-similarity"), "slot_prompt_similarity", float),
    Flag(("-to", "--timeout"), "timeout_read"),
    Flag(("-lv", "--verbosity", "--log-verbosity"), "verbosity"),
    Flag(("--metrics",), "endpoint_metrics", None),
    Flag(("--swa-full",), "swa_full", None),
    *_switches("kv_unified", "kv-unified", short="-kvu", short_off="-no-kvu"),
    *_switches("cont_batching", "cont-batching", short="-cb", short_off="-nocb"),
    *_switches("cache_prompt", "cache-prompt"),
    *_switches("ctx_shift", "context-shift"),
    *_switches("warmup", "warmup"),
    *_switches("endpoint_slots", "slots"),
    *_switches("ui", "webui"),
)


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def parse(arguments: list[str]) -> dict[str, Any]:
    """The fields that `arguments` set; the last of a repeated flag wins.

    Exits with code 2 and one line on stderr at an unknown flag or a value that does not parse.
    """
    parser = _OneLineParser(prog="python -m tuner.deploy.embedded", allow_abbrev=False)
    parser.add_argument("--version", action="store_true", default=argparse.SUPPRESS)
    for flag in FLAGS:
        options: dict[str, Any] = {"dest": flag.field, "default": argparse.SUPPRESS}
        if flag.kind is None:
            options |= {"action": "store_const", "const": flag.switch}
        else:
            options |= {"type": flag.kind, "choices": flag.choices}
        parser.add_argument(*flag.names, **options)
    return vars(parser.parse_args(arguments))
