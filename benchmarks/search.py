"""What the search costs until it has found a good configuration, beside what people use instead.

    python benchmarks/search.py [--role reporting|choosing] [--surfaces NAME ...] [--seeds N] [--sampler X]
                                [--early-stop X] [--full [--peers NAME ...]] [--jobs N] [--json FILE]

Our own strategy runs afresh under a simulated clock, random and grid are drawn from the surface, and the
peers (Optuna's TPE and GP samplers, BoTorch) come from what was recorded of them, which carries the surface's
hash; `--full` runs them where that is missing or of another surface. Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from peers.venv import NotInstalled
from searches import peers
from searches.by_chance import Chance, floor_seconds
from searches.figures import Cost
from searches.own import chance_costs, own_runs
from searches.surfaces import Recorded, Split
from searches.table import GRID, OURS, RANDOM, Line, costs_table, ratios_table, targets


def line_of(recorded: Recorded, chance: Chance, own: Sequence[Mapping[str, Any]], moment: str) -> Line:
    """One surface: what every searcher cost until `moment` (measured or recommended)."""
    costs = {OURS: Cost.of(run[moment] for run in own)}
    if moment == "measured":
        costs[RANDOM], costs[GRID] = Cost.of(chance.random), Cost.of(chance.grid)
    else:
        costs[RANDOM] = Cost.of(chance.recommended)
    notes = []
    for peer in peers.ALL:
        try:
            runs = peers.recorded_runs(recorded, peer)
        except peers.Stale as stale:
            notes.append(str(stale))
            continue
        if runs is None:
            notes.append(f"{recorded.name}: nothing recorded of {peer.title}")
            continue
        if len(runs) < len(own):
            notes.append(f"{recorded.name}: {len(runs)} seeds recorded of {peer.title}")
        costs[peer.name] = Cost.of(run[moment] for run in runs)
    truth = recorded.truth
    floor = floor_seconds(recorded)
    return Line(recorded.name, len(truth.good), len(recorded.surface.rows), floor, costs, notes)


def main() -> int:
    given = _arguments()
    split = Split.of(given.role)
    names = [name for name in split.there() if not given.surfaces or name in given.surfaces]
    if not names:
        print(f"no surfaces for {given.role} are there", file=sys.stderr)
        return 1
    for missing in sorted(set(split.surfaces) - set(split.there())):
        print(f"{missing}: its files are not there", file=sys.stderr)
    seeds = split.seeds[: given.seeds or len(split.seeds)]
    began = time.monotonic()
    surfaces = {name: Recorded.read(name) for name in names}
    if given.full:
        _run_peers(surfaces, seeds, given)
    more = {"sampler": given.sampler, "early_stop": given.early_stop}
    own = own_runs(names, seeds, jobs=given.jobs, **{k: v for k, v in more.items() if v is not None})
    chance = chance_costs(names, split, jobs=given.jobs)
    measured, recommended = (
        [line_of(recorded, chance[name], own[name], moment) for name, recorded in surfaces.items()]
        for moment in ("measured", "recommended")
    )
    _print(measured, recommended, own, seeds)
    judged = targets(measured)
    for text, met in judged:
        print(f"{'met   ' if met else 'MISSED'} {text}")
    print(f"{time.monotonic() - began:.0f} s")
    if given.json:
        told = {"seeds": len(seeds), "measured": measured, "recommended": recommended, "own": own}
        given.json.write_text(json.dumps(told, default=asdict, indent=1), encoding="utf-8")
    return 0 if all(met for _, met in judged) else 1


def _print(
    measured: Sequence[Line], recommended: Sequence[Line], own: Mapping[str, Any], seeds: Sequence[int]
) -> None:
    print(
        "Seconds until a good configuration was measured: median [95 %] / 90th percentile; "
        f"{len(seeds)} seeds of ours"
    )
    print(costs_table(measured))
    print("\nOur median as a share of the others'")
    print(ratios_table(measured))
    print("\nSeconds until the search's own recommendation was a good configuration")
    print(costs_table(recommended))
    every = [run for runs in own.values() for run in runs]
    each = sum(run["suggestion_seconds"] for run in every) / len(every)
    longest = max(run["longest_suggestion_seconds"] for run in every)
    print(f"\nA suggestion of ours took {each:.3f} s on average, {longest:.2f} s at most.")
    for note in dict.fromkeys(note for line in measured for note in line.notes):
        print(note)
    print()


def _run_peers(surfaces: Mapping[str, Recorded], seeds: Sequence[int], given: argparse.Namespace) -> None:
    for peer in peers.ALL:
        if given.peers and peer.name not in given.peers:
            continue
        for name, recorded in surfaces.items():
            began = time.monotonic()
            try:
                peers.record(recorded, peer, seeds, jobs=given.jobs)
            except NotInstalled as why:
                print(f"{peer.title}: {why}", file=sys.stderr)
                break
            took = time.monotonic() - began
            print(f"{name}: {peer.title}, {len(seeds)} seeds, {took:.0f} s", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--role", choices=["reporting", "choosing"], default="reporting")
    parser.add_argument("--surfaces", nargs="+", default=[])
    parser.add_argument("--seeds", type=int, help="as many of the role's seeds (default: all)")
    parser.add_argument("--full", action="store_true", help="run the peers on what is not recorded of them")
    parser.add_argument("--peers", nargs="+", default=[], choices=[p.name for p in peers.ALL])
    parser.add_argument("--sampler", help="in place of the experiment's")
    parser.add_argument("--early-stop", help="in place of the experiment's")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
