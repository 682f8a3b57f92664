"""What a run is going to do, in a few lines, before anything is deployed."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.load.round import DRAIN_LIMIT_IN_WINDOWS, RAMP_LIMIT_IN_WINDOWS, limit_seconds
from tuner.results.baseline_again import assumed_told
from tuner.results.figures import duration
from tuner.search.plan_answers import answers_text
from tuner.search.plan_memory import memory_lines
from tuner.search.plan_objectives import dearest, gain_text, objective_lines, warm_text
from tuner.search.plan_percentiles import percentile_lines
from tuner.search.samplers import SAMPLERS
from tuner.search.sentinels import default_every, planned
from tuner.search.stopping import described
from tuner.search.validation import ARMS
from tuner.spec import Experiment
from tuner.spec.workload import LoadPoint, Workload
from tuner.trial.ports import ParamValue
from tuner.verdict.noise_floor import Design

ASSUMED = (0.01, 0.03)  # a quiet machine's and a busy one's scatter from deployment to deployment


def plan_lines(
    experiment: Experiment, *, first: Sequence[dict[str, ParamValue]], warm: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """(title, text) pairs.

    Args:
        first: configurations that will be tried first.
        warm: what is taken from earlier runs, a line each.

    Where `search.parallel` is auto, only the cluster can tell; times are those of one trial at a time.
    """
    asked = experiment.search.parallel
    parallel = 1 if asked == "auto" else asked
    space, search, validation = experiment.space, experiment.search, experiment.validation
    size = space.size()
    kind = SAMPLERS[search.sampler]
    sampler = f"{search.sampler}, learns from {kind.reads.value}"
    lines = [
        ("space", f"{_counted(size)} over {len(space.parameters)} parameters"),
        ("trials", f"at most {most_trials(experiment)}, parallel: {asked}; sampler {sampler}"),
        ("baseline", f"trial 0: {shown(space.baseline) or 'the engine’s defaults'}"),
        ("first", "; ".join(shown(p) for p in first) or "none"),
        ("load", "; ".join(_point(p) for p in experiment.workload.points)),
        (
            "rounds",
            f"{experiment.workload.rounds} of {_round(experiment.workload)}"
            f" after {experiment.workload.warmup_seconds:g} s of warm-up",
        ),
        ("stopping", stopping_text(experiment)),
    ]
    every = sentinel_every(experiment)
    if planned(most_trials(experiment), every):
        lines.append(
            ("sentinel", f"the baseline again after every {every} trials, and once the search ended")
        )
    lines[4:4] = [("warm start", text) for text in [*warm, *warm_text(search, warm)]]
    if search.minimum_gain is not None:
        lines.append(("gain left", gain_text(search.minimum_gain)))
    if kind.then:
        lines[1] = ("trials", f"{lines[1][1]}; {kind.then}")
    if validation.enabled:
        deployments = _validation_deployments(experiment)
        lines.append(
            (
                "validation",
                f"the best {validation.top} and the baseline, {validation.deployments} deployments each: "
                f"{deployments} in paired blocks, {_share(experiment):.0%} of the rounds",
            )
        )
        if validation.loads:
            loads = ", ".join(f"{load:g}" for load in validation.loads)
            lines.append(
                ("other loads", f"a round more of each of these deployments at {loads} times the load")
            )
        if validation.simplify:
            lines.append(("simplify", _simplifying(experiment)))
        lines.append(("noise floor", assumed_told(ASSUMED, _design(experiment))))
    if (hours := experiment.search.hours) is not None:
        fitting = int(hours.shortest_seconds // measuring_seconds(experiment)) * parallel
        lines.append(
            ("window", f"{hours.text}: at most {fitting} trials each; what would not end in it waits")
        )
    lines += objective_lines(experiment)
    lines += [("memory", line) for line in memory_lines(experiment)]
    if text := answers_text(experiment):
        lines.append(("answers", text))
    lines.append(("cost", _cost(experiment, parallel)))
    lines += [("percentiles", text) for text in percentile_lines(experiment)]
    return lines


def measuring_seconds(experiment: Experiment) -> float:
    """Of one trial's warm-up and rounds."""
    load = experiment.workload
    return load.warmup_seconds + load.rounds * load.round_seconds * load.windows


def shown(params: dict[str, ParamValue]) -> str:
    """A configuration in one line."""
    return " ".join(f"{name}={' '.join(str(value).split())}" for name, value in params.items())


def stopping_text(experiment: Experiment) -> str:
    """When trials are stopped."""
    asked = experiment.search.early_stop
    if asked == "none":
        return "none"
    if len(experiment.objective) > 1:
        return f"{described('hopeless')}; several objectives are not pruned"
    if asked == "auto":
        return f"{described('hopeless')}; {described('asha')}, where measuring outlasts deploying"
    return described(asked)


