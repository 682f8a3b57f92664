"""A disk that fills up at any write of a run: what counts is whole, and the run goes on from there."""

from __future__ import annotations

import errno
import os
from collections import Counter

import pytest

from tuner.errors import WorldError
from tuner.results import journal
from tuner.results.run_directory import RunDirectory
from tuner.results.run_state import RunState
from tuner.trial.ports import State

WRITES = 12  # of a run of three trials with three rounds each, every one of which is made to fail once


class DiskStore:
    """The store of a simulated run, over a run directory."""

    def __init__(self, folder, name="demo"):
        state = RunState(experiment="demo", experiment_hash="0", started=0.0)
        self.folder = folder
        self.run = RunDirectory.create(folder, name, experiment_yaml="", state=state)

    def opened(self):
        """As the next driver finds it."""
        self.run.release()
        self.run = RunDirectory.open(self.folder, self.run.name)
        self.run.acquire(now=0.0)
        return self

    @property
    def rounds(self):
        return self.run.rounds()

    @property
    def trials(self):
        return self.run.trials()

    def __getattr__(self, name):
        return getattr(self.run, name)


@pytest.fixture
def disk(monkeypatch):
    """`disk.fails_at = n`: the n-th write takes half of its line and the next ones nothing, until it is 0."""

    class Disk:
        fails_at = 0
        written = 0

    found, real = Disk(), os.write

    def write(descriptor, content):
        found.written += 1
        if found.fails_at and found.written == found.fails_at:
            return real(descriptor, content[: len(content) // 2])
        if found.fails_at and found.written > found.fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, content)

    monkeypatch.setattr(journal.os, "write", write)
    return found


@pytest.mark.parametrize("fails_at", range(1, WRITES + 1))
def test_whichever_write_fails_nothing_half_written_counts_and_the_run_goes_on(
    run_of, disk, tmp_path, fails_at
):
    store = DiskStore(tmp_path)
    run = run_of(
        "search.trials=3",
        "search.sampler=grid",
        "search.early_stop=none",
        "validation.enabled=false",
        store=store,
    )
    store.opened()
    run.start()
    disk.fails_at = fails_at
    with pytest.raises(WorldError, match=r"jsonl: No space left on device; free some space") as seen:
        run.go()
    assert "\n" not in str(seen.value)
    before = [line.to_json() for line in (*store.rounds, *store.trials)]
    disk.fails_at = 0
    store.opened()
    run.start()
    assert run.go()
    after = [line.to_json() for line in (*store.rounds, *store.trials)]
    assert all(line in after for line in before)
    keys = Counter((*line.key, line.round.number) for line in store.rounds)
    assert set(keys.values()) == {1}
    ended = [line for line in store.trials if line.state is not State.INTERRUPTED]
    assert sorted(line.trial for line in ended) == [0, 1, 2]
    assert disk.written > WRITES
