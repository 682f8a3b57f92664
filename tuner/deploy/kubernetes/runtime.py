"""A (Cluster)ServingRuntime: the engine's command as the cluster has it, and a trial's flags laid over it.

`runner.args` of an InferenceService replaces the runtime's args entirely, and is lost behind a `bash -c`
script. So the runtime is read first: its args are kept, flag by flag, and a script gets flags into its text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tuner.deploy.kubernetes.escaping import MODEL_PATH, expandable, shell_word, templated
from tuner.deploy.kubernetes.flags import merged
from tuner.deploy.kubernetes.shell_script import SHELLS, Unfit, with_words
from tuner.errors import UserError

CONTAINER = "ome-container"
_PORT = 8080  # OME's own, where a runtime names none
_TAKE_A_WORD = ("--rcfile", "--init-file")
_WRAPPERS = ("env", "tini", "dumb-init", "--", "-s", "-g")


@dataclass(frozen=True, slots=True)
class RunnerOverride:
    """What the InferenceService's runner says; None: nothing, so that the runtime's own stays."""

    args: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Runtime:
    """The engine container of a runtime.

    Attributes:
        kind: ClusterServingRuntime or ServingRuntime.
        container: the engine container's name in the pods: the InferenceService renames it.
        port: the first container port; the Service has the same.
        variables: names of the container's env.
    """

    name: str
    kind: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    container: str = CONTAINER
    port: int = _PORT
    variables: tuple[str, ...] = ()

    @classmethod
    def from_object(cls, found: Mapping[str, Any], kind: str) -> Runtime:
        """Read one as the API gives it: `spec.engineConfig.runner`, or the older `spec.containers`.

        Raises:
            UserError: it has no single engine container; it spans several nodes, or is of another form.
        """
        name = found["metadata"]["name"]
        spec = found.get("spec") or {}
        engine = spec.get("engineConfig") or {}
        runner = engine.get("runner")
        several = engine.get("leader") is not None or engine.get("worker") is not None
        if runner is None and not several:
            containers = spec.get("containers") or []
            runner = next((c for c in containers if c.get("name") == CONTAINER), next(iter(containers), None))
        if runner is None:
            reason = "its engine spans several nodes" if several else "it has no engine container"
            raise UserError(
                f"deploy.runtime: {kind} {name}: {reason}; would be right: one with engineConfig.runner"
            )
        ports = [p["containerPort"] for p in runner.get("ports") or [] if p.get("containerPort")]
        return cls(
            name=name,
            kind=kind,
            command=tuple(runner.get("command") or ()),
            args=tuple(runner.get("args") or ()),
            port=ports[0] if ports else _PORT,
            variables=tuple(e["name"] for e in runner.get("env") or [] if e.get("name")),
        )

    def arguments(self, flags: Sequence[str], *, variables: Collection[str] = ()) -> RunnerOverride:
        """What the runner must say so that the engine gets `flags`, and all else stays as the runtime has it.

        Args:
            flags: a trial's, one argv element each; `$(NAME)` of a variable is its value, all else literal.
            variables: names of env that the InferenceService adds; MODEL_PATH and the runtime's are known.

        Raises:
            UserError: the runtime's command is a script that flags cannot be put into; says why.
        """
        return with_flags(
            self.command,
            self.args,
            flags,
            variables={MODEL_PATH, *self.variables, *variables},
            where=f"deploy.runtime: the command of {self.kind} {self.name}",
            right="a runtime whose command is the engine, with args",
            written=templated,
        )


def with_flags(
    command: Sequence[str],
    args: Sequence[str],
    flags: Sequence[str],
    *,
    variables: Collection[str],
    where: str,
    right: str,
    written: Callable[[str], str] = str,
) -> RunnerOverride:
    """A container's command and args with `flags`: merged into args, or put into the script of `bash -c`.

    Args:
        variables: of the container; their `$(NAME)` is expanded, all else in `flags` is literal.
        where, right: of the command, for the error.
        written: what else keeps a flag as it is on its way into the container.

    Raises:
        UserError: the command is a script that flags cannot be put into; says why.
    """
    if not flags:
        return RunnerOverride()
    place = _script_place([*command, *args])
    if place is None:
        return RunnerOverride(args=merged(args, [written(expandable(f, variables=variables)) for f in flags]))
    argv = [*command, *args]
    words = " ".join(written(shell_word(flag, variables=variables)) for flag in flags)
    try:
        argv[place] = with_words(argv[place], words)
    except Unfit as reason:
        text = f"{where} is a shell script, and {reason}: flags would not reach the engine"
        raise UserError(f"{text}; would be right: {right}") from reason
    if place < len(command):
        return RunnerOverride(command=tuple(argv[: len(command)]))
    return RunnerOverride(args=tuple(argv[len(command) :]))


def _script_place(argv: Sequence[str]) -> int | None:
    """Where in command and args the script of `bash -c` is."""
    for index, word in enumerate(argv):
        if PurePosixPath(word).name in SHELLS:
            return _behind_c(argv, index + 1)
        if PurePosixPath(word).name not in _WRAPPERS:
            return None
    return None


def _behind_c(argv: Sequence[str], start: int) -> int | None:
    for index in range(start, len(argv) - 1):
        word = argv[index]
        if word.startswith("-") and not word.startswith("--") and "c" in word:
            # `-o pipefail` and the like may stand between -c and the script
            at = index + 1
            while at < len(argv) - 1 and argv[at].startswith(("-", "+")):
                at += 2 if argv[at].endswith("o") else 1
            return at
        takes_a_word = argv[index - 1].endswith("o") or argv[index - 1] in _TAKE_A_WORD
        if not word.startswith(("-", "+")) and not takes_a_word:
            return None
    return None
