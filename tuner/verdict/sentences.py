"""The verdict's sentences: plain words, figures with their interval, nothing claimed beyond them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuner.verdict.gain import Gain


def share(value: float) -> str:
    """A signed share in percent: '+12.3 %'."""
    return f"{value * 100:+.1f} %"


def gain_text(gain: Gain) -> str:
    """'+12.3 % (95 % interval +8.0 % to +17.1 %)', or the estimate alone where there is no interval."""
    if not gain.has_interval:
        return f"{share(gain.share)} (one block: no interval)"
    return f"{share(gain.share)} (95 % interval {share(gain.low)} to {share(gain.high)})"


def trials(numbers: Sequence[int]) -> str:
    """'trial 3', 'trials 3 and 5', 'trials 3, 5 and 8'."""
    if len(numbers) == 1:
        return f"trial {numbers[0]}"
    return f"trials {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def misses(violations: Mapping[str, float]) -> str:
    """'ttft_p95_ms by 12.0 %, error_rate (cannot be told)': the limits that are missed, worst first.

    Infinitely far is what too few requests say of a percentile's upper bound.
    """
    worst = sorted(violations.items(), key=lambda item: -item[1] if not math.isnan(item[1]) else -math.inf)
    found = [
        f"{name} ({'cannot be told' if math.isnan(v) else 'too few requests for one'})"
        if not math.isfinite(v)
        else f"{name} by {v * 100:.1f} %"
        for name, v in worst
        if not v <= 0
    ]
    return ", ".join(found) or "no limit"


def better(winner: int, gain: Gain, metric: str) -> str:
    """Headline of BETTER and BETTER_TIED."""
    return f"Trial {winner} is better than the baseline: {gain_text(gain)} in {metric}."


def no_better(candidate: int, gain: Gain, metric: str) -> str:
    """Headline of NO_BETTER."""
    return (
        f"No better than the baseline: trial {candidate}, the best candidate, has {gain_text(gain)} "
        f"in {metric}. Keep the baseline."
    )


def only_winner(winner: int, baseline: Mapping[str, float]) -> str:
    """Headline of ONLY_WINNER_FEASIBLE, with by how much the baseline misses."""
    if all(v <= 0 for v in baseline.values()):
        return f"Only trial {winner} keeps every limit; the baseline could not be measured."
    return f"Only trial {winner} keeps every limit; the baseline misses {misses(baseline)}."


def nothing_feasible(nearest: int | None, violations: Mapping[str, float]) -> str:
    """Headline of NOTHING_FEASIBLE."""
    if nearest is None:
        return "Nothing is feasible: no configuration could be measured."
    return f"Nothing is feasible: trial {nearest} comes nearest and misses {misses(violations)}."


def nothing_shown(nearest: int, bounds: Mapping[str, float]) -> str:
    """Headline of NOTHING_FEASIBLE where a candidate keeps the limits by its estimate, and not surely."""
    return (
        f"Nothing is shown to be feasible: trial {nearest} keeps every limit by what was measured, but its "
        f"95 % upper bound misses {misses(bounds)}; more rounds would tell."
    )


def too_few_blocks(winner: int, blocks: int) -> str:
    """Headline of UNVALIDATED after a validation that gave too little."""
    return (
        f"Not validated: {blocks} complete block{'s' * (blocks != 1)} of the validation, and an interval "
        f"takes two. Trial {winner} was the best of the search; no gain is claimed."
    )


def not_validated(best: int | None, why: str) -> str:
    """Headline of UNVALIDATED without a validation."""
    if best is None:
        return f"Not validated ({why}): no feasible trial so far."
    return f"Not validated ({why}): trial {best} was the best of the search; no gain is claimed."


def baseline_alone(why: str) -> str:
    """Headline of NO_BETTER when no candidate is left."""
    return f"No better than the baseline: {why}. Keep the baseline."


def tied(numbers: Sequence[int], winner: int) -> str:
    """Why the nearest was taken."""
    return (
        f"{trials(numbers).capitalize()} are not told apart; trial {winner} is the nearest to the baseline "
        "of them, the least to change."
    )


def leader_taken(winner: int, nearer: int) -> str:
    """Why the nearest was not taken."""
    return (
        f"Trial {nearer} lies nearer to the baseline and is not told apart from trial {winner}, but is not "
        "shown to be better than the baseline."
    )


def nodes_out(nodes: int) -> str:
    """Why the gain is not the mean of the blocks' ratios."""
    return f"The validation ran on {nodes} nodes; what they differ by is taken out of the gain."


def failed(trial: int, block: int, why: str) -> str:
    """A candidate is out: not reliable."""
    return f"Trial {trial} is out: its deployment in block {block + 1} failed ({why})."


def infeasible(trial: int, violations: Mapping[str, float]) -> str:
    """A candidate is out: a limit is missed."""
    return f"Trial {trial} is out: over all its validation rounds it misses {misses(violations)}."


def not_shown(trial: int, bounds: Mapping[str, float]) -> str:
    """A candidate is out: within the limits by its estimate, and not by the bound."""
    return (
        f"Trial {trial} is out: it keeps every limit by what was measured, but over all its validation "
        f"rounds its 95 % upper bound misses {misses(bounds)}."
    )


def baseline_not_shown(bounds: Mapping[str, float]) -> str:
    """The baseline is within the limits by its estimate, and not by the bound."""
    return (
        "The baseline keeps every limit by what was measured, but its 95 % upper bound misses "
        f"{misses(bounds)}."
    )


def unmeasured(trial: int) -> str:
    """A candidate is out: nothing was measured that may be trusted."""
    return f"Trial {trial} is out: the validation gave no measurement of it that can be trusted."


def cold(trial: int, block: int, node: str) -> str:
    """A deployment is left out of its block."""
    where = f" on {node}" if node else ""
    who = "The baseline's" if trial == 0 else f"Trial {trial}'s"
    return (
        f"{who} deployment in block {block + 1} does not count: it was the first use of the model{where}, "
        "and others of the block were not."
    )


def baseline_failed(block: int, why: str) -> str:
    """A block is dropped."""
    return f"Block {block + 1} does not count: the baseline's deployment failed ({why})."


def baseline_out(violations: Mapping[str, float], failures: int) -> str:
    """Why the baseline is not feasible."""
    if not any(not v <= 0 for v in violations.values()):
        return f"The baseline was not measured: {failures} of its validation deployments failed."
    return f"The baseline misses {misses(violations)}."