def _counted(size: int | None) -> str:
    return f"{size:,} configurations" if size is not None else "more configurations than can be counted"


def most_trials(experiment: Experiment) -> int:
    """Trials of the search at most: a small space is used up before the budget is."""
    space = experiment.space
    size = space.size()
    if size is None:
        return experiment.search.trials
    return min(experiment.search.trials, size + (not space.complete(space.baseline)))


def sentinel_every(experiment: Experiment) -> int | None:
    """After how many trials of the search the baseline is measured again; None for never."""
    asked = experiment.search.sentinel
    if asked == "none":
        return None
    return default_every(most_trials(experiment)) if asked == "auto" else asked


def _validation_deployments(experiment: Experiment) -> int:
    v = experiment.validation
    return (v.top + 1) * v.deployments if v.enabled else 0


def _design(experiment: Experiment) -> Design:
    v = experiment.validation
    return Design(arms=v.top + 1, blocks=v.deployments, rounds=v.rounds or experiment.workload.rounds)


def _simplifying(experiment: Experiment) -> str:
    v = experiment.validation
    return (
        f"flags of the winner that may be worth less than {v.margin * 100:g} % go back to the baseline's "
        f"values where {v.deployments} blocks more can show it: up to {ARMS * v.deployments} deployments, "
        "within the budget"
    )


def _validation_rounds(experiment: Experiment) -> int:
    """Of one deployment, those at other loads among them."""
    v = experiment.validation
    return (v.rounds or experiment.workload.rounds) + len(v.loads)


def _share(experiment: Experiment) -> float:
    rounds = experiment.workload.rounds
    validating = _validation_deployments(experiment) * _validation_rounds(experiment)
    return validating / (validating + most_trials(experiment) * rounds)


def _cost(experiment: Experiment, parallel: int) -> str:
    trials, validating = most_trials(experiment), _validation_deployments(experiment)
    trials += planned(trials, sentinel_every(experiment))
    rounds = trials * experiment.workload.rounds
    rounds += validating * _validation_rounds(experiment)
    made = trials + validating
    measured = (made * experiment.workload.warmup_seconds + rounds * _longest_round(experiment)) / parallel
    longest = measured + made * (experiment.deploy.ready_seconds + experiment.deploy.stop_seconds) / parallel
    hours = experiment.search.budget.hours
    text = f"measuring at most {duration(measured)}"
    text += f"; with every deployment at its {experiment.deploy.ready_seconds:g} s limit {duration(longest)}"
    if experiment.workload.searched is not None:
        text += "; waits for the engine to come to rest between probes not counted"
    if hours is not None:
        text += f"; no new trial after {hours:g} h, validation's share kept back"
    most = widest(experiment)
    if most:
        text += f"; at most {longest / 3600 * parallel * most:.1f} accelerator-hours"
    price = dearest(experiment)
    if price is not None:
        text += f"; at most {longest / 3600 * parallel * price:.2f} at the highest price, {price:g} an hour"
    return text


def _longest_round(experiment: Experiment) -> float:
    """Seconds of one round whose ramps and drains last as long as they may."""
    window = experiment.workload.round_seconds
    edges = limit_seconds(window, RAMP_LIMIT_IN_WINDOWS) + limit_seconds(window, DRAIN_LIMIT_IN_WINDOWS)
    return (window + edges) * experiment.workload.windows


def _round(load: Workload) -> str:
    if load.searched is None:
        return f"{load.round_seconds:g} s"
    return f"{load.windows} probes of {load.round_seconds:g} s each"


def widest(experiment: Experiment) -> int:
    """The most accelerators that one trial takes, judged by the grid where there is one."""
    space = experiment.space
    size = space.size()
    if isinstance(experiment.deploy.accelerators, int):
        return experiment.deploy.accelerators
    if size is None or size > 20_000:
        return max(space.accelerators(space.baseline), 1) if space.baseline else 1
    return max((space.accelerators(p) for p in space.grid()), default=0)


def _point(point: LoadPoint) -> str:
    if point.concurrency is not None:
        how = f", {point.level} at a time"
    elif point.rate_search is not None:
        how = f", rates from {point.rate_search.low:g} to {point.rate_search.high:g}/s {point.arrivals}"
    elif point.request_rate is not None and point.trace is None:
        begun = " conversations" if point.converses else ""
        how = f", {point.level}{begun}/s {point.arrivals}"
    else:
        how = ""
    return f"{point.name} {point.described()}{how}"
