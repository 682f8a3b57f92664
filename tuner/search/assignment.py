"""What goes into a strategy and comes out of it: its settings, who proposes, a deployment to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tuner.search.budget import Limits
from tuner.search.history import Key, TrialRecord
from tuner.search.outlook import Outlook
from tuner.trial.ports import ParamValue, Phase


@dataclass(frozen=True, slots=True)
class Assignment:
    """One deployment to make and measure.

    Attributes:
        loads: multiples of the load, a round at each after the `rounds`.
        near: the node where its block began; "" where that is not known, or does not matter.
    """

    trial: int
    phase: Phase
    attempt: int
    params: dict[str, ParamValue]
    rounds: int
    block: int | None = None
    loads: tuple[float, ...] = ()
    near: str = ""

    @property
    def key(self) -> Key:
        """What names it."""
        return self.trial, self.phase, self.attempt


class Proposer(Protocol):
    """Suggests configurations and learns from how they went.

    Attributes:
        outlook: what is expected of the last proposal; None where nothing is.
    """

    outlook: Outlook | None

    def propose(self, number: int) -> dict[str, ParamValue] | None:
        """The next configuration, never one proposed before; None when there is none left."""
        ...

    def learn(self, record: TrialRecord) -> None:
        """Take in a search trial that ended."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What a strategy is told once.

    Attributes:
        rounds, validation_rounds: of one deployment in the search and in validation.
        top: how many candidates are validated; 0 for no validation.
        blocks: deployments of each of them, and of the baseline.
        parallel: trials that run side by side.
        sentinel: the baseline is measured again after so many trials of the search, and at its end; None for
            never.
        loads: multiples of the load at which the deployments of blocks are measured too.
        by_neighbours: fewer run side by side where that disturbs them; see `neighbours`.
    """

    limits: Limits
    rounds: int
    validation_rounds: int
    top: int
    blocks: int
    parallel: int
    seed: int
    sentinel: int | None = None
    by_neighbours: bool = False
    loads: tuple[float, ...] = ()
