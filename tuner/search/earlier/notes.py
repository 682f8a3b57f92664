"""What is taken from an earlier run, and what is not, in a line for the plan."""

from __future__ import annotations

from tuner.search.earlier.lesson import Lesson
from tuner.spec.space import Params


def said_of(lesson: Lesson, best: Params | None, why: str) -> str:
    """One line.

    Args:
        best: its best configuration, where it will be tried first; else `why` says what is against it.
    """
    run = lesson.run
    parts = [f"{run.name}: {_trials(lesson)}"]
    mine, theirs = lesson.settings
    parts.append(", ".join(theirs.differs(mine)) or "the same engine, model, accelerator and load")
    if not run.trials:
        return f"{parts[0]}: nothing to take"
    if not lesson.matching.pairs:
        return f"{parts[0]}: no parameter of it is one here, nothing is taken"
    parts += _parameters(lesson)
    told = [m for m, t in (lesson.objectives | lesson.slos).items() if t.exact]
    stand_ins = [m for m, t in (lesson.objectives | lesson.slos).items() if not t.exact]
    edge = ["where it deploys"] if lesson.edge is not None else []
    taken = [*told, *(f"{metric} (another stands for it)" for metric in stand_ins), *edge]
    parts.append(f"taken: {', '.join(taken)}" if taken else "nothing is taken: no figure of it varies")
    if best is not None:
        shown = " ".join(f"{name}={value}" for name, value in best.items())
        parts.append(f"its best is tried first: {shown}")
    elif why:
        parts.append(why)
    return "; ".join(parts)


def _trials(lesson: Lesson) -> str:
    run = lesson.run
    failed = sum(trial.failed for trial in run.trials)
    said = f"{len(run.trials)} trials"
    said += f", {failed} failed" if failed else ""
    return said + (f", {run.left_out} left out" if run.left_out else "")


def _parameters(lesson: Lesson) -> list[str]:
    matching = lesson.matching
    pairs = [
        mine if mine == theirs else f"{mine} (there {theirs})" for theirs, mine in matching.pairs.items()
    ]
    said = [f"parameters: {', '.join(pairs)}"]
    if matching.gone:
        said.append(f"not here: {', '.join(matching.gone)}")
    if matching.new:
        said.append(f"not there: {', '.join(matching.new)}")
    return said
