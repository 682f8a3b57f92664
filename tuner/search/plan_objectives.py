"""The plan's words on several objectives, and on what the run costs at the experiment's prices."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.search.outlook import FEWEST_TRIALS, IN_A_ROW
from tuner.spec import Experiment, Search
from tuner.spec.metrics import METRICS

_LOOKED_AT = 20_000  # configurations among which the dearest is looked for


def objective_lines(experiment: Experiment) -> list[tuple[str, str]]:
    """What becomes of several objectives, and which of them say the same; nothing for one."""
    if len(experiment.objective) == 1:
        return []
    goals = " and ".join(
        f"{'maximize' if goal.is_maximized else 'minimize'} {goal.metric}" for goal in experiment.objective
    )
    found = [("objectives", f"{goals}: the Pareto front is kept, and the verdict is about its knee")]
    if len(same := _follow_the_rate(experiment)) > 1:
        why = "every deployment takes and costs the same, so one of them would be enough"
        found.append(("objectives", f"{' and '.join(same)} follow from one another: {why}"))
    return found


def _follow_the_rate(experiment: Experiment) -> list[str]:
    """Objectives that the rate of output tokens decides alone; none where hardware or price are tuned."""
    metrics = [goal.metric for goal in experiment.objective]
    if not _alike(experiment) or any("." in metric for metric in metrics):
        return []
    return [metric for metric in metrics if METRICS[metric].of_output_rate]


def _alike(experiment: Experiment) -> bool:
    deploy = experiment.deploy
    return isinstance(deploy.accelerators, int) and not isinstance(deploy.price_per_hour, str)


def warm_text(search: Search, warm: Sequence[str]) -> list[str]:
    """What a sampler does with earlier runs that it does not learn from."""
    if not warm or search.sampler == "auto":
        return []
    return [f"sampler {search.sampler} learns nothing of them, but tries their best first"]


def gain_text(share: float) -> str:
    """When the search ends for want of gain."""
    return (
        f"the search ends after {FEWEST_TRIALS} trials or more, once {IN_A_ROW} suggestions in a row expect "
        f"one more trial to gain less than {100 * share:.3g} %"
    )


def dearest(experiment: Experiment) -> float | None:
    """The highest price of a deployment for an hour, judged by the grid where there is one; None without."""
    space = experiment.space
    size = space.size()
    if _alike(experiment) or size is None or size > _LOOKED_AT:
        return space.price_per_hour(space.baseline)
    return max((p for g in space.grid() if (p := space.price_per_hour(g)) is not None), default=None)
