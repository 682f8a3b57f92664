"""The directory of all runs: naming a new one, finding an old one."""

from __future__ import annotations

import random
import re
from pathlib import Path

from tuner.errors import TunerError, UserError
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunStatus

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LETTERS = _DIGITS[10:]
_TIME_DIGITS = 6  # one letter and five digits of base 36: seconds, repeating after 49 years
_DRAWN_DIGITS = 2
_LONGEST = 50


def new_run_name(experiment_name: str, now: float, root: Path, *, rng: random.Random | None = None) -> str:
    """A name for a run that starts at Unix time `now`: `d4m2k1x7-quickstart`.

    The first 8 characters tell runs apart, because every object of a run starts with them: 6 count the
    seconds, so that names sort by age, 2 are drawn, for runs of the same second on other machines. They
    start with a letter, and the whole is a DNS label of at most 50 characters.
    """
    rng = rng or random.SystemRandom()
    slug = re.sub(r"[^a-z0-9]+", "-", experiment_name.lower()).strip("-") or "run"
    taken = {path.name[: _TIME_DIGITS + _DRAWN_DIGITS] for path in root.iterdir()} if root.is_dir() else set()
    prefix = ""
    while not prefix or prefix in taken:
        drawn = "".join(rng.choice(_DIGITS) for _ in range(_DRAWN_DIGITS))
        prefix = _seconds(int(now)) + drawn
        now += prefix in taken  # the next second, so that this ends also where all draws are taken
    return f"{prefix}-{slug}"[:_LONGEST].rstrip("-")


def _seconds(now: int) -> str:
    digits = ""
    for _ in range(_TIME_DIGITS - 1):
        now, digit = divmod(now, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return _LETTERS[now % len(_LETTERS)] + digits


def all_runs(root: Path) -> list[RunDirectory]:
    """Every run under `root` with a readable run.json, oldest first."""
    if not root.is_dir():
        return []
    found = []
    for path in root.iterdir():
        run = RunDirectory(root, path.name)
        try:
            found.append((run.state().started, path.name, run))
        except (TunerError, ValueError, KeyError, TypeError):
            continue  # not a run, or one that was cut off while it was made
    return [run for _, _, run in sorted(found, key=lambda entry: entry[:2])]


def find_unfinished(root: Path, experiment_hash: str) -> RunDirectory | None:
    """The newest run of the same experiment that has not finished; None where there is none."""
    for run in reversed(all_runs(root)):
        state = run.state()
        if state.experiment_hash == experiment_hash and state.status is not RunStatus.FINISHED:
            return run
    return None


def find_run(root: Path, given: str = "") -> RunDirectory:
    """The run that a person means: a path, a name, the start of one, or nothing for the newest.

    Raises:
        UserError: none or several match; the message says which there are.
    """
    if given and (Path(given) / "run.json").is_file():
        path = Path(given).resolve()
        return RunDirectory(path.parent, path.name)
    runs = all_runs(root)
    if not runs:
        raise UserError(f"{root}: no runs here")
    if not given:
        return runs[-1]
    exact = [run for run in runs if run.name == given]
    matching = exact or [run for run in runs if run.name.startswith(given)]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(run.name for run in (matching or runs)[-5:])
    said = "several runs begin so" if matching else "no such run"
    raise UserError(f"{given!r} in {root}: {said}; there are {names}")
