"""Rules that end a trial before its last round. A new rule is one module here.

A module offers `make_rule() -> StoppingRule` and `DESCRIPTION`, a few words for the plan; its name is what
`search.early_stop` says.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol

from tuner.search.history import Deployment, History


class StoppingRule(Protocol):
    """Decides after each round of a trial that may be trusted."""

    def stop(self, running: Deployment, history: History) -> str | None:
        """Why `running` should end now, in a few words; None to let it go on.

        `running.scores` holds the score of the mean so far after each of its rounds. The baseline is never
        asked about, nor a trial whose rounds are all client-bound.
        """
        ...


def described(name: str) -> str:
    """The rule in a few words, its name first."""
    return f"{name} ({importlib.import_module(f'{__name__}.{name}').DESCRIPTION})"


def rules_for(early_stop: str, *, measuring_seconds: float, deploying_seconds: float) -> list[StoppingRule]:
    """The rules that `search.early_stop` asks for.

    `auto` is hopeless always, and ASHA where measuring a trial outlasts deploying it: with a slow
    deployment little is saved by not measuring to the end.
    """
    if early_stop == "none":
        return []
    chosen: Sequence[str] = [early_stop]
    if early_stop == "auto":
        chosen = ["hopeless", "asha"] if measuring_seconds > deploying_seconds else ["hopeless"]
    return [importlib.import_module(f"{__name__}.{name}").make_rule() for name in chosen]
