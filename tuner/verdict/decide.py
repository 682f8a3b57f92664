"""From validation measurements to the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from tuner.verdict import sentences as say
from tuner.verdict.additive import Additive
from tuner.verdict.measured import Arms, Candidate, Merge, Searched, Validated, Violations, cold_apart
from tuner.verdict.outcome import Nearest, Outcome, Verdict
from tuner.verdict.selection import Choice, choose

SECOND_LOOK_CONFIDENCE = 0.975


def decide(
    measured: Sequence[Validated],
    candidates: Sequence[Candidate],
    *,
    maximize: bool,
    metric: str = "the objective",
    baseline: int = 0,
    merge: Merge | None = None,
    bound: Merge | None = None,
) -> Verdict:
    """The verdict over the validation's deployments.

    A candidate is out when one of its deployments failed (not reliable), when none was measured, or when
    its merged rounds miss a limit or do not show, by the upper bound of a percentile, that they keep it. Who
    is best is chosen over the blocks that measured the baseline and every candidate that is still in; the
    gain rests on those that measured the winner and the baseline, its interval on the scatter of all arms
    (tuner/verdict/additive.py). With fewer than two such blocks there is
    no interval, and so no gain is claimed. BETTER and BETTER_TIED are given only when the gain's 95 %
    interval lies above 0.

    Args:
        measured: at most one for each trial and block.
        candidates: the best of the search, the baseline not among them.
        maximize: whether a larger value is better. Of several objectives the value is their balance.
        metric: the objective's name, for the sentences.
        merge: the violations of a trial's rounds merged over some of its blocks; without it the mean of
            the blocks' violations, which for percentiles is only a stand-in.
        bound: the same for the upper bounds of percentiles; without it the estimates decide.
    """
    measured, cold = cold_apart(measured)
    arms = Arms(measured, maximize=maximize, merge=merge, bound=bound)
    ordered = [c.trial for c in sorted(candidates, key=lambda c: (c.distance, c.rank, c.trial))]
    standing, notes = _sift(ordered, arms)
    notes += [say.baseline_failed(one.block, one.failure) for one in arms.failures(baseline)]
    notes += [say.cold(one.trial, one.block, one.node) for one in cold]
    if arms.feasible(baseline) and not arms.surely_feasible(baseline):
        notes.append(say.baseline_not_shown(arms.bounds(baseline)))
    if not standing:
        return _none_standing(arms, ordered, baseline, notes)

    blocks = arms.shared_blocks(standing, baseline)
    logs = {arm: arms.logs(arm, arms.blocks(arm)) for arm in (baseline, *standing)}
    nodes = {arm: arms.nodes(arm, arms.blocks(arm)) for arm in logs}
    fit = Additive(logs, nodes)
    in_all = {c: arms.logs(c, blocks) for c in standing}
    choice = choose(in_all, blocks, nearest_first=standing, feasible=arms.feasible, fit=fit)
    rests_on = tuple(fit.shared(choice.winner, baseline))
    out = tuple(t for t in ordered if t not in standing)
    made = partial(Verdict, baseline=baseline, blocks=rests_on, out=out)
    if arms.known_infeasible(baseline):
        winner = choice.winner
        why = say.baseline_out(arms.violations(baseline), len(arms.failures(baseline)))
        return made(
            outcome=Outcome.ONLY_WINNER_FEASIBLE,
            winner=winner,
            headline=say.only_winner(winner, arms.violations(baseline)),
            details=(why, *_why_nearest(choice), *notes),
            gain=fit.gain(winner, baseline) if rests_on else None,
            gain_of=winner if rests_on else None,
            tied=choice.tied,
        )
    if len(rests_on) < 2:
        first = min((c for c in candidates if c.trial in standing), key=lambda c: (c.rank, c.distance)).trial
        headline = say.too_few_blocks(first, len(rests_on))
        return made(outcome=Outcome.UNVALIDATED, winner=first, headline=headline, details=tuple(notes))
    return _compared(choice, fit, notes, made, metric)


def _compared(
    choice: Choice,
    fit: Additive,
    notes: Sequence[str],
    made: partial[Verdict],
    metric: str,
) -> Verdict:
    """BETTER, BETTER_TIED or NO_BETTER, from each candidate's gain over the baseline."""
    baseline: int = made.keywords["baseline"]
    winner, tied, why = choice.winner, choice.tied, _why_nearest(choice)
    gain = fit.gain(winner, baseline)
    if gain.low <= 0 and (leader := _second_look(choice, fit, baseline)) is not None:
        why = [say.leader_taken(leader, winner)]
        winner, tied, gain = leader, (), fit.gain(leader, baseline)
    apart = [say.nodes_out(len(fit.node_names))] if fit.fits_nodes(winner, baseline) else []
    made = partial(
        made,
        details=(*why, *apart, *notes),
        gain=gain,
        gain_of=winner,
        tied=tied,
        blocks=tuple(fit.shared(winner, baseline)),
    )
    if gain.low > 0:
        outcome = Outcome.BETTER_TIED if tied else Outcome.BETTER
        return made(outcome=outcome, winner=winner, headline=say.better(winner, gain, metric))
    return made(
        outcome=Outcome.NO_BETTER,
        winner=baseline,
        headline=say.no_better(winner, gain, metric),
    )


