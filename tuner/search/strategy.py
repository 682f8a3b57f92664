"""The brain of a run: what to deploy next, when to stop it, what was learned. No Ray, no clock of its own.

    ask() -> Assignment | None        None: nothing to start now; `finished` tells whether ever again
    report(key, round) -> reason      why the trial should stop; None to go on
    tell(key, ...)                    how a deployment ended

The search comes first, the baseline before all others, and again after every so many trials (a sentinel);
then, where something looks better than the baseline, the best few and the baseline are deployed again in
paired blocks.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence

from tuner.errors import Failure, FailureClass
from tuner.search.assignment import Assignment, Proposer, Settings
from tuner.search.budget import Reserve, beyond, reserve_for, settled, spent
from tuner.search.contenders import contenders
from tuner.search.history import Deployment, History, Key, TrialRecord
from tuner.search.neighbours import Width, width_of
from tuner.search.sentinels import is_due, sentinels
from tuner.search.stopping import StoppingRule
from tuner.search.validation import Plan, Simplifier, Validation
from tuner.trial.ports import Objective, ParamValue, Phase, State
from tuner.trial.rounds import RoundResult

__all__ = ["ENDED_EARLIER", "MOST_ATTEMPTS", "Assignment", "Proposer", "Settings", "Strategy"]
ENDED_EARLIER = "it ended in an earlier start of the run"
MOST_ATTEMPTS = 3  # of one deployment that something else than its configuration ended


class Strategy:
    """See the module. Not thread-safe: one caller."""

    def __init__(
        self,
        settings: Settings,
        *,
        baseline: Mapping[str, ParamValue],
        objective: Objective,
        history: History,
        proposer: Proposer,
        rules: Sequence[StoppingRule],
        simplifier: Simplifier | None = None,
    ) -> None:
        self.history = history
        self.objective = objective
        self.search_ended: str | None = None
        self.stopped: str | None = None
        self.baseline_failure: Failure | None = None
        self.baseline_lost: Failure | None = None  # what interrupted it too often
        self._settings = settings
        self._baseline = dict(baseline)
        self._proposer = proposer
        self._rules = tuple(rules)
        self._again: deque[Assignment] = deque()
        self._running: set[Key] = set()
        self._lost: Counter[tuple[int, Phase, int | None]] = Counter()  # interruptions, of this session
        self._sentinels_given_up = 0
        self._simplifier = simplifier
        self._validation: Validation | None = None

    @property
    def phase(self) -> Phase:
        """What is being deployed now."""
        return Phase.SEARCH if self._validation is None else self._validation.phase

    @property
    def finished(self) -> bool:
        """True once `ask` will never again return an assignment."""
        if self._running:
            return False
        if self.stopped is not None:
            return True
        return not self._again and self._validation is not None and self._validation.exhausted

    def stop(self, reason: str) -> None:
        """Start nothing more."""
        self.stopped = self.stopped or reason

    def resume(self, assignments: Sequence[Assignment]) -> None:
        """Half-measured deployments of an earlier start, to be made again as the next attempt."""
        self._again.extend(assignments)

    def ask(self, *, elapsed_seconds: float, place: Hashable = None) -> Assignment | None:
        """The next deployment to make, at `place`. It counts as running until `tell`."""
        if self.stopped is not None:
            return None
        found = self._next(elapsed_seconds, place)
        if found is not None:
            record = self.history.records[found.trial]
            record.deployments.append(Deployment(found.trial, found.phase, found.attempt, found.block))
            self._running.add(found.key)
        return found

    def report(self, key: Key, measured: RoundResult) -> str | None:
        """Take one more round in; why the trial should stop, or None."""
        deployment = self.deployment(key)
        if measured.load != 1:
            deployment.other_loads.append(measured)
            return self.stopped
        deployment.rounds.append(measured)
        score = self.objective.score(deployment.rounds)
        deployment.scores.append(score)
        if deployment.trial == 0 and deployment.phase in (Phase.SEARCH, Phase.SENTINEL) and measured.usable:
            deployment.each.append(self.objective.score([measured]))
        if self.stopped is not None:
            return self.stopped
        last = len(deployment.rounds) >= self._settings.rounds
        if deployment.phase is not Phase.SEARCH or deployment.trial == 0 or last or not score.measured:
            return None
        for rule in self._rules:
            if reason := rule.stop(deployment, self.history):
                deployment.reason = reason
                return reason
        return None

    def tell(
        self,
        key: Key,
        state: State,
        *,
        failure: Failure | None,
        seconds: float,
        accelerator_seconds: float,
        times: Mapping[str, float],
    ) -> None:
        """Take in how a deployment ended. An interrupted one is made again, a few times."""
        self._running.discard(key)
        deployment = self.deployment(key)
        deployment.state = state
        deployment.failure = failure
        deployment.seconds = seconds
        deployment.accelerator_seconds = accelerator_seconds
        deployment.times = dict(times)
        record = self.history.records[deployment.trial]
        if state is State.INTERRUPTED:
            if failure is None or failure.kind is not FailureClass.PREEMPTED:  # that may come again and again
                self._lost[deployment.trial, deployment.phase, deployment.block] += 1
            again = self._try_again(record, deployment)
            self._sentinels_given_up += deployment.phase is Phase.SENTINEL and not again
            if not again and self.stopped is None and key[:2] == (0, Phase.SEARCH):
                self.baseline_lost = failure
                self.stop("the baseline was interrupted too often")
        elif deployment.phase is Phase.SEARCH:
            if deployment.trial == 0 and state is State.FAILED:
                self.baseline_failure = failure
                self.stop("the baseline does not deploy")
            self._proposer.learn(record)

    def abandon(self, key: Key) -> None:
        """What became of it could not be written down; it counts as never ended."""
        self._running.discard(key)

    def deployment(self, key: Key) -> Deployment:
        """The deployment of that name; it must have been asked for."""
        trial, phase, attempt = key
        return next(d for d in self.history.records[trial].in_phase(phase) if d.attempt == attempt)

    def reserve(self) -> Reserve:
        """What is kept back of the budget for validation."""
        s = self._settings
        made = (s.top + 1) * s.blocks if s.top else 0
        made += s.sentinel is not None  # the one at the end of the search
        return self._expected(made)

    def _expected(self, deployments: int) -> Reserve:
        s = self._settings
        scale = (s.validation_rounds + len(s.loads)) / s.rounds
        return reserve_for(self.history, deployments=deployments, parallel=s.parallel, scale=scale)

    def _next(self, elapsed_seconds: float, place: Hashable) -> Assignment | None:
        if self._again:
            return self._again.popleft()
        if self._validation is None:
            found = self._next_search(elapsed_seconds)
            if found is not None or self._running or self.search_ended is None:
                return found
            s = self._settings
            self._validation = Validation(
                self.history,
                Plan(s.top, s.blocks, s.parallel, s.seed),
                candidates=[r.number for r in self.candidates()],
                simplifier=self._simplifier,
            )

        def room(count: int) -> bool:
            expected, limits = self._expected(count), self._settings.limits
            return not beyond(limits, self.history, elapsed_seconds=elapsed_seconds, reserve=expected)

        planned = self._validation.next(self._running, place, room=room)
        if planned is None:
            return None
        phase, (trial, block) = self.phase, planned
        record = self.history.records[trial]
        attempt = 1 + max((d.attempt for d in record.in_phase(phase)), default=0)
        s = self._settings
        near = self.history.node_of(phase, block)
        return Assignment(trial, phase, attempt, record.params, s.validation_rounds, block, s.loads, near)

    def _next_search(self, elapsed_seconds: float) -> Assignment | None:
        if 0 not in self.history.records:
            return self._start(self._baseline, number=0, attempt=1 + self.history.lost.pop(0, 0))
        width = self.width
        if self._waits(width):
            return None
        if self.search_ended is None and any(True for _ in self.history.deployments(Phase.VALIDATION)):
            self.search_ended = ENDED_EARLIER
        if self.search_ended is None:
            self.search_ended = spent(
                self._settings.limits, self.history, elapsed_seconds=elapsed_seconds, reserve=self.reserve()
            )
        sentinel = self._sentinel(width)
        if sentinel is not None or self.search_ended is not None:
            return sentinel
        params, outlook = self._proposer.propose(self.history.next_number()), self._proposer.outlook
        if params is None:
            self.search_ended = "every configuration of the space was tried"
        else:
            self.search_ended = settled(self._settings.limits, self.history, outlook)
        if params is None or self.search_ended is not None:
            return self._sentinel(width)
        found = self._start(params, number=self.history.next_number(), attempt=1)
        self.history.records[found.trial].outlook = outlook
        return found

    def _waits(self, width: Width) -> bool:
        """Whether nothing of the search may start now."""
        baseline = self.history.records[0].search
        if baseline is None or (baseline.state is None and not baseline.scores):
            return True  # until the baseline serves, nothing says that anything can be deployed
        if baseline.state is None and not width.settled:
            return True  # it has the machine to itself
        return self._settings.by_neighbours and len(self._running) >= width.now

    @property
    def width(self) -> Width:
        """How many trials of the search run side by side."""
        if not self._settings.by_neighbours:
            return Width(self._settings.parallel, settled=True)
        return width_of(self.history, self._settings.parallel)

    def _sentinel(self, width: Width) -> Assignment | None:
        """The baseline again, where that is due: beside neighbours at first, then after so many trials."""
        made, ended = sentinels(self.history), self.search_ended is not None
        running, given_up = any(d.state is None for d in made), self._sentinels_given_up
        due = not (width.settled or ended or running or given_up)
        if not due and self._settings.sentinel is not None:
            early = len(width.lost) + (not width.settled)
            every, besides = self._settings.sentinel, given_up - early
            due = is_due(self.history, every=every, search_ended=ended, besides=besides)
        if not due:
            return None
        attempt = 1 + max((d.attempt for d in made), default=0)
        return Assignment(0, Phase.SENTINEL, attempt, dict(self._baseline), self._settings.rounds)

    def _start(self, params: Mapping[str, ParamValue], *, number: int, attempt: int) -> Assignment:
        self.history.add(TrialRecord(number, dict(params)))
        return Assignment(number, Phase.SEARCH, attempt, dict(params), self._settings.rounds)

    def _try_again(self, record: TrialRecord, ended: Deployment) -> bool:
        if self.stopped is not None or self._lost[ended.trial, ended.phase, ended.block] >= MOST_ATTEMPTS:
            return False
        if ended.failure is not None and ended.failure.kind is FailureClass.UNSCHEDULABLE:
            return False  # it has waited for room as long as deploy.schedule_seconds lets it
        attempt = 1 + max(d.attempt for d in record.in_phase(ended.phase))
        s = self._settings
        searched = ended.phase in (Phase.SEARCH, Phase.SENTINEL)
        rounds, loads = (s.rounds, ()) if searched else (s.validation_rounds, s.loads)
        self._again.append(
            Assignment(record.number, ended.phase, attempt, record.params, rounds, ended.block, loads)
        )
        return True

    def candidates(self) -> list[TrialRecord]:
        """What the validation deploys again; see `contenders`."""
        s = self._settings
        return contenders(self.history, top=s.top, more=max(1.0, s.blocks * s.validation_rounds / s.rounds))
