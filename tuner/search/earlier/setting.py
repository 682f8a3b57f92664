"""What a run served, with what and where: how alike two runs are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tuner.spec import Experiment

# engine -> what its image, command, runtime or binary holds
_ENGINES = {
    "vLLM": ("vllm",),
    "SGLang": ("sglang",),
    "TensorRT-LLM": ("tensorrt", "trtllm", "trt-llm"),
    "llama.cpp": ("llama-server", "llama.cpp", "llama-cpp", "llamacpp"),
}


class Likeness(Enum):
    """How far an earlier run is believed; see `docs/search.md`."""

    SAME = "the same engine, model, accelerator and load"
    ALIKE = "the same engine"
    OTHER = "another engine"


@dataclass(frozen=True, slots=True)
class Setting:
    """The facts; "" where the experiment does not tell one.

    Attributes:
        engine: its name, or the words that start it where those name none.
        model: facts that tell a model from others, and where its files are.
        accelerator: class of the nodes or row of the prices.
        load: the load points.
    """

    engine: str
    model: str
    accelerator: str
    load: str

    def likeness(self, other: Setting) -> Likeness:
        """How alike a run of the other setting is."""
        if self.engine != other.engine:
            return Likeness.OTHER
        return Likeness.SAME if self == other else Likeness.ALIKE

    def deploys_as(self, other: Setting) -> bool:
        """Whether what does not deploy there does not deploy here either."""
        return (self.engine, self.model, self.accelerator) == (other.engine, other.model, other.accelerator)

    def differs(self, other: Setting) -> list[str]:
        """In what, in words."""
        return [
            f"another {name}"
            for name in ("engine", "model", "accelerator", "load")
            if getattr(self, name) != getattr(other, name)
        ]


def setting_of(experiment: Experiment) -> Setting:
    """The setting that an experiment names."""
    points = [point.model_dump(mode="json", exclude_none=True) for point in experiment.workload.points]
    return Setting(_engine(experiment), _model(experiment), _accelerator(experiment), repr(points))


def _engine(experiment: Experiment) -> str:
    deploy = experiment.deploy
    if deploy.backend == "local" and deploy.binary in ("auto", "embedded"):
        return "llama.cpp"
    said = [deploy.binary] if deploy.backend == "local" else [deploy.image or "", deploy.runtime or ""]
    said += deploy.command
    text = " ".join(said).lower()
    return next((name for name, marks in _ENGINES.items() if any(m in text for m in marks)), text.strip())


def _model(experiment: Experiment) -> str:
    model, storage = experiment.model, experiment.storage
    facts = [model.architecture, model.parameter_count, model.path, model.name]
    if model.synthetic is not None:
        facts.append(model.synthetic.model_dump_json())
    varied = any(p.place == "storage.pvc_subpath" for p in experiment.parameters.values())
    if storage is not None and not varied:
        facts.append(storage.pvc_subpath)
    return " ".join(fact for fact in facts if fact)


def _accelerator(experiment: Experiment) -> str:
    deploy = experiment.deploy
    if deploy.backend == "local":
        return ""
    selector = deploy.pod.node_selector
    price = deploy.price_per_hour if isinstance(deploy.price_per_hour, str) else ""
    memory = deploy.accelerator_memory_gib
    said = [deploy.gpu_resource, *(selector[key] for key in sorted(selector)), price]
    return " ".join([*(word for word in said if word), *([f"{memory} GiB"] if memory is not None else [])])
