"""Why a verdict is to be believed, in words: blocks, noise floor, drift, limits, what was left out."""

from __future__ import annotations

import math
from collections import Counter

from tuner.results.baseline_again import IN_100, BaselineAgain
from tuner.results.limits import kept_told
from tuner.results.overview import BASELINE, Overview
from tuner.trial.ports import Phase, State
from tuner.verdict import Outcome, Verdict
from tuner.verdict.noise_floor import seen_in
from tuner.verdict.sentences import share, trials

_MARKS = {
    "client_bound": "client-bound",
    "invalid": "off their load",
    "contaminated": "answered from a warm prefix cache",
    "dirty": "disturbed by others (they count)",
}


def believed(seen: Overview, again: BaselineAgain) -> list[str]:
    """One sentence or two a line, in the order of a doubter's questions; [] before anything was measured."""
    if not seen.trials:
        return []
    found = seen.verdict
    lines = [*_compared(found), *_scattered(found, seen), *again.floor_told(), *again.drift_told()]
    if found is not None and found.winner is not None:
        name = "the baseline" if found.winner == BASELINE else f"trial {found.winner}"
        lines += kept_told(seen, found.winner, name)
    return [*lines, *_marked(seen), *_left_out(seen, found)]


def _compared(found: Verdict | None) -> list[str]:
    if found is None or found.gain is None:
        return []
    count = len(found.blocks)
    said = f"The gain rests on {count} block{'s' * (count != 1)}: in each, trial {found.gain_of} and the "
    said += "baseline were deployed anew, close in time, in an order that was drawn"
    if found.gain.has_interval:
        low, high = share(found.gain.low), share(found.gain.high)
        said += f"; a deployment is the unit of the interval, {low} to {high} (95 %, Student's t)"
    lines = [f"{said}."]
    if found.outcome in (Outcome.BETTER, Outcome.BETTER_TIED) and found.tied:
        lines.append(f"Not told apart: {trials(found.tied)}; the nearest to the baseline was taken.")
    return lines


def _scattered(found: Verdict | None, seen: Overview) -> list[str]:
    """How far the blocks lay apart, which is the noise that was really there, and what it lets be seen."""
    if found is None or found.gain is None or len(found.gain.blocks) < 2:
        return []
    logs = [math.log1p(block) for block in found.gain.blocks]
    middle = math.fsum(logs) / len(logs)
    deviation = math.sqrt(math.fsum((v - middle) ** 2 for v in logs) / (len(logs) - 1))
    each = ", ".join(share(block) for block in found.gain.blocks)
    arms = len({line.trial for line in seen.validation if line.values})
    least = seen_in(found.gain.low, found.gain.high, (max(arms, 2) - 1) * (len(logs) - 1))
    can = f"; such blocks see a gain of {least * 100:.2g} % ({IN_100})" if math.isfinite(least) else ""
    return [
        f"The blocks gave {each}: a standard deviation of {deviation * 100:.1f} % from block to block{can}."
    ]


def _marked(seen: Overview) -> list[str]:
    trust = seen.trust
    told = [f"{trust[mark]} {words}" for mark, words in _MARKS.items() if trust[mark]]
    if not trust["rounds"]:
        return []
    said = ", ".join(told) or "none was marked"
    return [f"Of {trust['rounds']} rounds: {said}. Client-bound, off-load and warm ones never prune or win."]


def _left_out(seen: Overview, found: Verdict | None) -> list[str]:
    """Deployments that count for nothing, and candidates that the validation threw out."""
    said = []
    phases = (Phase.SENTINEL, Phase.VALIDATION)
    lost = Counter(
        (str(line.state), str(line.phase))
        for line in seen.trials
        if line.phase in phases and line.state in (State.FAILED, State.INTERRUPTED)
    )
    if lost:
        told = ", ".join(f"{count} {state} in {phase}" for (state, phase), count in sorted(lost.items()))
        said.append(f"Deployments without a measurement: {told}.")
    if found is not None and found.out:
        said.append(f"Thrown out by the validation: {trials(found.out)}; the reasons stand above.")
    warm = Counter(line.cold for line in seen.validation if line.values and line.cold is not None)
    if warm[True] and warm[False]:
        said.append(
            f"{warm[True]} of {warm[True] + warm[False]} validation deployments were the first of their "
            "model on their node; rounds begin after the warm-up."
        )
    return said
