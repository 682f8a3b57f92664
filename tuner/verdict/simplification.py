"""Whether flags of the winner may go back to the baseline: a test of non-inferiority on paired blocks.

The simplified configuration takes the winner's place only where the one-sided 95 % bound of what it loses
lies below the margin: not to be told apart from the winner is not enough, for a few blocks tell little apart
(one of the two one-sided tests of D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15,
1987, pages 657-680). The blocks are fresh ones: neither the winner nor the flags were chosen by them, so that
nothing of the choice flatters the loss or the gain that is reported. How far deployments scatter is told by
them and the validation's together. Whether it is tried is settled before the first, by the latter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tuner.verdict import sentences as say
from tuner.verdict.additive import Additive, Scatter
from tuner.verdict.flags import Simplified
from tuner.verdict.gain import CONFIDENCE, student_quantile
from tuner.verdict.measured import Arms, Merge, Validated, cold_apart
from tuner.verdict.outcome import Outcome, Verdict

FEWEST_BLOCKS = 2


def validation_scatter(measured: Sequence[Validated], *, maximize: bool) -> Scatter:
    """How far the validation's deployments scatter, by all arms none of whose deployments failed."""
    measured, _ = cold_apart(measured)
    failed = {one.trial for one in measured if one.failure}
    return _fit(measured, {one.trial for one in measured} - failed, maximize=maximize).scatter


def power(*, scatter: Scatter, blocks: int, margin: float, expected: float) -> float:
    """The probability that so many blocks of three arms show a loss below the margin; 0 where it is unknown.

    The test's statistic follows a noncentral t: see `power_of` of benchmarks/verdicts/figures.py.

    Args:
        scatter: of the validation.
        margin: as a share.
        expected: what is truly lost, as a share.
    """
    from scipy.special import nctdtr  # noqa: PLC0415  scipy.stats would cost a second of every start

    deviation, degrees = scatter
    if not degrees or blocks < FEWEST_BLOCKS:
        return 0.0
    room = math.log1p(-expected) - math.log1p(-margin)
    error = deviation * math.sqrt(2 / blocks)
    if not error:
        return float(room > 0)
    degrees += 2 * (blocks - 1)
    return 1 - float(nctdtr(degrees, room / error, student_quantile(CONFIDENCE, degrees)))


def smallest_margin(*, scatter: Scatter, blocks: int) -> float:
    """The margin that a configuration which loses nothing is shown to keep half of the time; NaN as above."""
    deviation, degrees = scatter
    if not degrees:
        return math.nan
    degrees += 2 * (blocks - 1)
    return -math.expm1(-student_quantile(CONFIDENCE, degrees) * deviation * math.sqrt(2 / blocks))


def simplified(
    verdict: Verdict,
    measured: Sequence[Validated],
    *,
    trial: int,
    back: Sequence[str],
    margin: float,
    maximize: bool,
    metric: str,
    merge: Merge | None,
    bound: Merge | None = None,
    scatter: Scatter,
) -> Verdict:
    """The verdict with `trial` in the winner's place where that is shown to give away less than the margin.

    It must also keep every limit over its merged rounds, never fail to deploy, and be better than the
    baseline by these blocks alone.

    Args:
        verdict: BETTER or BETTER_TIED.
        measured: the simplification's deployments of `trial`, the winner and the baseline.
        back: the parameters that went back.
        metric: the objective's name, for the sentences.
        merge, bound: as `decide` has them.
        scatter: of the validation.
    """
    winner = verdict.winner
    assert winner is not None
    measured, _ = cold_apart(measured)
    arms = Arms(measured, maximize=maximize, merge=merge, bound=bound)
    fit = _fit(measured, {trial, winner, verdict.baseline}, maximize=maximize, also=scatter)
    found = fit.difference(trial, winner)
    loss, most = math.nan, math.nan
    if found is not None:
        loss, most = -math.expm1(found.mean), -math.expm1(found.least())
    gain = fit.gain(trial, verdict.baseline) if fit.shared(trial, verdict.baseline) else None
    if failures := arms.failures(trial):
        why_not = f"its deployment in block {failures[0].block + 1} failed ({failures[0].failure})"
    elif len(fit.shared(trial, winner)) < FEWEST_BLOCKS:
        why_not = "it and the winner were measured together in fewer than two blocks"
    elif not arms.feasible(trial):
        why_not = f"it misses {say.misses(arms.violations(trial))}"
    elif not arms.surely_feasible(trial):
        why_not = f"its 95 % upper bound misses {say.misses(arms.bounds(trial))}"
    elif not most < margin:
        why_not = f"that it loses less than {margin * 100:g} % is not shown"
    elif gain is None or not gain.low > 0:
        why_not = "it is not shown to be better than the baseline"
    else:
        why_not = ""
    given_up = fit.gain(winner, trial) if found is not None else None
    made = Simplified(trial, winner, tuple(back), loss, most, margin, not why_not, why_not, given_up)
    if why_not or gain is None:
        is_out = arms.failures(trial) or not arms.surely_feasible(trial)
        out = (*verdict.out, trial) if is_out else verdict.out
        return replace(verdict, simplified=made, details=(*verdict.details, made.told()), out=out)
    apart = [say.nodes_out(len(fit.node_names))] if fit.fits_nodes(trial, verdict.baseline) else []
    return replace(
        verdict,
        outcome=Outcome.BETTER,
        winner=trial,
        headline=say.better(trial, gain, metric),
        details=(made.told(), *apart, *verdict.details),
        gain=gain,
        gain_of=trial,
        tied=(),
        blocks=tuple(fit.shared(trial, verdict.baseline)),
        simplified=made,
    )


def _fit(
    measured: Sequence[Validated], trials: set[int], *, maximize: bool, also: Scatter = (math.nan, 0)
) -> Additive:
    arms = Arms(measured, maximize=maximize, merge=None)
    logs = {trial: arms.logs(trial, arms.blocks(trial)) for trial in sorted(trials)}
    nodes = {trial: arms.nodes(trial, arms.blocks(trial)) for trial in logs}
    return Additive(logs, nodes, also=also)
