"""The plan's words on several objectives, and on what the run costs at the experiment's prices."""

from __future__ import annotations

from tuner.spec import Experiment

_LOOKED_AT = 20_000  # configurations among which the dearest is looked for


def objective_lines(experiment: Experiment) -> list[tuple[str, str]]:
    """A line on what becomes of several objectives; none for one."""
    if len(experiment.objective) == 1:
        return []
    goals = " and ".join(
        f"{'maximize' if goal.is_maximized else 'minimize'} {goal.metric}" for goal in experiment.objective
    )
    found = f"{goals}: the Pareto front is kept, and the verdict is about its knee"
    return [("objectives", found)]


def dearest(experiment: Experiment) -> float | None:
    """The highest price of a deployment for an hour, judged by the grid where there is one; None without."""
    space, deploy = experiment.space, experiment.deploy
    alike = not isinstance(deploy.price_per_hour, str) and isinstance(deploy.accelerators, int)
    size = space.size()
    if alike or size is None or size > _LOOKED_AT:
        return space.price_per_hour(space.baseline)
    return max((p for g in space.grid() if (p := space.price_per_hour(g)) is not None), default=None)
