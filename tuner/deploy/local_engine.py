"""How an engine is started on this machine: its program, model, command line, variables and cores."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

from tuner.deploy.binary import embedded_version, find_binary, is_embedded
from tuner.deploy.command import CommandValues, render_command
from tuner.deploy.embedded.model import ModelSettings, make_model
from tuner.deploy.http_get import engine_version
from tuner.deploy.listen_port import PortTaken, ReservedPort
from tuner.deploy.pinning import Cores, Pinning, available_cores, share_out
from tuner.errors import UserError, WorldError
from tuner.trial.ports import TrialConfig
from tuner.trial.serving import Serving

HOST = "127.0.0.1"
_PORT_BY_HAND = 8080
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_NOT_INHERITED = {"OMP_NUM_THREADS"}  # Ray sets it to 1 in its workers; an engine started by hand has it not


@dataclass(kw_only=True)
class LocalEngine:
    """What is started, for any trial.

    Attributes:
        template: text of the engine's command template (see `tuner.deploy.command`).
        model: path of a model, or the settings of a synthetic one, which is made on first use and cached.
        model_name: what requests call it.
        binary: "auto", "embedded", a program, or a program with its first arguments.
        port: a fixed port; None for any free one. With a fixed one, one trial runs at a time on a machine.
        pinning: "auto", "none", or {"engine": [cores], "load": [cores]}.
        environment: variables for every engine, before the trial's own; what the calling process has
            (CUDA_VISIBLE_DEVICES) is inherited.
        cache_dir: of synthetic models; None for the user's.
        available: the cores to share out; None for those of the calling process, which may itself be kept
            off the engines' cores.
    """

    node_bound: ClassVar[bool] = True
    assumed_deploy_seconds: ClassVar[float] = 2.0

    template: str
    model: str | ModelSettings
    model_name: str = "model"
    binary: str | Sequence[str] = "auto"
    port: int | None = None
    pinning: Pinning = "auto"
    environment: Mapping[str, str] = field(default_factory=dict)
    cache_dir: Path | None = None
    available: tuple[int, ...] | None = None

    def prepared(self, trial: TrialConfig, *, say: Callable[[str], None] = lambda line: None) -> Self:
        """Find the mistakes that need no engine to be found, on this machine.

        Raises:
            UserError: the program, the model, the template or the pinning is wrong; one line.
            WorldError: the synthetic model cannot be written, or a fixed port is taken.
        """
        self.argv(trial, self.cores(trial), self.port or _PORT_BY_HAND)
        if self.port is not None:
            try:
                ReservedPort(self.port).close()
            except PortTaken as error:
                raise WorldError(f"deploy.port: {error}; would be right: a free one, or none") from error
        return self

    def restricted_to(self, cores: tuple[int, ...]) -> Self:
        """The same, sharing out `cores` alone."""
        return replace(self, available=cores)

    def serving(self, trial: TrialConfig, *, name: str = "") -> Serving:
        """The command that serves this configuration by hand: as many threads, but no pinning.

        Raises:
            UserError, WorldError: as `prepared`.
        """
        argv = self.argv(trial, self.cores(trial), self.port or _PORT_BY_HAND)
        return Serving(command=tuple(argv), environment={**self.environment, **trial.environment})

    def cores(self, trial: TrialConfig) -> Cores:
        """The cores of the trial's slot on this machine."""
        return share_out(self.pinning, trial.slot, self.available or available_cores())

    def argv(self, trial: TrialConfig, cores: Cores, port: int) -> list[str]:
        """The engine's argument vector; makes the synthetic model where it is not there yet.

        Raises:
            UserError, WorldError: as `prepared`.
        """
        values = CommandValues(
            binary=find_binary(self.binary),
            model_path=self.model_path(),
            model_name=self.model_name,
            host=HOST,
            port=port,
            cpus=cores.engine,
            arguments=trial.arguments,
            params=trial.params,
            places=trial.places,
        )
        return render_command(self.template, values)

    def model_path(self) -> str:
        """Where the model lies on this machine.

        Raises:
            UserError: there is none.
            WorldError: the synthetic one cannot be written.
        """
        if isinstance(self.model, ModelSettings):
            return str(make_model(self.model, self.cache_dir))
        path = Path(self.model).expanduser()
        if not path.exists():
            raise UserError(f"model {self.model}: no such file or directory on {socket.gethostname()}")
        return str(path.resolve())

    def variables(self, trial: TrialConfig, argv: Sequence[str]) -> dict[str, str]:
        """The engine's whole environment."""
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        own = {**self.environment, **trial.environment}
        if is_embedded(argv):  # on a Ray worker the package is not where a fresh interpreter looks
            before = own.get("PYTHONPATH", inherited.get("PYTHONPATH"))
            own["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), before]))
        return {**inherited, "MODEL_PATH": self.model_path(), **own}

    def version(self, argv: Sequence[str], url: str) -> str:
        """The engine's name and version, "" where it tells none."""
        return embedded_version() if is_embedded(argv) else engine_version(url)
