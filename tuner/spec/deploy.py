"""The `deploy` section: how a configuration becomes a serving engine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tuner.spec.faults import Fault, show
from tuner.spec.plugins import modules_in
from tuner.spec.section import Number, Section, Text, Whole

Core = Annotated[Whole, Field(ge=0)]
_LOCAL = {
    "template": "llama_server.argv.j2",
    "accelerators": 0,
    "accelerator_resource": "GPU",
    "ready_seconds": 120.0,
}
_CLUSTER = {"accelerators": 1, "accelerator_resource": "serving_gpu", "ready_seconds": 900.0}
BACKENDS = (*modules_in("deploy/backends"), "ome", "kubernetes")  # the last two are not built yet


class Pinning(Section):
    """Cores of the engine and of the load, by number."""

    engine: tuple[Core, ...] = Field(min_length=1)
    load: tuple[Core, ...] = Field(min_length=1)


class Deploy(Section):
    """Defaults depend on the backend; a loaded experiment has them filled in."""

    backend: Text = Field(
        default="local", description="What deploys.", json_schema_extra={"enum": list(BACKENDS)}
    )
    template: Text | None = Field(
        default=None, description="Jinja template: a path, or the name of a shipped one."
    )
    binary: Text = Field(
        default="auto",
        description="Engine: auto (llama-server on PATH, else the embedded one), embedded, a name or a path.",
    )
    accelerators: Annotated[Whole, Field(ge=0)] | Text = Field(
        default=0, description='Accelerators of one deployment: a number or an expression such as "tp * dp".'
    )
    accelerator_resource: Text = Field(default="GPU", description="The Ray resource that counts them.")
    serving_gpu: Whole | None = Field(
        default=None, ge=0, description="How many a Ray started by the run declares."
    )
    ready_seconds: Number = Field(default=120.0, gt=0, description="From start to the first served request.")
    stop_seconds: Number = Field(default=5.0, ge=0, description="From SIGTERM to SIGKILL.")
    port: Whole | None = Field(default=None, ge=1, le=65_535, description="A fixed port; none: a free one.")
    pinning: Literal["auto", "none"] | Pinning = Field(
        default="auto",
        description="Keep engine and load on different cores: auto, none, or {engine: [0], load: [1]}.",
    )
    namespace: Text | None = Field(default=None, description="Kubernetes namespace of the trials.")
    runtime: Text | None = Field(default=None, description="OME ClusterServingRuntime.")
    env: dict[str, str] = Field(
        default_factory=dict, description="Variables of the engine, the same for all trials."
    )

    @model_validator(mode="before")
    @classmethod
    def _by_backend(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        defaults = _LOCAL if given.get("backend", "local") == "local" else _CLUSTER
        return {**defaults, **given}

    @field_validator("backend")
    @classmethod
    def _known(cls, backend: str) -> str:
        if backend not in BACKENDS:
            raise Fault(got=show(backend), right=f"one of {', '.join(BACKENDS)}")
        return backend
