"""kill -9 of random parts of a run at random moments; its command is given again until the run ends."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

MOST_ATTEMPTS = 3  # of one deployment in one session: then it is given up, by design
DRIVER, RAYLET = "driver", "raylet"
ENDING = (DRIVER, RAYLET)  # what takes the driver's command down with it

_SOONEST_SECONDS, _LATEST_SECONDS = 0.5, 14.0  # a kill after the one before, or after the start
_LATE_SECONDS = 3.0  # and, where its target had to be waited for, so long after it appeared
_APPEARS_SECONDS = 45.0  # a target that is not there by then is drawn anew
_ENDS_SECONDS = 120.0  # a driver without its raylet says so, also while its Ray is still starting
_RUN_SECONDS = 400.0  # one command, after its last kill
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Victim:
    """Something that is about to be killed.

    Attributes:
        target: the kind of thing it is.
        deployment: whose engine it is; "" for what is not of one deployment alone.
        kill: does it.
    """

    target: str
    name: str
    kill: Callable[[], None]
    deployment: str = ""


@dataclass(frozen=True)
class Kill:
    """One that was made.

    Attributes:
        at: Unix time.
        session: of the driver's command, from 1.
    """

    target: str
    deployment: str
    at: float
    session: int


class Scene(Protocol):
    """Where a run takes place.

    Attributes:
        runs: the directory of the runs.
        targets: by name, what of that kind may be killed now.
    """

    runs: Path
    targets: Mapping[str, Callable[[], list[Victim]]]

    def start(self) -> Any:
        """Give the driver's command; a `whole_runs.Started`."""

    def left_without_driver(self) -> list[str]:
        """What serves still though the driver has ended; asked until it is nothing, or too late."""


@dataclass
class Story:
    """What was done to one run, and what was seen meanwhile.

    Attributes:
        sessions: how often the command was given.
        code: of the last one.
        kept: whole lines of each journal, as they stood when it was last looked at: they must stay.
        lost_lines: that were there once, and were not there later.
        orphans: what outlived its driver.
        faults: what else was not as it should be, a line each.
    """

    kills: list[Kill] = field(default_factory=list)
    sessions: int = 0
    code: int | None = None
    kept: dict[str, list[str]] = field(default_factory=dict)
    lost_lines: int = 0
    orphans: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Storm:
    """Works on one scene, whose driver comes to its end in spite of it.

    Args:
        rng: draws targets and moments.
        kills: at most so many.
        orphan_seconds: that what a dead driver left may live.
    """

    def __init__(self, scene: Scene, *, rng: random.Random, kills: int, orphan_seconds: float) -> None:
        self._scene = scene
        self._rng = rng
        self._left = kills
        self._orphan_seconds = orphan_seconds
        self.story = Story()

    def blow(self) -> Story:
        """Until a command ends by itself with a verdict, or with what it should not end with."""
        begun = time.monotonic()
        while not self._session():
            self._look()
        self._look()
        self.story.seconds = time.monotonic() - begun
        return self.story

    def _session(self) -> bool:
        """One start of the command; whether it was the last."""
        started = self._scene.start()
        self.story.sessions += 1
        try:
            killed = self._kill_parts(started.process)
            ended = started.wait(_ENDS_SECONDS if killed == RAYLET else _RUN_SECONDS)
        finally:
            if started.process.poll() is None:
                started.process.kill()
        if killed is not None:
            self._wait_for_orphans()
        return self._judge(ended, killed)

    def _kill_parts(self, process: Any) -> str | None:
        """Kill until none is left, the command has ended, or what was killed ends it: that one's name."""
        while self._left:
            victim = self._drawn(process)
            if victim is None:
                return None
            self._look()
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                self._left -= 1
                kill = Kill(victim.target, victim.deployment, time.time(), self.story.sessions)
                self.story.kills.append(kill)
                print(f"    session {kill.session}: killed {victim.target} {victim.name}", flush=True)
                if victim.target in ENDING:
                    return victim.target
        return None

    def _drawn(self, process: Any) -> Victim | None:
        """The next one, at its moment; None where the command has ended before."""
        moment = time.monotonic() + self._rng.uniform(_SOONEST_SECONDS, _LATEST_SECONDS)
        while True:
            find = self._scene.targets[self._rng.choice(sorted(self._scene.targets))]
            if not _passed(process, moment):
                return None
            if not find():
                appears = time.monotonic() + _APPEARS_SECONDS
                while not find() and time.monotonic() < appears:
                    if not _passed(process, time.monotonic() + _LOOK_SECONDS):
                        return None
                if not _passed(process, time.monotonic() + self._rng.uniform(0.0, _LATE_SECONDS)):
                    return None
            if found := sorted(find(), key=lambda victim: victim.name):
                return self._rng.choice(found)

    def _judge(self, ended: Any, killed: str | None) -> bool:
        """Whether the run is over; what is wrong about the way in which its command ended is noted."""
        story = self.story
        story.code = ended.code
        said = ended.out + ended.err
        if "Traceback" in said:
            story.faults.append(f"session {story.sessions}: a traceback: {said[-300:]}")
        if killed == DRIVER:
            return False
        if killed == RAYLET:
            if ended.code != 1 or len(ended.error_lines) != 1 or "Ray" not in ended.err:
                what = f"without its raylet it ended with {ended.code}: {ended.err[-300:]}"
                story.faults.append(f"session {story.sessions}: {what}")
                return ended.code != 1
            return False
        if "the run was stopped" in ended.err and self._hits() >= MOST_ATTEMPTS:
            return False  # the baseline was interrupted as often as a session takes: the command goes on
        if ended.code not in (0, 3):
            story.faults.append(f"session {story.sessions}: ended with {ended.code}: {ended.err[-300:]}")
        return True

    def _hits(self) -> int:
        """Kills of this session that cost a deployment an attempt."""
        return sum(kill.session == self.story.sessions for kill in self.story.kills)

    def _wait_for_orphans(self) -> None:
        deadline = time.monotonic() + self._orphan_seconds
        while (left := self._scene.left_without_driver()) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        self.story.orphans += left

    def _look(self) -> None:
        """Every whole line that stood there before must stand there now."""
        for path in self._scene.runs.glob("*/*.jsonl"):
            text = path.read_text()
            now = text[: text.rfind("\n") + 1].splitlines()
            name = f"{path.parent.name}/{path.name}"
            before = self.story.kept.get(name, [])
            if now[: len(before)] != before:
                self.story.lost_lines += len(set(before) - set(now)) or 1
                self.story.faults.append(f"{name}: what was written has changed")
            self.story.kept[name] = now


def _passed(process: Any, moment: float) -> bool:
    """Wait until then; False where the command has ended meanwhile."""
    while time.monotonic() < moment:
        if process.poll() is not None:
            return False
        time.sleep(_LOOK_SECONDS / 5)
    return process.poll() is None
