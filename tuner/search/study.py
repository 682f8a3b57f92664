"""The run's Optuna study in its storage: one Optuna trial per configuration, states told as they are.

The study is what people open with Optuna's own tools and what other drivers share. The run directory rules:
`repair` brings the study to what the run directory says.

    measured to the end   COMPLETE, with its values; PRUNED where one of them cannot be told
    stopped by a rule     PRUNED, with its intermediate values
    failed                PRUNED, with the constraint `deploys` violated: infeasible to every sampler
    every trial           one constraint per SLO, and `deploys`
    forgotten             FAIL: begun in a study that was lost, with no line in the run directory
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from tuner.errors import WorldError
from tuner.search.history import Deployment, TrialRecord
from tuner.search.study_storage import Patience, cause, opened
from tuner.trial.objective import NOT_MEASURED, Goal
from tuner.trial.ports import ParamValue, State

P = ParamSpec("P")
R = TypeVar("R")
DEPLOYS = "deploys"
ATTEMPT = "attempt"
_STEP_ZERO = 1  # rounds are counted from 1


def quiet() -> None:
    """Keep Optuna's log lines and its warnings of experimental features off the screen."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def directions(goals: Sequence[Goal]) -> list[StudyDirection]:
    """Optuna's word for each goal's direction."""
    return [StudyDirection.MAXIMIZE if g.maximize else StudyDirection.MINIMIZE for g in goals]


def constraints(deployment: Deployment, slos: Sequence[str]) -> dict[str, float]:
    """The same constraints for every trial; above 0 is violated.

    What a failed deployment would have measured is not known: each SLO counts as missed by far.
    """
    score = deployment.score
    if deployment.state is State.FAILED or score is None:
        return {DEPLOYS: 1.0, **dict.fromkeys(slos, NOT_MEASURED)}
    return {DEPLOYS: 0.0, **{m: score.violations.get(m, NOT_MEASURED) for m in slos}}


def _told(method: Callable[Concatenate[StudyMirror, P], R]) -> Callable[Concatenate[StudyMirror, P], R]:
    """A storage that fails is the world's fault, in one line; one that is away is waited for.

    Each of the methods finds by itself how far an earlier try came.
    """

    @functools.wraps(method)
    def telling(self: StudyMirror, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._patience.insist(lambda: method(self, *args, **kwargs))

    return telling


class StudyMirror:
    """The study of one run.

    Every method raises WorldError where the storage cannot be reached or written; one with a server is waited
    for first, but not in the beginning, when somebody is there to look.

    Args:
        storage: an Optuna URL, or a storage that is open.
        patience: with a server that is away; None for the usual one.

    Raises:
        UserError: there is no such storage, or no password for it.
    """

    def __init__(
        self,
        storage: str | optuna.storages.BaseStorage,
        name: str,
        *,
        goals: Sequence[Goal],
        slos: Sequence[str],
        distributions: Mapping[str, BaseDistribution],
        patience: Patience | None = None,
    ) -> None:
        self._goals = tuple(goals)
        self._slos = tuple(slos)
        self._distributions = dict(distributions)
        self._patience = patience or Patience(storage if isinstance(storage, str) else "")
        kept = opened(storage) if isinstance(storage, str) else storage
        try:
            self._study = optuna.create_study(
                storage=kept, study_name=name, directions=directions(goals), load_if_exists=True
            )
        except Exception as error:  # as in `opened`
            raise WorldError(f"study storage {storage}: {cause(error)}") from error

    @_told
    def begin(self, number: int, params: Mapping[str, ParamValue], attempt: int) -> None:
        """A configuration is being deployed for the search, for the first time or again."""
        while number > len(self._trials):  # begun once, and forgotten with a lost study
            self._study.add_trial(optuna.create_trial(state=TrialState.FAIL))
        if number == len(self._trials):
            known = {k: v for k, v in params.items() if k in self._distributions}
            self._study.add_trial(
                optuna.create_trial(
                    state=TrialState.RUNNING,
                    params=known,
                    distributions={k: self._distributions[k] for k in known},
                )
            )
        if not self._trials[number].state.is_finished():  # of a resumed run's: Optuna lets none change
            self._trial(number).set_user_attr(ATTEMPT, attempt)

    @_told
    def round(self, number: int, step: int, value: float) -> None:
        """A round's value, the mean so far; several objectives have none.

        Of a configuration that is measured again the new value stands: `Trial.report` would keep the old.
        """
        trial = self._trials[number]
        if len(self._goals) == 1 and not trial.state.is_finished():
            self._study._storage.set_trial_intermediate_value(trial._trial_id, step, value)

    @_told
    def end(self, record: TrialRecord) -> None:
        """A search trial ended, with rounds that may not have been told yet; what was told is left alone."""
        deployment = record.search
        if deployment is None or self._trials[record.number].state.is_finished():
            return
        told = self._trials[record.number].intermediate_values
        for step, so_far in enumerate(deployment.scores, start=_STEP_ZERO):
            if told.get(step) != so_far.values[0]:
                self.round(record.number, step, so_far.values[0])
        trial = self._trial(record.number)
        for key, value in constraints(deployment, self._slos).items():
            trial.set_constraint(key, value)
        if deployment.failure is not None:
            trial.set_user_attr("failure", str(deployment.failure.kind))
        score = deployment.score
        known = score is not None and not any(map(math.isnan, score.values))
        if deployment.state is State.COMPLETE and score is not None and known:
            self._study.tell(record.number, list(score.values))
        else:
            self._study.tell(record.number, state=TrialState.PRUNED)

    @_told
    def repair(self, records: Mapping[int, TrialRecord]) -> None:
        """Bring the study to what the run directory says: missing trials added, ended ones told."""
        told = {t.number for t in self._trials if t.state.is_finished()}
        for number in sorted(records.keys() - told):
            record = records[number]
            last = record.search
            if last is None:
                continue
            self.begin(number, record.params, last.attempt)
            if record.ended:
                self.end(record)

    @_told
    def unfinished(self) -> dict[int, tuple[dict[str, ParamValue], int]]:
        """Trials that were begun and not told: number -> (params, attempts begun)."""
        found: dict[int, tuple[dict[str, ParamValue], int]] = {}
        for trial in self._trials:
            if not trial.state.is_finished():
                found[trial.number] = (dict(trial.params), int(trial.user_attrs.get(ATTEMPT, 1)))
        return found

    @_told
    def importance(self) -> dict[str, float]:
        """Each parameter's weight in reaching the best of the first objective; {} with too few trials.

        Optuna's PED-ANOVA (Watanabe, Bansal, Hutter, IJCAI 2023), which takes low targets for good ones.
        """
        sign = -1.0 if self._goals[0].maximize else 1.0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found: dict[str, Any] = optuna.importance.get_param_importances(
                    self._study, target=lambda t: sign * t.values[0]
                )
        except (ValueError, RuntimeError, ZeroDivisionError):
            return {}
        return {k: float(v) for k, v in found.items()}

    @property
    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        """As the storage has them now; to be read only, for they are not copied."""
        return self._study.get_trials(deepcopy=False)

    def _trial(self, number: int) -> optuna.Trial:
        return optuna.Trial(self._study, self._trials[number]._trial_id)
