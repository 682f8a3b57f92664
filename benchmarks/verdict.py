"""What the verdict is worth, on replayed runs of which the truth is known.

   python benchmarks/verdict.py [--runs 1000] [--profiles NAME ...] [--surfaces NAME ...] [--deployments N]
                                [--sentinel N] [--jobs N] [--json FILE]

Each run is a whole one over 20 configurations, all of which are tried: search, choice of candidates,
validation in blocks, simplification, verdict, by the code of a real run with the experiment's defaults, under
a simulated clock. The noise is that of `tuner.search.replay.noise`. Surfaces: *flat*, nothing matters; *one*,
one configuration is 5 % better and the others up to 12 % worse; *ladder*, steps of half a per cent, of which
the best few are validated; *spare*, where one of the winner's flags is worth 0.2 % and one 1.15 %, a little
more than the simplifier may give away. Exit code 1 where a target is missed; a gain of 5 % counts towards its
target where a paired t test of one known candidate, with the scatter between the blocks that was seen, shows
it in 80 %.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from verdicts.cases import PROFILES, SURFACES, TRUE_GAIN, experiment, surface
from verdicts.figures import Share, smallest_gain

from tuner.search.replay.verdicts import judged

MOST_FALSE, LEAST_COVERED, LEAST_POWER = 0.05, 0.93, 0.80
FEWEST_JUDGED = 20  # of which a share is held against its target
MOST_GIVEN_AWAY = 0.05  # of what truly costs more than the margin, that may take the winner's place


@dataclass(frozen=True, slots=True)
class Work:
    """One run to make; `blocks` and `trials` in place of the experiment's defaults, `sentinel` in trials."""

    surface: str
    profile: str
    seed: int
    blocks: int | None = None
    trials: int | None = None
    sentinel: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What one run concluded, and what was true.

    Attributes:
        covered: None where no interval was reported.
        error: log of the reported over the true factor of the gain; NaN without one.
        logs: of the blocks' ratios.
        floor: the gain that the run said beforehand it would see; NaN where it could not.
        moved: the run said that it drifted.
        tried: flags were put back, and measured so.
        taken: that took the winner's place.
        too_much: it truly gives away more than the margin.
    """

    surface: str
    profile: str
    seed: int
    better: bool
    covered: bool | None
    true_gain: float
    best_gain: float
    error: float
    logs: tuple[float, ...]
    tried: bool
    taken: bool
    too_much: bool
    floor: float = math.nan
    moved: bool = False

    @property
    def found(self) -> bool:
        """It said better, and of a configuration that truly has the gain."""
        return self.better and self.true_gain >= TRUE_GAIN - 1e-9


def run_once(work: Work) -> Run:
    """One replayed run."""
    profile = PROFILES[work.profile]
    given = experiment(profile.parallel, blocks=work.blocks, trials=work.trials, sentinel=work.sentinel)
    found = judged(given, surface(work.surface, profile.parallel), work.seed, profile.levels)
    gain = found.verdict.gain
    return Run(
        surface=work.surface,
        profile=work.profile,
        seed=work.seed,
        better=found.verdict.outcome.value.startswith("better"),
        covered=found.covered,
        true_gain=found.true_gain,
        best_gain=found.best_gain,
        error=math.log1p(gain.share) - math.log1p(found.true_gain) if gain else math.nan,
        logs=tuple(math.log1p(b) for b in gain.blocks) if gain else (),
        floor=found.floor,
        moved=found.moved,
        tried=found.verdict.simplified is not None,
        taken=bool(found.verdict.simplified and found.verdict.simplified.taken),
        too_much=found.would_lose > given.validation.margin,
    )


def many(work: Sequence[Work], *, jobs: int) -> list[Run]:
    """All of them, in order, over `jobs` processes."""
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[library] = "1"
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run_once, work, chunksize=20))


@dataclass(frozen=True, slots=True)
class Line:
    """One surface under one noise.

    Attributes:
        within: "better" was said and the interval holds the truth, of those that said better.
        bias: mean error of the reported gain, as a share.
        deviation: of the blocks' log ratios around their own mean.
        blocks: that a gain rests on.
        smallest: the gain that such blocks show in 80 %.
        told: the gain that the runs said beforehand they would see, median.
        moved: runs that said they drifted.
        taken: a simplified configuration took the winner's place, of those tried.
        given_away: the same, of those that truly cost more than the margin.
    """

    surface: str
    profile: str
    better: Share
    found: Share
    covered: Share
    within: Share
    bias: float
    deviation: float
    blocks: int
    smallest: float
    told: float
    moved: Share
    taken: Share
    given_away: Share

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Line:
        """The figures of the runs of one surface and noise."""
        told = [r for r in runs if r.covered is not None]
        sure = [r for r in told if r.better]
        squares = [sum((v - sum(r.logs) / len(r.logs)) ** 2 for v in r.logs) for r in told]
        degrees = sum(len(r.logs) - 1 for r in told)
        deviation = math.sqrt(math.fsum(squares) / degrees) if degrees else math.nan
        blocks = max((len(r.logs) for r in told), default=0)
        return cls(
            runs[0].surface,
            runs[0].profile,
            better=Share(sum(r.better for r in runs), len(runs)),
            found=Share(sum(r.found for r in runs), len(runs)),
            covered=Share(sum(bool(r.covered) for r in told), len(told)),
            within=Share(sum(bool(r.covered) for r in sure), len(sure)),
            bias=math.fsum(r.error for r in told) / len(told) if told else math.nan,
            deviation=deviation,
            blocks=blocks,
            smallest=smallest_gain(deviation, blocks) if blocks > 1 else math.nan,
            told=median([r.floor for r in runs if not math.isnan(r.floor)] or [math.nan]),
            moved=Share(sum(r.moved for r in runs), len(runs)),
            taken=Share(sum(r.taken for r in runs), sum(r.tried for r in runs)),
            given_away=Share(sum(r.taken for r in runs if r.too_much), sum(r.too_much for r in runs)),
        )

    def judged(self) -> list[tuple[str, bool]]:
        """The targets that concern it, and whether each is met."""
        where = f"{self.surface}, {self.profile}"
        told = []
        if self.surface == "flat":
            text = f"{where}: better said in {self.better} of the runs, at most {MOST_FALSE:.0%}"
            told.append((text, self.better.value <= MOST_FALSE))
        if self.covered.of:
            text = f"{where}: the truth within the interval in {self.covered}, at least {LEAST_COVERED:.0%}"
            told.append((text, self.covered.value >= LEAST_COVERED))
        if self.surface == "one" and self.smallest <= TRUE_GAIN:
            text = f"{where}: {TRUE_GAIN:.0%} found in {self.found}, at least {LEAST_POWER:.0%}"
            told.append((text, self.found.value >= LEAST_POWER))
        if self.given_away.of >= FEWEST_JUDGED:
            share = f"{self.given_away}, at most {MOST_GIVEN_AWAY:.0%}"
            text = f"{where}: what costs more than the margin put in the winner's place in {share}"
            told.append((text, self.given_away.value <= MOST_GIVEN_AWAY))
        return told


def table(lines: Sequence[Line]) -> str:
    """For people; markdown."""
    columns: list[tuple[str, Callable[[Line], str]]] = [
        ("surface", lambda one: one.surface),
        ("noise", lambda one: one.profile),
        ("better", lambda one: str(one.better)),
        ("5 % found", lambda one: str(one.found) if one.surface == "one" else "-"),
        ("covered", lambda one: str(one.covered)),
        ("covered, where better", lambda one: str(one.within)),
        ("bias", lambda one: f"{one.bias:+.2%}"),
        ("block to block", lambda one: f"{one.deviation:.2%}"),
        ("shown in 80 %", lambda one: f"{one.smallest:.1%}"),
        ("told before", lambda one: f"{one.told:.1%}"),
        ("moved", lambda one: f"{one.moved.value:.0%}"),
        ("simplified, of tried", lambda one: str(one.taken)),
        ("given away too much", lambda one: str(one.given_away)),
    ]
    rows = [[title for title, _ in columns], ["---"] * len(columns)]
    rows += [[text(one) for _, text in columns] for one in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> int:
    given = _arguments()
    began = time.monotonic()
    lines: list[Line] = []
    for profile in given.profiles:
        seeds = range(given.seed, given.seed + given.runs)
        work = [
            Work(name, profile, seed, given.deployments, sentinel=given.sentinel)
            for name in given.surfaces
            for seed in seeds
        ]
        runs = many(work, jobs=given.jobs)
        lines += [Line.of(runs[i : i + given.runs]) for i in range(0, len(runs), given.runs)]
        print(f"{profile}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{given.runs} runs each, {time.monotonic() - began:.0f} s\n\n{table(lines)}\n")
    judged = [one for line in lines for one in line.judged()]
    for text, met in judged:
        print(f"{'met   ' if met else 'MISSED'} {text}")
    if given.json:
        given.json.write_text(json.dumps([asdict(line) for line in lines], indent=1), encoding="utf-8")
    return 0 if all(met for _, met in judged) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--profiles", nargs="+", choices=[*PROFILES], default=[*PROFILES])
    parser.add_argument("--surfaces", nargs="+", choices=[*SURFACES], default=[*SURFACES])
    parser.add_argument("--deployments", type=int, help="blocks, in place of the experiment's default")
    parser.add_argument("--sentinel", type=int, metavar="N", help="the baseline again after N trials")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
