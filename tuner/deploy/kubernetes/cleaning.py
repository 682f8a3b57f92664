"""Removes what runs left in a namespace, for people: works after whatever became of the drivers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from tuner.deploy.kubernetes.client import Cluster
from tuner.deploy.kubernetes.objects import Made, made_by_tuner, remove
from tuner.deploy.kubernetes.run_lease import drop_lease, leases
from tuner.errors import LeaseHeld, UserError


def clean(
    cluster: Cluster,
    *,
    run: str | None,
    force: bool,
    say: Callable[[str], None],
    now: Callable[[], float] = time.time,
) -> int:
    """Have everything of `run`, or of all runs, deleted in the namespace; how many objects that were.

    Pods end on their own within their grace period. Of all runs, those with a live driver are left alone.

    Args:
        run: its name, or a beginning that no other run there has; None for all.
        force: also what a live driver is working with.
        now: Unix time.

    Raises:
        UserError: several runs begin so.
        LeaseHeld: the run is being driven, and not `force`.
        ApiRefused, Unreachable: it cannot be looked at, or not be deleted.
    """
    held = leases(cluster)
    found: dict[str, list[Made]] = defaultdict(list)
    for made in made_by_tuner(cluster):
        found[made.run].append(made)
    names = _named(run, sorted({*found, *held}))
    removed = 0
    for name in names:
        lease = held.get(name)
        if lease is not None and lease.alive(now=now()) and not force:
            text = f"run {name} is driven by {lease.holder} (renewed {now() - lease.renewed:.0f} s ago)"
            if run is not None:
                raise LeaseHeld(f"{text}; stop it, or add --force")
            say(f"{text}: left alone")
            continue
        removed += _clean(cluster, name, found.get(name, []), say)
    return removed


def _named(run: str | None, names: list[str]) -> list[str]:
    if run is None:
        return names
    if run in names:
        return [run]
    fitting = [name for name in names if name.startswith(run)]
    if len(fitting) > 1 or not run:
        several = ", ".join(fitting) or "no run"
        raise UserError(f"{run!r}: {several} begin so; would be right: more of one's name, or --all")
    return fitting


def _clean(cluster: Cluster, run: str, found: list[Made], say: Callable[[str], None]) -> int:
    count = 0

    def tell(made: Made) -> None:
        nonlocal count
        count += 1
        say(f"removed {made.resource.kind} {made.name}")

    remove(cluster, found, done=tell)
    if drop_lease(cluster, run):
        count += 1
        say(f"removed the Lease of run {run}")
    return count
