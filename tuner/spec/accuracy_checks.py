"""What the accuracy section and the other sections together can show to be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuner.spec.accuracy import ACCURACY_LOSS, SCORE_LOSS
from tuner.spec.faults import Fault, Path, suggestion

if TYPE_CHECKING:
    from tuner.spec.experiment import Experiment


def accuracy_faults(experiment: Experiment) -> Iterator[Fault]:
    """Every fault that is found; `at` is the experiment's path."""
    accuracy = experiment.accuracy
    for name in accuracy.parameters or ():
        if name not in experiment.parameters:
            yield Fault(
                got=f"the unknown parameter {name!r}",
                right=suggestion(name, experiment.parameters),
                at=("accuracy", "parameters"),
            )
    prompts = accuracy.prompts
    if prompts is None or experiment.workload.chat or "rows" not in prompts.__dict__:
        return
    if any(len(row.messages(row.alone)) > 1 for row in prompts.rows):
        yield Fault(
            got="messages, and a workload of completions",
            right="rows with a prompt, or workload.chat: true",
            at=("accuracy", "prompts"),
        )


def loss_limit(name: str, at: Path) -> Fault | None:
    """Why a loss is no SLO and no objective; None for other metrics."""
    metric = name.rpartition(".")[2]
    key = {ACCURACY_LOSS: "accuracy.tolerance", SCORE_LOSS: "accuracy.command.tolerance"}.get(metric)
    return Fault(got=name, right=f"{key}, which is its limit", at=at) if key is not None else None
