"""Ray Tune's Searcher and TrialScheduler, both of them thin: every decision is the desk's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tuner.errors import TunerError
from tuner.search.desk import Desk
from tuner.search.history import Key
from tuner.search.ray.pool import Pool
from tuner.search.ray.slots import SlotPool
from tuner.search.ray.trainable import ASSIGNMENT, STEP
from tuner.search.spare import Spare
from tuner.trial.step import Step

_LOOK_SECONDS = 1.0


class Link:
    """Which Tune trial is which deployment; shared by the two adapters.

    Attributes:
        error: what made the desk give up, such as a full disk; nothing starts after it.
        hold: something waits for room: nothing is handed out meanwhile, or small trials would for ever take
            what a wide one waits for.
        while_idle: called while nothing runs and nothing is handed out: Tune's loop stands still meanwhile.
    """

    def __init__(
        self, desk: Desk, slots: SlotPool, *, pool: Pool | None = None, spare: Spare | None = None
    ) -> None:
        self.error: TunerError | None = None
        self.hold = False
        self.while_idle: Callable[[], None] = lambda: None
        self.desk = desk
        self.slots = slots
        self._pool = pool or Pool({}, narrowest=0)
        self._spare = spare
        self.keys: dict[str, Key] = {}
        self.names: dict[str, str] = {}

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Tune pickles its searcher and scheduler for a restore that is not used: nothing goes along."""
        return type(None), ()

    def begin(self, trial_id: str) -> dict[str, Any] | None:
        """The config of the next deployment; None where there is no slot or nothing to do now."""
        if self.hold:
            return None
        slot = self.slots.take()
        if slot is None:
            return None
        begun, taken = None, slot
        if self._spare is not None:
            self._spare.free = lambda: self._pool.free(self.desk.running, taken)
        with self._giving_up():
            begun = None if self._pool.is_spent(self.desk.running, slot) else self.desk.begin(slot)
        if begun is None:
            self.slots.give_back(slot, last=None)
            return None
        assignment, trial = begun
        self.keys[trial_id] = assignment.key
        self.names[trial_id] = trial.name
        self.slots.lend(trial_id, slot)
        given = {
            "trial": asdict(trial),
            "rounds": assignment.rounds,
            "loads": assignment.loads,
            "previous": self.slots.last(slot),
        }
        return {ASSIGNMENT: json.dumps(given), "accelerators": trial.accelerators, "node_id": slot.node_id}

    def step(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Take a round in; True when the trial is to be stopped."""
        with self._giving_up():
            return self.desk.step(self.keys[trial_id], Step.from_json(json.loads(result[STEP])))
        return True

    def end(self, trial_id: str, result: dict[str, Any] | None, *, error: bool) -> None:
        """The trial is over, whatever the reason."""
        key = self.keys.pop(trial_id, None)
        if key is None:
            return
        last = Step.from_json(json.loads(result[STEP])) if result and STEP in result and not error else None
        with self._giving_up():
            self.desk.end(key, last)
        if self.error is not None:
            self.desk.strategy.abandon(key)
        self.slots.take_back(trial_id, last=self.names.pop(trial_id))

    def in_vain(self, trial_id: str) -> bool:
        """Whether a trial waits for a place that it will not get, or should not take any more."""
        return trial_id in self.keys and (
            self.desk.strategy.stopped is not None or self.slots.stranded(trial_id)
        )

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Tune would go on after an error in its callbacks, or lose it: keep it, and start no more."""
        try:
            yield
        except TunerError as error:
            self.error = self.error or error
            self.desk.strategy.stop(str(error))


class DeskSearcher(Searcher):  # type: ignore[misc]
    """Asks the desk for the next deployment."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A config; None for nothing now; FINISHED for good."""
        if self._link.desk.finished:
            return str(Searcher.FINISHED)
        begun = self._link.begin(trial_id)
        if begun is None and not self._link.desk.running:
            self._link.while_idle()
        return begun

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tune hands a trial's last result to this method alone."""
        self._link.end(trial_id, result, error=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the run directory is the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: Tune's own restore is not used, it loses the searcher."""


class DeskScheduler(FIFOScheduler):  # type: ignore[misc]
    """Hands each round to the desk and stops what it says."""

    def __init__(self, link: Link, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._link = link
        self._clock = clock
        self._looked = clock()

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Tune's choice; what waits for a node that died is given up first, for it would wait for ever.

        Ray takes seconds to call a node dead: until then its slot may be lent once more. After a Ctrl-C
        nothing that waits is waited for.
        """
        if self._clock() - self._looked > _LOOK_SECONDS:
            self._looked = self._clock()
            for trial in list(tune_controller.get_live_trials()):  # stopping takes it out of the set
                if trial.status == "PENDING" and self._link.in_vain(trial.trial_id):
                    tune_controller.stop_trial(trial)
        return super().choose_trial_to_run(tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """CONTINUE or STOP."""
        stop = self._link.step(trial.trial_id, result)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)


def resources(resource: str) -> Any:
    """Config -> placement: a tenth of a CPU, the accelerators, and the slot's node where it has one."""

    def placement(config: dict[str, Any]) -> Any:
        bundle: dict[str, float] = {"CPU": 0.1}
        if config["accelerators"]:
            bundle[resource] = config["accelerators"]
        if config["node_id"]:
            selector = [{"ray.io/node-id": config["node_id"]}]
            return tune.PlacementGroupFactory([bundle], bundle_label_selector=selector)
        return tune.PlacementGroupFactory([bundle])

    return placement
