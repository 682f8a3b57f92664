"""What of two runs may be set side by side: what differs between them, and which metrics they share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tuner.errors import UserError
from tuner.results.overview import Overview
from tuner.results.run_directory import RunDirectory
from tuner.spec.metrics import METRICS

ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose value is not the same in both runs; `ABSENT` where a run lacks it.

    Attributes:
        key: dotted, as in experiment.yaml; or one of "engine version", "nodes" and "machine.<fact>", which
            were seen and not asked for.
    """

    key: str
    a: str
    b: str

    def to_json(self) -> dict[str, str]:
        """A JSON object."""
        return {"key": self.key, "a": self.a, "b": self.b}


@dataclass(frozen=True, slots=True)
class Load:
    """The load points of two runs by name.

    Attributes:
        common: in both with the same lengths and the same concurrency or rate, in A's order.
        only_a: the others of A.
        only_b: the others of B.
    """

    common: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether a metric over all points is over the same points in both."""
        return not self.only_a and not self.only_b

    @classmethod
    def of(cls, a: RunDirectory, b: RunDirectory) -> Load:
        """From the resolved experiments.

        Raises:
            UserError: no load point is common to both, so that nothing can be compared.
        """
        first, second = _points(a), _points(b)
        common = tuple(name for name, point in first.items() if second.get(name) == point)
        made = cls(common, _without(first, common), _without(second, common))
        if not common:
            raise UserError(
                f"{a.name} and {b.name} are not comparable: no load point is the same in both "
                f"({_said(first)}; {_said(second)})"
            )
        return made


def differences(a: Overview, b: Overview) -> list[Difference]:
    """Every key of experiment.yaml (the name aside), and every fact seen, that is not the same in both."""
    found = [
        Difference(key, one, other)
        for left, right in ((_asked(a.run), _asked(b.run)), (_seen(a), _seen(b)))
        for key in dict.fromkeys((*left, *right))
        if (one := left.get(key, ABSENT)) != (other := right.get(key, ABSENT))
    ]
    return [one for one in found if one.key != "name"]


def common_metrics(a: Overview, b: Overview, load: Load) -> list[str]:
    """The objectives and limits of either run that mean the same in both, A's objectives first.

    A metric without a load point stays whole where it is over the same points in the same way (an
    objective is the geometric mean over them, anything else the worst); else each common point's own
    stands for it. Goodput means the same only by the same limits, the highest rate only under the same SLOs.

    Raises:
        UserError: there is none.
    """
    found: dict[str, None] = {}
    other_limits = _experiment(a.run).get("goodput") != _experiment(b.run).get("goodput")
    for metric in _asked_metrics(a) + _asked_metrics(b):
        point, dot, name = metric.rpartition(".")
        kind = METRICS[name].kind if name in METRICS else ""
        if kind == "answers":
            continue  # each against a baseline of its own
        if (other_limits and kind == "goodput") or (a.state.slos != b.state.slos and kind == "rates"):
            continue  # good by other limits
        if dot:
            found.update({metric: None} if point in load.common else {})
        elif load.same and (len(load.common) == 1 or _reduced(a, metric) == _reduced(b, metric)):
            found[metric] = None
        else:
            found.update({f"{point}.{name}": None for point in load.common})
    if not found:
        raise UserError(
            f"{a.run.name} and {b.run.name} are not comparable: no objective or limit of either is of a load "
            f"point that both have ({', '.join(load.common)})"
        )
    return list(found)


def better(metric: str) -> str:
    """ "higher" or "lower"."""
    return METRICS[metric.rpartition(".")[2]].better


def cost(metric: str) -> bool:
    """Whether it is told in money."""
    return METRICS[metric.rpartition(".")[2]].kind == "price"


def _asked_metrics(seen: Overview) -> list[str]:
    return [*(goal.metric for goal in seen.state.goals), *seen.state.slos]


def _reduced(seen: Overview, metric: str) -> str:
    """How `MergedObjective` makes one figure of several points."""
    return "mean" if metric in {goal.metric for goal in seen.state.goals} else "worst"


def _points(run: RunDirectory) -> dict[str, Mapping[str, Any]]:
    workload = _experiment(run).get("workload") or {}
    return {point["name"]: point for point in workload.get("points", ())}


def _without(points: Mapping[str, Any], common: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in points if name not in common)


def _said(points: Mapping[str, Mapping[str, Any]]) -> str:
    def load(point: Mapping[str, Any]) -> str:
        rate, end = point.get("request_rate"), point.get("ramp_to")
        level = f"{point.get('concurrency') if rate is None else rate}{f' to {end}' if end else ''}"
        return f"{level} a second" if rate is not None else f"{level} in flight"

    return ", ".join(f"{name}: {p.get('scenario')}, {load(p)}" for name, p in points.items()) or "none"


def _experiment(run: RunDirectory) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(run.experiment_yaml())
    except yaml.YAMLError as error:
        raise UserError(f"{run.path / 'experiment.yaml'}: not YAML; restore it") from error
    return found if isinstance(found, dict) else {}


def _asked(run: RunDirectory) -> dict[str, str]:
    return dict(_leaves(_experiment(run), ""))


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list) and value and all(isinstance(v, dict) and "name" in v for v in value):
        value = {v["name"]: {k: inner for k, inner in v.items() if k != "name"} for v in value}
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _seen(one: Overview) -> dict[str, str]:
    versions = sorted({line.engine_version for line in one.trials if line.engine_version})
    nodes = sorted({line.node for line in one.trials if line.node})
    facts = {f"machine.{name}": fact for name, fact in one.state.machine.items()}
    return {
        "engine version": ", ".join(versions) or ABSENT,
        "nodes": ", ".join(nodes) or ABSENT,
        **facts,
    }
