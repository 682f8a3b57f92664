"""The seed's task JSON -> the data of an experiment, with where each part came from."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tuner.errors import SpecError
from tuner.spec.document import Document
from tuner.spec.faults import Path, show, suggestion

_KEYS = (
    "task_name",
    "description",
    "model",
    "storage",
    "base_runtime",
    "parameters",
    "benchmark",
    "optimization",
)
_WIDTHS = ("tpsize", "tp_size")  # spellings of the tensor-parallel width, dashes made underscores
_STRATEGIES = {"grid_search": "grid", "grid": "grid", "random": "random", "bayesian": "auto", "auto": "auto"}
_OBJECTIVES = {
    "maximize_throughput": {"maximize": "output_tokens_per_second"},
    "minimize_latency": {"minimize": "e2e_mean_ms"},
    "minimize_ttft": {"minimize": "ttft_mean_ms"},
    "minimize_tpot": {"minimize": "tpot_mean_ms"},
}


def is_task(content: Any) -> bool:
    """Whether `content` is a task of the seed's form."""
    return isinstance(content, dict) and "task_name" in content and "base_runtime" in content


def convert(document: Document) -> Document:
    """The experiment that a task means; errors still name the task's lines.

    Raises:
        SpecError: the task has an unknown key or a value of the wrong form.
    """
    return _Conversion(document).experiment()


class _Conversion:
    def __init__(self, document: Document) -> None:
        self.task = document
        self.data: dict[str, Any] = {}
        self.origins: dict[Path, Path] = {(): ()}

    def experiment(self) -> Document:
        task: dict[str, Any] = self.task.data
        self._only((), _KEYS)
        name = re.sub(r"[^a-z0-9]+", "-", str(task["task_name"]).lower()).strip("-") or "task"
        self._put(("name",), name if name[0].isalpha() else f"t-{name}", ("task_name",))
        self._put(("deploy", "backend"), "ome", ("base_runtime",))
        self._put(("deploy", "runtime"), task["base_runtime"], ("base_runtime",))
        self._model()
        if "storage" in task:
            self._put(("storage",), task["storage"], ("storage",))
            for key in task["storage"] if isinstance(task["storage"], dict) else ():
                self.origins[("storage", key)] = ("storage", key)
        self._parameters()
        self._benchmark()
        self._optimization()
        return Document(self.task.source, self.data, self.task.lines, self.origins)

    def _model(self) -> None:
        model = self._mapping(("model",))
        self._only(("model",), ("id_or_path", "namespace"))
        if "id_or_path" not in model:
            raise self._error(("model", "id_or_path"), "nothing", "the model's name")
        self._put(("model", "name"), model["id_or_path"], ("model", "id_or_path"))
        if "namespace" in model:
            self._put(("model", "namespace"), model["namespace"], ("model", "namespace"))
            self._put(("deploy", "namespace"), model["namespace"], ("model", "namespace"))

    def _parameters(self) -> None:
        self._mapping(("parameters",))
        for key, given in self.task.data["parameters"].items():
            name, at = key.replace("-", "_"), ("parameters", key)
            if name in self.data.get("parameters", {}):
                raise self._error(at, "a second spelling of one parameter", "each parameter once")
            definition = {"values": given} if isinstance(given, list) else given
            if not isinstance(definition, dict):
                raise self._error(at, show(given), "a list of values")
            flag = "--tp-size" if name in _WIDTHS else "--" + key.replace("_", "-")
            self._put(("parameters", name), {"flag": flag, **definition}, at)
            if name in _WIDTHS:
                # the seed's own rule: one accelerator where the width is left to the runtime
                self._put(("deploy", "accelerators"), f"default({name}, 1)", at)

    def _benchmark(self) -> None:
        benchmark = self._mapping(("benchmark",))
        known = ("task", "model_name", "model_tokenizer", "traffic_scenarios", "num_concurrency")
        self._only(("benchmark",), known)
        if benchmark.get("task", "text-to-text") != "text-to-text":
            raise self._error(("benchmark", "task"), show(benchmark["task"]), "text-to-text")
        scenarios = self._list(("benchmark", "traffic_scenarios"))
        streams = self._list(("benchmark", "num_concurrency"))
        pairs = [(i, s, c) for i, s in enumerate(scenarios) for c in streams]
        self._put(("workload", "points"), [], ("benchmark",))
        for index, (scenario_index, scenario, concurrency) in enumerate(pairs):
            shape = re.sub(r"[^a-z0-9]+", "-", str(scenario).lower()).strip("-")
            point = {"name": f"{shape}-c{concurrency}", "scenario": scenario, "concurrency": concurrency}
            self.data["workload"]["points"].append(point)
            path: Path = ("workload", "points", index)
            self.origins[path] = ("benchmark", "traffic_scenarios", scenario_index)
            self.origins[(*path, "concurrency")] = ("benchmark", "num_concurrency")

    def _optimization(self) -> None:
        if "optimization" not in self.task.data:
            return
        wanted = self._mapping(("optimization",))
        self._only(("optimization",), ("strategy", "objective", "max_iterations", "timeout_per_iteration"))
        sections: dict[str, tuple[Path, Callable[[Any], Any] | dict[str, Any]]] = {
            "strategy": (("search", "sampler"), _STRATEGIES),
            "objective": (("objective",), _OBJECTIVES),
            "max_iterations": (("search", "trials"), lambda v: v),
            "timeout_per_iteration": (("deploy", "ready_seconds"), lambda v: v),
        }
        for key, (path, meaning) in sections.items():
            if key not in wanted:
                continue
            at: Path = ("optimization", key)
            if isinstance(meaning, dict):
                if wanted[key] not in meaning:
                    raise self._error(at, show(wanted[key]), suggestion(str(wanted[key]), meaning))
                self._put(path, meaning[wanted[key]], at)
            else:
                self._put(path, meaning(wanted[key]), at)

    def _put(self, path: Path, value: Any, origin: Path) -> None:
        node = self.data
        for part in path[:-1]:
            node = node.setdefault(str(part), {})
        node[str(path[-1])] = value
        self.origins[path] = origin

    def _mapping(self, path: Path) -> dict[str, Any]:
        found = self.task.data.get(path[0])
        if not isinstance(found, dict):
            raise self._error(path, show(found), "a mapping")
        return found

    def _list(self, path: Path) -> list[Any]:
        found = self.task.data[path[0]].get(path[1])
        if not isinstance(found, list) or not found:
            raise self._error(path, show(found), "a list with at least one entry")
        return found

    def _only(self, path: Path, known: tuple[str, ...]) -> None:
        node = self.task.data if not path else self.task.data[path[0]]
        for key in node:
            if key not in known:
                raise self._error((*path, key), "an unknown key", suggestion(key, known))

    def _error(self, path: Path, got: str, right: str) -> SpecError:
        return self.task.error(path, f"got {got}; would be right: {right}")
