"""How a person serves one configuration: what a backend tells, and best.yaml holds."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve one configuration.

    Attributes:
        command: one argv element each; empty where a manifest is what is applied.
        environment: variables for the command.
        manifest: YAML to apply; "" where a command is what is run.
    """

    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    manifest: str = ""

    @property
    def shell(self) -> str:
        """The command as one line for a shell; "" without a command."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*variables, shlex.join(self.command)]) if self.command else ""
