"""python tests/chaos/chaos.py --kills 100: searches on this machine under kill -9, and what came of them.

Each run has a lab of its own and is drawn from seed and run number: the same seed draws the same targets and
moments, though what they meet depends on the machine.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "engine")]

import whole_runs  # noqa: E402
from local_scene import ENGINES_GONE_SECONDS, EXPECTED, RAY_GONE_SECONDS, LocalScene  # noqa: E402
from storm import Storm, Story  # noqa: E402
from toll import Toll, toll_of  # noqa: E402

COUNTS = ("lost_lines", "doubled_lines", "lost_trials", "orphans", "wrong_classes", "other")
_LONGEST_SECONDS = 90 * 60.0


@dataclass
class Outcome:
    """One run."""

    number: int
    story: Story
    toll: Toll


@dataclass
class _Leaving:
    """A lab whose last processes may still be on their way out."""

    lab: whole_runs.Lab
    scene: LocalScene
    outcome: Outcome
    deadline: float


class Chaos:
    """Runs, one after another, until enough was killed.

    Args:
        folder: for the labs; what is found wrong stays in it.
        per_run: kills of one run at most.
    """

    def __init__(self, folder: Path, *, seed: int, kills: int, per_run: int, seconds: float) -> None:
        self._folder = folder
        self._seed = seed
        self._kills = kills
        self._per_run = per_run
        self._deadline = time.monotonic() + seconds
        self._leaving: list[_Leaving] = []
        self.outcomes: list[Outcome] = []

    @property
    def made(self) -> int:
        """Kills so far."""
        return sum(len(outcome.story.kills) for outcome in self.outcomes)

    def go(self) -> list[Outcome]:
        """All of it; nothing of it is left afterwards."""
        try:
            while self.made < self._kills and time.monotonic() < self._deadline:
                self._run(len(self.outcomes) + 1)
                self._see_off(wait=False)
        finally:
            self._see_off(wait=True)
        return self.outcomes

    def _run(self, number: int) -> None:
        folder = self._folder / f"run-{number}"
        folder.mkdir(parents=True)
        lab = whole_runs.Lab(folder)
        scene = LocalScene(lab)
        kills = min(self._per_run, self._kills - self.made)
        print(f"  run {number} (seed {self._seed}:{number}), {kills} kills", flush=True)
        rng = random.Random(f"{self._seed}:{number}")
        storm = Storm(scene, rng=rng, kills=kills, orphan_seconds=ENGINES_GONE_SECONDS)
        outcome = Outcome(number, storm.story, Toll())
        self.outcomes.append(outcome)
        try:
            storm.blow()
            runs = sorted(path.parent for path in lab.runs.glob("*/run.json"))
            if len(runs) != 1:
                storm.story.faults.append(f"{len(runs)} runs in {lab.runs}: it did not go on with the first")
            outcome.toll = toll_of(runs[-1], storm.story, EXPECTED)
        finally:
            left = _Leaving(lab, scene, outcome, time.monotonic() + RAY_GONE_SECONDS)
            self._leaving.append(left)
        for line in outcome.toll.what:
            print(f"    WRONG {line}", flush=True)

    def _see_off(self, *, wait: bool) -> None:
        """Labs whose processes are gone are closed; what is there after its time is an orphan."""
        while self._leaving:
            for one in list(self._leaving):
                left = one.scene.left()
                if left and time.monotonic() < one.deadline:
                    continue
                one.outcome.toll.add("orphans", left)
                one.lab.close()
                self._leaving.remove(one)
                if one.outcome.toll.clean:
                    shutil.rmtree(one.lab.folder, ignore_errors=True)
            if not wait:
                return
            time.sleep(0.5)


def table(outcomes: list[Outcome]) -> str:
    """Markdown: a row a run, and the sum."""
    targets = sorted({kill.target for outcome in outcomes for kill in outcome.story.kills})
    heads = ["run", "kills", *targets, "sessions", "minutes", *(name.replace("_", " ") for name in COUNTS)]
    rows = [heads, ["---"] * len(heads)]
    for outcome in outcomes:
        rows.append(_row(str(outcome.number), [outcome], targets))
    rows.append(_row("all", outcomes, targets))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, outcomes: list[Outcome], targets: list[str]) -> list[str]:
    kills = Counter(kill.target for outcome in outcomes for kill in outcome.story.kills)
    figures = [
        kills.total(),
        *(kills[target] for target in targets),
        sum(outcome.story.sessions for outcome in outcomes),
        f"{sum(outcome.story.seconds for outcome in outcomes) / 60:.1f}",
        *(sum(getattr(outcome.toll, count) for outcome in outcomes) for count in COUNTS),
    ]
    return [name, *map(str, figures)]


def main() -> int:
    """0 where nothing was wrong, 1 else."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--per-run", type=int, default=6, help="kills of one run at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=_LONGEST_SECONDS / 60, help="no run is begun later")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"{given.kills} kills, seed {given.seed}, in {folder}", flush=True)
    chaos = Chaos(
        folder, seed=given.seed, kills=given.kills, per_run=given.per_run, seconds=given.minutes * 60
    )
    outcomes = chaos.go()
    print(table(outcomes))
    wrong = [line for outcome in outcomes for line in outcome.toll.what]
    for line in wrong:
        print(line)
    given_up = sum(outcome.toll.given_up for outcome in outcomes)
    print(
        f"seed {given.seed}: {chaos.made} kills, {len(wrong)} findings, {given_up} trials given up by design"
    )
    if not wrong:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
