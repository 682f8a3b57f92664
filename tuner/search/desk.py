"""Between the strategy and whatever runs the trials: hands out deployments, writes down what came of them.

What became of a deployment is written first (one fsynced line), then the strategy is told, then the study.
Knows no Ray: the Tune adapters, tests and replays all go through it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from tuner.errors import Failure, FailureClass, TunerError
from tuner.results.lines import RoundLine, TrialLine
from tuner.search.answer_guard import AnswerGuard
from tuner.search.desk_ports import Store, Study, Watcher
from tuner.search.handed_out import HandedOut
from tuner.search.history import Deployment, Key
from tuner.search.opening import Opening, always_open
from tuner.search.strategy import Assignment, Strategy
from tuner.spec.space import Space
from tuner.trial.ports import ParamValue, Phase, Slot, State, TrialConfig
from tuner.trial.step import Step

Place = tuple[str, str]  # a node, and what of the model's storage was read there


def model_place(places: Mapping[str, ParamValue]) -> str:
    """Which of the model's variants a deployment reads; "" where there is only one."""
    return str(places.get("storage.pvc_subpath", ""))


class Desk:
    """One run's desk.

    Args:
        guard: compares answers; None for no comparing.
        warmed: where earlier sessions of the run deployed: there the model's files may be cached.
        opening: when deployments may be handed out; always where it is left out.
        elapsed: seconds since the run began, earlier starts of it included.
        now: Unix time.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        run: str,
        space: Space,
        store: Store,
        study: Study,
        watchers: Sequence[Watcher] = (),
        guard: AnswerGuard | None = None,
        warmed: Iterable[Place] = (),
        opening: Opening | None = None,
        elapsed: Callable[[], float],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.strategy = strategy
        self.broken: Failure | None = None
        self.first_step: Step | None = None  # the first that sent a request
        self._run = run
        self._space = space
        self._store = store
        self._study = study
        self._watchers = watchers
        self._guard = guard or AnswerGuard(space, limits={})
        self._elapsed = elapsed
        self._now = now
        self._open: dict[Key, HandedOut] = {}
        self._warmed = set(warmed)
        self.opening = opening or always_open()
        self._held: dict[tuple[str, int], Assignment] = {}  # by place: what waits for the next opening

    @property
    def finished(self) -> bool:
        """True once nothing will ever be handed out again."""
        while self.strategy.stopped is not None and self._held:
            self.strategy.abandon(self._held.popitem()[1].key)
        return self.strategy.finished

    @property
    def paused_until(self) -> float | None:
        """When a run of which nothing is deployed goes on, Unix time; None where it is not paused."""
        if self._open or not self._held or self.finished:
            return None
        if any(self.opening.admits(assignment.rounds) for assignment in self._held.values()):
            return None
        return self.opening.opens_at()

    @property
    def running(self) -> list[TrialConfig]:
        """What is deployed now."""
        return [o.trial for o in self._open.values()]

    def begin(self, slot: Slot) -> tuple[Assignment, TrialConfig] | None:
        """The next deployment, for `slot`; None for nothing now.

        Raises:
            TunerError: the study did not take it; it counts as never handed out.
        """
        place = slot.node_id, slot.index
        assignment = self._held.pop(place, None)
        assignment = assignment or self.strategy.ask(elapsed_seconds=self._elapsed(), place=place)
        if assignment is None and self._held:  # of a place that may be gone
            assignment = self._held.popitem()[1]
        if assignment is None:
            return None
        if not self.opening.admits(assignment.rounds):
            self._held[place] = assignment
            return None
        trial = replace(self.configured(assignment, slot), asked=self._guard.asked(assignment))
        if assignment.phase is Phase.SEARCH:
            try:
                self._study.begin(assignment.trial, assignment.params, assignment.attempt)
            except TunerError:
                self.strategy.abandon(assignment.key)
                raise
        self._open[assignment.key] = HandedOut(assignment, trial, self._now())
        for watcher in self._watchers:
            watcher.began(trial, assignment)
        return assignment, trial

    def configured(self, assignment: Assignment, slot: Slot) -> TrialConfig:
        """The deployment that an assignment stands for."""
        params: dict[str, ParamValue] = self._space.active(assignment.params)
        return TrialConfig(
            run=self._run,
            trial=assignment.trial,
            phase=assignment.phase,
            attempt=assignment.attempt,
            params=params,
            arguments=self._space.arguments(params),
            environment=self._space.environment(params),
            places=self._space.places(params),
            accelerators=self._space.accelerators(params),
            near=assignment.near,
            slot=slot,
        )

    def by_hand(self, trial: int) -> TrialConfig:
        """A configuration as somebody would deploy it outside the run."""
        record = self.strategy.history.records[trial]
        return self.configured(Assignment(trial, Phase.SEARCH, 1, record.params, 0), Slot())

    def step(self, key: Key, step: Step) -> bool:
        """Take one round in; True when the trial is to end."""
        measured = self._take_in(key, step)
        if measured is not None and key[1] is Phase.SEARCH:
            self._study.round(key[0], measured, self.strategy.deployment(key).scores[-1].values[0])
        return self._open[key].stopping is not None

    def _take_in(self, key: Key, step: Step) -> int | None:
        """Write down and judge what the step measured; the round's number, None where there is no new one."""
        entry, deployment = self._open[key], self.strategy.deployment(key)
        entry.last = step
        if deployment.cold is None and step.node:
            deployment.node = step.node
            place = (step.node, model_place(entry.trial.places))
            deployment.cold = place not in self._warmed if step.cold is None else step.cold
            self._warmed.add(place)
        if self.first_step is None and step.first_request is not None:
            self.first_step = step
        if step.answers is not None and not entry.answered:  # the last step comes twice
            entry.answered = True
            self._guard.take(entry.trial, step.answers)
        measured = step.round
        if measured is None or measured.number in entry.rounds:
            return None
        entry.rounds.append(measured.number)
        trial = entry.trial
        price = self._space.price_per_hour(trial.params)
        measured = measured.served_on(accelerators=trial.accelerators, price_per_hour=price)
        measured = replace(measured, losses=self._guard.losses(trial))
        reason = self.strategy.report(key, measured)
        score = deployment.scores[-1]
        self._store.append_round(
            RoundLine(
                *key,
                round=measured,
                metrics=self.strategy.objective.score([measured]).metrics,
                decision=reason or ("go on" if key[1] is Phase.SEARCH else ""),
                values=score.values,
                intervals=score.intervals,
            )
        )
        entry.stopping = entry.stopping or reason
        for watcher in self._watchers:
            watcher.measured(deployment)
        return measured.number

    def end(self, key: Key, step: Step | None) -> None:
        """A deployment is over; `step` is the last that was seen of it, None where its actor died."""
        entry = self._open[key]
        if step is not None:
            self._take_in(key, step)  # the study is told last: where it is lost, the line stands
        state, failure = self._outcome(entry, step)
        if step is not None and step.stops_run:
            self.broken = step.failure
            self.strategy.stop("no trial can be deployed")
        ended = self._now()
        times = entry.times(ended)
        if failure is not None and failure.log_tail:
            self._store.write_log(entry.trial.name, failure.log_tail)
        self._store.append_trial(self._line(entry, state, failure, times, ended))
        self.strategy.tell(
            key,
            state,
            failure=failure,
            seconds=times["total"],
            accelerator_seconds=(ended - entry.placed(ended)) * entry.trial.accelerators,
            times={part: seconds for part, seconds in times.items() if part != "total"},
        )
        if self.broken is None:
            self.broken = self.strategy.baseline_lost
        unoffered = self._unoffered(self.strategy.deployment(key)) if state is State.COMPLETE else None
        if unoffered is not None and self.broken is None:
            self.broken = unoffered
            self.strategy.stop(unoffered.message)
        del self._open[key]
        record = self.strategy.history.records[key[0]]
        if key[1] is Phase.SEARCH and record.ended:
            self._study.end(record)
        for watcher in self._watchers:
            watcher.ended(self.strategy.deployment(key))

    def _outcome(self, entry: HandedOut, step: Step | None) -> tuple[State, Failure | None]:
        if step is None:
            return State.INTERRUPTED, Failure(FailureClass.NODE_FAULT, "the trial's actor or its node died")
        if step.failure is not None and step.failure.kind is FailureClass.CANCELLED and self.opening.closed:
            return State.INTERRUPTED, Failure(FailureClass.CANCELLED, self.opening.cut_short)
        if step.ended is not None:
            return step.ended, step.failure
        if self.strategy.stopped is not None or entry.stopping is None:
            return State.INTERRUPTED, Failure(FailureClass.CANCELLED, self.strategy.stopped or "cut short")
        return State.STOPPED, None

    @staticmethod
    def _reason(entry: HandedOut, state: State, deployment: Deployment) -> str:
        """Why it was stopped, or which of its rounds count for nothing."""
        if state is State.STOPPED:
            return entry.stopping or ""
        return deployment.left_out if state is State.COMPLETE else ""

    def _unoffered(self, deployment: Deployment) -> Failure | None:
        """An SLO or objective that the engine offers nothing for: no trial can ever be measured."""
        baseline = self.strategy.history.records[0].search
        for one in (baseline, deployment):
            if one is None or one.score is None or not one.score.unoffered:
                return None
        assert deployment.score is not None
        return Failure(FailureClass.BACKEND_BROKEN, deployment.score.reason)

    def _line(
        self, entry: HandedOut, state: State, failure: Failure | None, times: dict[str, float], ended: float
    ) -> TrialLine:
        deployment = self.strategy.deployment(entry.assignment.key)
        score, last, trial = deployment.score, entry.last, entry.trial
        outlook = self.strategy.history.records[trial.trial].outlook
        measured = score is not None and state in (State.COMPLETE, State.STOPPED)
        return TrialLine(
            trial=trial.trial,
            phase=trial.phase,
            attempt=trial.attempt,
            block=entry.assignment.block,
            state=state,
            feasible=bool(measured and score is not None and score.feasible),
            params=trial.params,
            arguments=trial.arguments,
            metrics=score.metrics if score else {},
            values=score.values if score else (),
            violations=score.violations if score else {},
            intervals=score.intervals if score else (),
            failure=failure,
            times=times,
            accelerator_seconds=(ended - entry.placed(ended)) * trial.accelerators,
            price_per_hour=self._space.price_per_hour(trial.params),
            engine_version=last.engine_version if last else "",
            node=last.node if last else "",
            cold=deployment.cold,
            expected_to_deploy=outlook.deploys if outlook is not None else None,
            reason=self._reason(entry, state, deployment),
            accuracy=self._guard.told(trial),
            started=entry.started,
            ended=ended,
        )