def _second_look(choice: Choice, fit: Additive, baseline: int) -> int | None:
    """The candidate that every fold chose, where it is better although the nearest tied one is not.

    Without it a clear winner would be lost to a neighbour of the baseline whose blocks scatter so much
    that it is told apart from nothing. It is a second look at the same blocks, so it asks for more
    confidence: two looks at one-sided 2.5 % and 1.25 % keep "better" below 5 % when nothing is.
    """
    leader = choice.leader
    if leader is None or leader == choice.winner:
        return None
    strict = fit.gain(leader, baseline, confidence=SECOND_LOOK_CONFIDENCE)
    return leader if strict.low > 0 else None


def _why_nearest(choice: Choice) -> list[str]:
    return [say.tied(choice.tied, choice.winner)] if choice.tied else []


def _sift(candidates: Sequence[int], arms: Arms) -> tuple[list[int], list[str]]:
    """The candidates that are still in, in the order given, and why the others are out."""
    standing: list[int] = []
    notes: list[str] = []
    for trial in candidates:
        if failures := arms.failures(trial):
            notes.append(say.failed(trial, failures[0].block, failures[0].failure))
        elif not arms.blocks(trial):
            notes.append(say.unmeasured(trial))
        elif not arms.feasible(trial):
            notes.append(say.infeasible(trial, arms.violations(trial)))
        elif not arms.surely_feasible(trial):
            notes.append(say.not_shown(trial, arms.bounds(trial)))
        else:
            standing.append(trial)
    return standing, notes


def _none_standing(arms: Arms, candidates: Sequence[int], baseline: int, notes: list[str]) -> Verdict:
    if arms.feasible(baseline):
        why = "no candidate held up in the validation" if candidates else "no other trial was feasible"
        if candidates and all(arms.feasible(t) and not arms.failures(t) for t in candidates):
            why = "no candidate was shown to keep every limit, for which longer rounds may be needed"
        headline = say.baseline_alone(why)
        return Verdict(Outcome.NO_BETTER, baseline, baseline, headline, tuple(notes), out=tuple(candidates))
    if unproven := [t for t in candidates if arms.feasible(t) and not arms.failures(t)]:
        nearest = min(unproven, key=lambda t: max(arms.bounds(t).values()))
        missed = {name: v for name, v in arms.bounds(nearest).items() if not v <= 0}
        return Verdict(
            Outcome.NOTHING_FEASIBLE,
            baseline,
            None,
            say.nothing_shown(nearest, missed),
            tuple(notes),
            nearest=Nearest(nearest, missed),
            out=tuple(candidates),
        )
    measured = {t: arms.violations(t) for t in (baseline, *candidates) if arms.blocks(t)}
    return replace(_nothing_feasible(measured, baseline, notes), out=tuple(candidates))


def _nothing_feasible(
    measured: Mapping[int, Violations], baseline: int, notes: Sequence[str] = ()
) -> Verdict:
    """The nearest is the one whose worst miss is smallest; what cannot be told counts as infinite.

    A configuration that was measured within the limits and then failed to deploy misses none; it is
    passed over, because "nearest" is said of limits.
    """
    missed = {t: {name: v for name, v in found.items() if not v <= 0} for t, found in measured.items()}

    def worst(trial: int) -> float:
        return max(math.inf if math.isnan(v) else v for v in missed[trial].values())

    made = partial(Verdict, Outcome.NOTHING_FEASIBLE, baseline, None, details=tuple(notes))
    missing = [trial for trial, violations in missed.items() if violations]
    if not missing:
        return made(headline=say.nothing_feasible(None, {}))
    trial = min(missing, key=worst)
    return made(headline=say.nothing_feasible(trial, missed[trial]), nearest=Nearest(trial, missed[trial]))


def without_validation(
    searched: Sequence[Searched], *, maximize: bool, why: str, baseline: int = 0, search_ended: bool = False
) -> Verdict:
    """What can be said of a run that was not validated: never a gain.

    Args:
        searched: the trials of the search that ended, the baseline among them.
        why: a few words: "interrupted", "validation is switched off", "the budget was spent".
        search_ended: the search came to its end, so that "nothing was feasible" is a conclusion and not
            only how far it got.
    """
    feasible = [s for s in searched if s.feasible]
    if feasible:
        best = (max if maximize else min)(feasible, key=lambda s: s.value or 0.0).trial
        return Verdict(Outcome.UNVALIDATED, baseline, best, say.not_validated(best, why))
    if search_ended:
        return _nothing_feasible({s.trial: s.violations for s in searched if s.measured}, baseline)
    return Verdict(Outcome.UNVALIDATED, baseline, None, say.not_validated(None, why))
