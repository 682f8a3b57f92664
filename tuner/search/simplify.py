"""The winner simplified: which of its flags go back to the baseline, and what the others are worth.

Which flags to try is the search's model's to say: one after the other, the one whose return is expected to
cost the least, as long as all of them together are expected to cost no more than half the margin (the other
half is left to the blocks' uncertainty). All of them go back at once, and blocks of their own test that
(`tuner/verdict/simplification.py`), where the validation's scatter lets them show it more often than not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tuner.search.conclusion import concluded, measured_in
from tuner.search.flag_model import FlagModel
from tuner.search.history import History, TrialRecord
from tuner.search.validation import Simplification
from tuner.search.worth import Worth
from tuner.spec import Experiment
from tuner.spec.space import Space
from tuner.trial.objective import Goal
from tuner.trial.ports import Objective, ParamValue, Phase, State
from tuner.verdict import (
    FlagWorth,
    Outcome,
    Source,
    Verdict,
    flags_told,
    power,
    simplified,
    smallest_margin,
    validation_scatter,
)
from tuner.verdict.additive import Scatter
from tuner.verdict.flags import Change

LEAST_POWER = 0.5  # to show that what is expected to be lost is below the margin; with less it is not tried
_SHARE_EXPECTED = 0.5  # of the margin, that all flags together are expected to cost at most
_BETTER = (Outcome.BETTER, Outcome.BETTER_TIED)
Params = Mapping[str, ParamValue]


@dataclass(frozen=True, slots=True)
class WinnerSimplifier:
    """See `validation.Simplifier`, and `conclusion.Ending`.

    Attributes:
        margin: what the simplified configuration may lose, as a share of the winner's value.
        blocks: how often it, the winner and the baseline are deployed; 0 to leave the winner as it is.
    """

    space: Space
    goals: tuple[Goal, ...]
    slos: tuple[str, ...]
    objective: Objective
    margin: float
    blocks: int
    _models: dict[int, FlagModel] = field(default_factory=dict)  # the last one, by the trials that it is of

    @classmethod
    def of(cls, experiment: Experiment, goals: Sequence[Goal], objective: Objective) -> WinnerSimplifier:
        """As the experiment's validation has it."""
        asked = experiment.validation
        blocks = asked.deployments if asked.enabled and asked.simplify else 0
        slos = tuple(experiment.slo)
        return cls(experiment.space, tuple(goals), slos, objective, margin=asked.margin, blocks=blocks)

    def plan(self, history: History, candidates: Sequence[int]) -> Simplification | str:
        """See `validation.Simplifier`. The same for the same history."""
        worth = Worth.of(self.goals, history)
        verdict = concluded(
            history,
            candidates=[history.records[number] for number in candidates],
            space=self.space,
            goals=self.goals,
            objective=self.objective,
            interrupted=False,
            validated=True,
        )
        if not self.blocks or verdict.outcome not in _BETTER or verdict.winner is None:
            return ""
        winner = history.records[verdict.winner]
        if (begun := self._begun(history, winner.number)) is not None:
            left = {name for name, _, _ in self._changes(history, begun.params)}
            back = tuple(n for n, _, _ in self._changes(history, winner.params) if n not in left)
            return Simplification(begun.number, begun.params, winner.number, back, self.blocks)
        scatter = self._scatter(history, worth)
        model = self._model(history, worth)
        if not model.knows:
            return "the search measured too few configurations to say which flags may go back"
        back, params, expected = self._chosen(history, model, winner)
        if not back:
            return f"every flag of it is expected to be worth more than {self.margin * 50:g} %"
        if power(scatter=scatter, blocks=self.blocks, margin=self.margin, expected=expected) < LEAST_POWER:
            least = smallest_margin(scatter=scatter, blocks=self.blocks)
            return (
                f"{' and '.join(back)} may be worth nothing, but {self.blocks} blocks could only show a loss "
                f"of less than {least * 100:.1f} % (validation.margin is {self.margin * 100:g} %)"
            )
        return Simplification(self._number(history, params), params, winner.number, back, self.blocks)

    def conclude(self, verdict: Verdict, history: History, candidates: Sequence[int]) -> Verdict:
        """The verdict of the validation, with what became of the winner's flags."""
        if verdict.winner is None or verdict.winner == verdict.baseline or not verdict.recommends:
            return verdict
        worth = Worth.of(self.goals, history)
        plan = self.plan(history, candidates)
        if isinstance(plan, Simplification):
            verdict = self._tested(verdict, history, plan, worth)
        elif plan:
            verdict = replace(verdict, details=(*verdict.details, f"No flag was put back: {plan}."))
        flags = self._flags(verdict, history, worth)
        return replace(verdict, flags=flags, details=(*verdict.details, *flags_told(flags)))

    def _tested(self, verdict: Verdict, history: History, plan: Simplification, worth: Worth) -> Verdict:
        measured = measured_in(history, Phase.SIMPLIFY, worth)
        if not measured:
            said = f"No flag was put back: the budget had no room for {3 * plan.blocks} deployments more."
            return replace(verdict, details=(*verdict.details, said))
        return simplified(
            verdict,
            measured,
            trial=plan.trial,
            back=plan.back,
            margin=self.margin,
            maximize=worth.maximize,
            metric=worth.name,
            merge=lambda trial, blocks: self._merged(history, trial, blocks)[0],
            bound=lambda trial, blocks: self._merged(history, trial, blocks)[1],
            scatter=self._scatter(history, worth),
        )

    def _scatter(self, history: History, worth: Worth) -> Scatter:
        """Of a deployment, by the validation."""
        return validation_scatter(measured_in(history, Phase.VALIDATION, worth), maximize=worth.maximize)

    def _merged(
        self, history: History, trial: int, blocks: Sequence[int]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Violations over some blocks of the simplification, by what was measured and by upper bounds."""
        rounds = [
            r
            for d in history.records[trial].in_phase(Phase.SIMPLIFY)
            if d.block in blocks and d.state is State.COMPLETE
            for r in d.rounds
        ]
        if not rounds:
            return {}, {}
        score = self.objective.score(rounds)
        return score.violations, score.bound_violations

    def _chosen(
        self, history: History, model: FlagModel, winner: TrialRecord
    ) -> tuple[tuple[str, ...], dict[str, ParamValue], float]:
        """What goes back, the configuration that is left, and what it is expected to lose, as a share."""
        names = [name for name, _, _ in self._changes(history, winner.params)]
        back: tuple[str, ...] = ()
        params, expected = winner.params, 0.0
        most = _SHARE_EXPECTED * self.margin
        while True:
            found: list[tuple[float, str, dict[str, ParamValue]]] = []
            for name in names:
                left = self._put_back(history, winner.params, (*back, name))
                lost = 1 - 1 / (1 + model.gain(winner.params, left).share)
                if name not in back and lost <= most and self._able(history, model, left):
                    found.append((lost, name, left))
            if not found:
                return back, params, expected
            lost, name, params = min(found, key=lambda one: one[:2])
            back, expected = (*back, name), max(0.0, lost)

    def _able(self, history: History, model: FlagModel, params: Params) -> bool:
        """Whether a configuration may take the winner's place, as far as the search can tell."""
        key, baseline = self.space.key(params), self.space.key(history.records[0].params)
        if key == baseline or not self.space.valid(params):
            return False
        for record in history.records.values():
            last = record.search
            if self.space.key(record.params) == key and last is not None:
                known_bad = last.state is State.FAILED or (last.score is not None and not last.score.feasible)
                return not known_bad
        return model.keeps_limits(params)

    def _changes(self, history: History, params: Params) -> list[Change]:
        """The parameters that are active here and in the baseline, and have another value."""
        old, new = self.space.active(history.records[0].params), self.space.active(params)
        return [
            (name, old.get(name), new.get(name))
            for name in self.space.parameters
            if old.get(name) != new.get(name)
            and self.space.is_active(name, old)
            and self.space.is_active(name, new)
        ]

    def _put_back(self, history: History, params: Params, names: Sequence[str]) -> dict[str, ParamValue]:
        """The configuration with some parameters at the baseline's values.

        What becomes active by that has the baseline's value too; what the baseline leaves to the engine is
        left to it again.
        """
        baseline = self.space.active(history.records[0].params)
        kept = {name: value for name, value in params.items() if name not in names}
        return self.space.active({**baseline, **kept})

    def _number(self, history: History, params: Params) -> int:
        """Of the configuration that the search tried; a new one where it did not."""
        key = self.space.key(params)
        tried = [r.number for r in history.records.values() if self.space.key(r.params) == key]
        return tried[0] if tried else history.next_number()

    def _begun(self, history: History, winner: int) -> TrialRecord | None:
        """What an earlier start of the run has begun to deploy in the winner's place."""
        trials = {d.trial for d in history.deployments(Phase.SIMPLIFY)} - {0, winner}
        return history.records[min(trials)] if trials else None

    def _model(self, history: History, worth: Worth) -> FlagModel:
        trials = sum(record.ended for record in history.records.values())
        if trials not in self._models:
            weights = worth.balance.weights if worth.balance else (1.0, *(0.0 for _ in self.goals[1:]))
            deviation, degrees = self._scatter(history, worth)
            several = len({d.node for d in history.deployments(Phase.SEARCH) if d.node}) > 1
            made = FlagModel(
                history,
                self.space,
                goals=self.goals,
                weights=weights,
                slos=self.slos,
                noise=deviation if degrees and not several else None,  # nodes differ by more than that
            )
            self._models.clear()
            self._models[trials] = made
        return self._models[trials]

    def _flags(self, verdict: Verdict, history: History, worth: Worth) -> tuple[FlagWorth, ...]:
        """What the winner's flags are worth: each by the model, those meant to go back by their blocks."""
        assert verdict.winner is not None
        params = history.records[verdict.winner].params
        found = []
        made = verdict.simplified
        if made is not None and made.given_up is not None:
            before = self._changes(history, history.records[made.winner].params)
            changes = tuple(change for change in before if change[0] in made.back)
            found.append(FlagWorth(changes, made.given_up, Source.BLOCKS, back=made.taken))
        model = self._model(history, worth)
        for change in self._changes(history, params) if model.knows else ():
            gain = model.gain(params, self._put_back(history, params, (change[0],)))
            found.append(FlagWorth((change,), gain, Source.MODEL))
        return tuple(found)
