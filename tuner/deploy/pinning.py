"""Shares a machine's cores out between the engines, and the loads and Ray beside them.

An engine whose threads spin loses nine tenths of its speed to one busy neighbour, so by default nothing
shares a core with it. All slots of a machine get the same number of cores, or their trials could not be
compared.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuner.errors import UserError
from tuner.trial.ports import Slot

Pinning = Literal["auto", "none"] | Mapping[str, Sequence[int]]
_AT_START = frozenset(os.sched_getaffinity(0))  # before a load in this same process pins it
_CORES_PER_LOAD = 4  # beyond this many cores a load, a further one gets a core of its own


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores of one trial; an empty tuple is no pinning."""

    engine: tuple[int, ...] = ()
    load: tuple[int, ...] = ()


def share_out(pinning: Pinning, slot: Slot, available: Sequence[int]) -> Cores:
    """The cores of `slot`.

    Args:
        pinning: "auto": the first cores to the loads and Ray, the rest in equal runs to the slots; with one
            core, none. "none". Or {"engine": [...], "load": [...]}: these cores, the same for every slot.
        slot: its index among `of` on this machine.
        available: the cores that may be used, neighbours in the machine next to each other.

    Raises:
        UserError: cores are named that are not available.
    """
    if isinstance(pinning, Mapping):
        return _named(pinning, available)
    if pinning == "none" or len(available) < 2:
        return Cores()
    loads = min(slot.of, max(1, len(available) // _CORES_PER_LOAD), len(available) - 1)
    rest = available[loads:]
    load = (available[slot.index % loads],)
    each = len(rest) // slot.of
    if not each:  # more slots than cores: they share
        return Cores((rest[slot.index % len(rest)],), load)
    return Cores(tuple(rest[slot.index * each : (slot.index + 1) * each]), load)


def _named(pinning: Mapping[str, Sequence[int]], available: Sequence[int]) -> Cores:
    if unknown := set(pinning) - {"engine", "load"}:
        raise UserError(
            f"deploy.pinning: {', '.join(sorted(unknown))}; auto, none, or lists for engine and load"
        )
    found = Cores(tuple(pinning.get("engine", ())), tuple(pinning.get("load", ())))
    if missing := {*found.engine, *found.load} - set(available):
        raise UserError(
            f"deploy.pinning names cores {sorted(missing)}; this process may use {sorted(available)}"
        )
    return found


def available_cores(
    topology: Path = Path("/sys/devices/system/cpu"), cores: Collection[int] = _AT_START
) -> tuple[int, ...]:
    """The cores this process started with; threads of one core, then cores of one socket, are neighbours."""

    def place(cpu: int) -> tuple[int, int, int]:
        folder = topology / f"cpu{cpu}" / "topology"
        try:
            return (
                int((folder / "physical_package_id").read_text()),
                int((folder / "core_id").read_text()),
                cpu,
            )
        except (OSError, ValueError):
            return 0, cpu, cpu

    return tuple(sorted(cores, key=place))
