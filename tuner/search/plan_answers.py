"""What a run is going to compare of what configurations answer, in a line of the plan."""

from __future__ import annotations

from tuner.load.answer_prompts import BUILT_IN
from tuner.load.answers import FIRST_TOKENS, MOST_PASSES
from tuner.spec import Experiment


def answers_text(experiment: Experiment) -> str:
    """Which parameters, how, and what may be lost; "" where nothing is compared."""
    compared, accuracy = experiment.compared, experiment.accuracy
    if not compared:
        return ""
    if accuracy.check == "always":
        whose = "every configuration"
    else:
        whose = f"each combination of {', '.join(f'{name} ({why})' for name, why in compared.items())}"
    prompts = len(accuracy.prompts.rows) if accuracy.prompts is not None else len(BUILT_IN)
    said = (
        f"{whose} compared once with the baseline, which is asked up to {MOST_PASSES} times: the first "
        f"{FIRST_TOKENS} tokens over {prompts} prompts; at most {accuracy.tolerance:g} nats may be lost"
    )
    if accuracy.command is not None:
        said += f", and {accuracy.command.tolerance:.1%} of the score of accuracy.command"
    return f"{said}; what loses more is not tried again"
