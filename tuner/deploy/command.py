"""From a template to an argument vector, without a shell in between.

A template renders one argument a line. Blank lines and the space around a line do not count, so a value that
holds a line break, or begins or ends in space, is refused instead of being split or trimmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tuner.errors import UserError
from tuner.trial.ports import ParamValue

_MODEL_PATH = "$(MODEL_PATH)"


@dataclass(frozen=True, slots=True)
class CommandValues:
    """What a command template may use.

    Attributes:
        binary: the program with what precedes its flags, one argument each.
        model_path: a file or directory on the engine's machine.
        model_name: what requests call the model.
        host: the address to listen on.
        port: the TCP port to listen on.
        cpus: the cores the engine is pinned to; empty for no pinning.
        arguments: flags with their values; `$(MODEL_PATH)` in them is the model's path.
        params: the active parameters by name.
        places: values for named places of the deployment.
    """

    binary: tuple[str, ...]
    model_path: str
    model_name: str
    host: str
    port: int
    cpus: tuple[int, ...]
    arguments: tuple[str, ...]
    params: dict[str, ParamValue]
    places: dict[str, ParamValue]


def render_command(template: str, values: CommandValues) -> list[str]:
    """The argument vector of `template`.

    Raises:
        UserError: the template does not render, renders to nothing, or a value cannot stand on a line.
    """
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_one_line
    )
    known = {name: getattr(values, name) for name in values.__slots__}
    known["arguments"] = [a.replace(_MODEL_PATH, values.model_path) for a in values.arguments]
    try:
        text = environment.from_string(template).render(known)
    except TemplateError as error:
        where = f" line {line}" if (line := getattr(error, "lineno", None)) else ""
        raise UserError(f"engine command template{where}: {error}") from error
    argv = [stripped for line in text.split("\n") if (stripped := line.strip())]
    if not argv:
        raise UserError("engine command template renders to nothing; its first line is the program")
    return argv


def _one_line(value: Any) -> Any:
    if value is True or value is False or value is None or isinstance(value, Sequence | dict):
        text = str(value)
        if not isinstance(value, str):
            raise TemplateError(f"{text} is not one argument: write out what stands for it")
        if text != text.strip() or any(c in text for c in "\n\r\0") or not text:
            raise TemplateError(
                f"{text!r} cannot be one argument: it is empty, holds a line break, or has space at an end"
            )
    return value
