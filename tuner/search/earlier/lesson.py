"""What one earlier run teaches this one: the shape of every figure, where things deploy, and its best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.search.auto.encoding import Rows
from tuner.search.auto.outcomes import FAR_BELOW, SOFT, missed_sign
from tuner.search.auto.roles import KINDS, figure_of, role_of
from tuner.search.earlier.figures import Figures, figures_of
from tuner.search.earlier.joint import Joint
from tuner.search.earlier.matching import Matching, matched
from tuner.search.earlier.reading import EarlierRun, EarlierTrial
from tuner.search.earlier.setting import Likeness, Setting, setting_of
from tuner.search.earlier.shape import Edge, Shape
from tuner.spec import Experiment
from tuner.spec.space import Params, Space
from tuner.trial.objective import violation
from tuner.trial.ports import ParamValue

_TRIAL_SHARE = 0.5  # of a whole trial's noise variance that more rounds do not lessen


@dataclass(frozen=True, slots=True)
class Told:
    """One figure of this run as an earlier run tells it; `exact` where it measured that very metric."""

    shape: Shape
    exact: bool


class Lesson:
    """One earlier run, held against this experiment.

    Attributes:
        objectives, slos: metric -> what is told of it: the logarithm, turned so that an objective is high
            where it is good, an SLO's metric where it is missed; only metrics of which something is told.
        edge: where configurations deployed; None where all did, and of another engine, model or accelerator,
            whose memory ends elsewhere.
        matching: of the parameters.
        likeness: of the two settings.
    """

    def __init__(self, run: EarlierRun, experiment: Experiment, space: Space) -> None:
        self.run = run
        self._experiment = experiment
        self._space = space
        mine, theirs = setting_of(experiment), setting_of(run.experiment)
        self.settings: tuple[Setting, Setting] = mine, theirs
        self.likeness: Likeness = mine.likeness(theirs)
        same_engine = self.likeness is not Likeness.OTHER
        their_space = run.experiment.space
        self.matching: Matching = matched(space.parameters, their_space.parameters, same_engine=same_engine)
        tried = [trial.params for trial in run.trials]
        self._joint = Joint(self.matching, space, their_space, tried)
        self._rows = self._joint.of_earlier(tried)
        rounds = np.array([trial.rounds for trial in run.trials], dtype=float)
        self._variance = _TRIAL_SHARE + (1 - _TRIAL_SHARE) / rounds
        self.objectives: dict[str, Told] = {}
        self.slos: dict[str, Told] = {}
        self.edge: Edge | None = None
        if self.matching.pairs and run.trials:
            self._learn()

    @property
    def teaches(self) -> bool:
        """Whether anything of it is of use."""
        return bool(self.objectives or self.slos or self.edge)

    def at(self, configurations: Sequence[Mapping[str, ParamValue]]) -> Rows:
        """The rows of this run's configurations, for `Told.shape` and `edge`."""
        return self._joint.of_this(configurations)

    def best(self) -> tuple[Params | None, str]:
        """Its best configuration in this run's terms; else None, and why."""
        found = self._best_trial()
        if found is None:
            return None, "nothing of it is feasible"
        params: Params = {}
        for name, value in self.run.experiment.space.active(found.params).items():
            mine = self.matching.pairs.get(name)
            if mine is None:
                continue
            here = self._value_here(mine, value)
            if here is None:
                right = self._space.parameters[mine].describe()
                return None, f"its best has {mine} {value}, which is not here ({right})"
            params[mine] = here
        baseline = self._space.baseline
        params |= {name: baseline[name] for name in self.matching.new if name in baseline}
        params = self._space.active(params)
        wrong = self._space.check(params)
        if wrong:
            return None, f"its best is none here: {wrong[0]}"
        if not self._space.complete(params):
            missing = [n for n in self._space.order if n not in params and self._space.is_active(n, params)]
            return None, f"its best says nothing of {', '.join(missing)}"
        return params, ""

    def _learn(self) -> None:
        for goal in self._experiment.objective:
            figures = figures_of(goal.metric, self.run)
            if figures is not None:
                sign = 1.0 if goal.is_maximized else -1.0
                self._tell(self.objectives, goal.metric, figures, _lifted(sign * _log(figures.values)))
        for metric, limit in self._experiment.slo.items():
            figures = figures_of(metric, self.run)
            if figures is not None:
                share = figures.values / (limit or 1.0)
                beyond = missed_sign(metric) * np.log((share + SOFT) / (1 + SOFT))
                self._tell(self.slos, metric, figures, beyond)
        failed = np.array([trial.failed for trial in self.run.trials], dtype=bool)
        measured = np.array([bool(trial.metrics) for trial in self.run.trials], dtype=bool)
        labelled = failed | measured
        mine, theirs = self.settings
        if mine.deploys_as(theirs):
            self.edge = Edge.of(self._rows[labelled], ~failed[labelled])

    def _tell(self, told: dict[str, Told], metric: str, figures: Figures, values: Rows) -> None:
        shape = Shape.of(self._joint, self._rows, values, self._variance)
        if shape is not None:
            told[metric] = Told(shape, figures.exact)

    def _best_trial(self) -> EarlierTrial | None:
        """The best feasible one, its luck taken out: by this run's limits where the setting is the same."""
        able = [n for n, trial in enumerate(self.run.trials) if trial.complete and self._feasible(trial)]
        told = self.objectives.get(self._experiment.objective[0].metric)
        if not able or told is None:
            return None
        means = told.shape.at(self._rows[able])
        return self.run.trials[able[int(np.argmax(means))]]

    def _feasible(self, trial: EarlierTrial) -> bool:
        slo = self._experiment.slo
        if self.likeness is Likeness.SAME and all(metric in trial.metrics for metric in slo):
            return all(violation(m, trial.metrics[m], limit) <= 0 for m, limit in slo.items())
        return trial.feasible

    def _value_here(self, name: str, value: ParamValue) -> ParamValue | None:
        """The value among this run's; of a precision that is called differently the only one of its kind."""
        parameter = self._space.parameters[name]
        found = parameter.canonical(value)
        role = role_of(name, parameter)
        if found is None and role in KINDS:
            alike = [v for v in parameter.grid() or () if figure_of(role, v) == figure_of(role, value)]
            found = alike[0] if len(alike) == 1 else None
        return found


def _log(values: Rows) -> Rows:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(values))


def _lifted(values: Rows) -> Rows:
    """What lies far below the best is as bad as that; what is minus infinite too."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.full(len(values), math.nan)
    return np.where(np.isposinf(values), math.nan, np.maximum(values, known.max() - FAR_BELOW))
