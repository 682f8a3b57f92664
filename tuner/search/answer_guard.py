"""Keeps a faster configuration that answers worse from winning.

Each combination of the values that can change answers is asked once, on the first deployment that has it,
and compared with the baseline's first deployment. What it lost holds for every trial of the combination; one
that lost too much is not tried again, for nothing that a trial measures can make it a winner.

What the baseline differs by from itself is known from further passes on its first deployment, in batches
made up otherwise, and from the first few later deployments that should answer alike: the baseline's own, and
trials that differ from it in innocent parameters alone (another attention kernel sums in another order). One
of these that is off by more than is allowed is no such thing: it is judged as itself, and its combination is
left alone. In the validation's first block every arm is asked again: the baseline for what two deployments
differ by, a candidate because its answers are about to be recommended.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tuner.errors import WorldError
from tuner.load.answers import MOST_PASSES
from tuner.results.lines import TrialLine
from tuner.search.strategy import Assignment
from tuner.spec import Experiment
from tuner.spec.space import Space
from tuner.trial.answers import Answers
from tuner.trial.judgement import Judgement, judged
from tuner.trial.ports import Asked, ParamValue, Phase, State, TrialConfig

_FURTHER = 2  # deployments that are asked to learn what those differ by that should answer alike
Keep = Callable[[Mapping[str, Any]], None]


class AnswerGuard:
    """Says whom to ask, and what answers lost. Not thread-safe: one caller, the desk.

    Args:
        compared: the parameters whose combinations are compared; none for a guard that does nothing.
        limits: metric of a loss -> the most of it.
        keep: has the baseline's answers on disk when it returns.
        stored: what `keep` was given in an earlier start of the run; None for nothing.
        lines: the deployments of earlier starts.

    Raises:
        WorldError: the baseline was measured in an earlier start, and its answers are gone.
    """

    def __init__(
        self,
        space: Space,
        *,
        compared: Iterable[str] = (),
        limits: Mapping[str, float],
        keep: Keep = lambda stored: None,
        stored: Mapping[str, Any] | None = None,
        lines: Iterable[TrialLine] = (),
    ) -> None:
        self._space = space
        self._compared = tuple(compared)
        self._limits = dict(limits)
        self._keep = keep
        self._reference: Answers | None = None
        self._further: list[float] = []
        self._by_combination: dict[Hashable, Judgement] = {}
        self._by_trial: dict[int, Judgement] = {}  # of one trial alone
        self._baseline = self._combination(space.baseline)
        if stored is not None:
            self._reference = Answers.from_json(stored["answers"])
            self._further = [float(nats) for nats in stored["further"]]
        for line in lines:
            if line.accuracy is not None:
                self._remember(line.trial, line.phase, line.params, Judgement.from_json(line.accuracy))
            if self._compared and stored is None and line.trial == 0 and line.state is State.COMPLETE:
                raise WorldError(
                    "answers.json: got none, and the baseline was measured; would be right: the file back in "
                    "the run's directory, or --new"
                )

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        *,
        keep: Keep,
        stored: Mapping[str, Any] | None,
        lines: Iterable[TrialLine],
    ) -> AnswerGuard:
        """The guard that an experiment asks for."""
        return cls(
            experiment.space,
            compared=experiment.compared,
            limits={m: v for m, v in experiment.limits.items() if m not in experiment.slo},
            keep=keep,
            stored=stored,
            lines=lines,
        )

    def asked(self, assignment: Assignment) -> Asked:
        """How often a deployment is to be asked, and whether for a score."""
        if not self._compared:
            return Asked()
        if assignment.trial == 0 and self._reference is None:
            return Asked(MOST_PASSES, scored=True)
        if assignment.phase is Phase.VALIDATION:
            return Asked(int(assignment.block == 0))
        combination = self._combination(assignment.params)
        if combination == self._baseline:
            return Asked(int(len(self._further) < _FURTHER))
        return Asked() if combination in self._by_combination else Asked(1, scored=True)

    def take(self, trial: TrialConfig, answers: Answers) -> None:
        """Take in what a deployment answered; the baseline's come before all others.

        Raises:
            WorldError: the baseline's could not be written down.
        """
        if self._reference is None:
            assert trial.trial == 0, "nothing is deployed before the baseline was measured"
            self._reference = answers
            self._write()
            return
        values = {name: v for name, v in trial.params.items() if name in self._compared}
        found = judged(self._reference, answers, own=self._own, trial=trial.trial, values=values)
        alike = self._combination(trial.params) == self._baseline
        if trial.trial == 0 or (alike and not found.beyond(self._limits)):
            self._further.append(found.difference)
            self._write()
        else:
            self._remember(trial.trial, trial.phase, trial.params, replace(found, unexpected=alike))

    def losses(self, trial: TrialConfig) -> dict[str, float]:
        """Metric -> what a deployment's answers lost, from 0 on; empty where it is not known."""
        if not self._compared:
            return {}
        combination = self._combination(trial.params)
        if combination == self._baseline:
            found = dict.fromkeys(self._limits, 0.0)
        else:
            whole = self._by_combination.get(combination)
            found = whole.losses if whole is not None else {}
        alone = self._by_trial.get(trial.trial)
        return {**found, **alone.losses} if alone is not None else found

    def told(self, trial: TrialConfig) -> dict[str, Any] | None:
        """What trials.jsonl says of a deployment's answers; None where there is nothing to say."""
        found = self._by_trial.get(trial.trial) or self._by_combination.get(self._combination(trial.params))
        return found.to_json() if found is not None else None

    def condemned(self, params: Mapping[str, ParamValue]) -> bool:
        """Whether answers with these values lost more than is allowed."""
        if not self._by_combination:
            return False
        found = self._by_combination.get(self._combination(params))
        return found is not None and found.beyond(self._limits)

    @property
    def _own(self) -> list[float]:
        return [*(self._reference.again if self._reference else ()), *self._further]

    def _write(self) -> None:
        assert self._reference is not None
        self._keep({"further": self._further, "answers": self._reference.to_json()})

    def _remember(self, trial: int, phase: Phase, params: Mapping[str, ParamValue], found: Judgement) -> None:
        combination = self._combination(params)
        if phase is Phase.VALIDATION or combination == self._baseline:
            self._by_trial[trial] = found
        else:
            self._by_combination.setdefault(combination, found)

    def _combination(self, params: Mapping[str, ParamValue]) -> Hashable:
        active = self._space.active(params)
        return tuple(
            (name, self._space.parameters[name].render(active[name]))
            for name in self._compared
            if name in active
        )
