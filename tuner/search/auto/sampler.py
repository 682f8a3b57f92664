"""The default strategy as an Optuna sampler: it reads the run's history, not the study.

Optuna's trials cannot carry what the model learns from (every round, how far each limit is, what a trial
cost), so the sampler is given the history itself. A configuration is chosen as a whole and handed out by
parameter, whatever order they are asked for in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from tuner.search.auto.chooser import Chooser
from tuner.search.outlook import Outlook
from tuner.trial.ports import ParamValue


class AutoSampler(BaseSampler):
    """Suggests what its chooser chooses, and at random once that has nothing left.

    Args:
        distributions: every parameter in Optuna's terms.
        encode: (name, value) -> the value in the terms of its distribution.
    """

    def __init__(
        self,
        chooser: Chooser,
        distributions: Mapping[str, BaseDistribution],
        encode: Callable[[str, ParamValue], ParamValue],
        *,
        seed: int,
    ) -> None:
        self._chooser = chooser
        self._distributions = dict(distributions)
        self._encode = encode
        self._random = RandomSampler(seed=seed)

    @property
    def outlook(self) -> Outlook | None:
        """What is expected of the last suggestion."""
        return self._chooser.outlook

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters: they are chosen together."""
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The active parameters of the chosen configuration."""
        chosen = self._chooser.choose() or {}
        return {name: self._encode(name, value) for name, value in chosen.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """What the chosen configuration does not name."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)
