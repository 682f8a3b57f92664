"""The `deploy` section: how a configuration becomes a serving engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from tuner.spec.faults import Fault, Faults, show
from tuner.spec.names import DnsLabel, DnsSubdomain, QualifiedKey, dns_subdomain, variable_name
from tuner.spec.plugins import modules_in
from tuner.spec.pod import SECRET_NAME, EnvSecret, NodeClass, Pod, Tls, Token
from tuner.spec.section import Number, Section, Text, Whole

Core = Annotated[Whole, Field(ge=0)]
BACKENDS = tuple(sorted({*modules_in("deploy/backends"), "kubernetes", "ome"}))
_COUNT = "{count}"
_INHERITED = "without %s: an engine has the variables of the command that starts the search"
_SECRET_FLAGS = ("--api-key", "--admin-api-key", "--api-keys")
_QUEUE = "kueue.x-k8s.io/queue-name"
_LOCAL = {
    "template": "llama_server.argv.j2",
    "accelerators": 0,
    "accelerator_resource": "GPU",
    "ready_seconds": 120.0,
    "stop_seconds": 5.0,
}
_CLUSTER = {
    "accelerators": 1,
    "accelerator_resource": "serving_gpu",
    "ready_seconds": 900.0,
    "stop_seconds": 30.0,
}
_DEFAULTS = {
    "local": _LOCAL,
    "ome": {**_CLUSTER, "template": "inference_service.yaml.j2"},
    "kubernetes": {**_CLUSTER, "template": "deployment.yaml.j2"},
}
# Keys that only some backends have; given for another one they are refused, for they would be ignored.
_ON_CLUSTERS = (
    "namespace",
    "gpu_resource",
    "accelerator_claim",
    "node_classes",
    "queue",
    "env_secrets",
    "endpoint",
    "token",
    "tls",
    "owner",
    "schedule_seconds",
    "image_seconds",
    "pod",
)
_ONLY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("binary", "port", "pinning"), ("local",)),
    **dict.fromkeys(_ON_CLUSTERS, ("ome", "kubernetes")),
    "runtime": ("ome",),
    **dict.fromkeys(("image", "command", "arguments", "container_port", "readiness_path"), ("kubernetes",)),
}


def _foreign(backend: object) -> list[str]:
    return [key for key, owners in _ONLY.items() if backend in _DEFAULTS and backend not in owners]


def _without(key: str, value: Any) -> Fault:
    right = f"without it; it is a key of backend {' or '.join(_ONLY[key])}"
    return Fault(got=show(value), right=right, at=(key,))


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
        default=None,
        description="Jinja template: a path, or the name of a shipped one. On clusters it is laid over the "
        "shipped one: what it leaves out is as there.",
    )
    binary: Text = Field(
        default="auto",
        description="Engine: auto (llama-server on PATH, else the embedded one), embedded, a name or a path.",
    )
    accelerators: Annotated[Whole, Field(ge=0)] | Text = Field(
        default=0, description='Accelerators of one deployment: a number or an expression such as "tp * dp".'
    )
    price_per_hour: Annotated[Number, Field(gt=0)] | Text | None = Field(
        default=None,
        description="Of one accelerator (of the deployment where that takes none), in any currency: a "
        "number, a row of `prices`, or an expression that gives one of these.",
    )
    accelerator_memory_gib: Annotated[Number, Field(gt=0)] | None = Field(
        default=None,
        description="Memory of one accelerator in GiB, such as 80 (of the machine where none is taken, "
        "default all of it): what cannot fit is left out, what hardly fits comes later.",
    )
    accelerator_resource: Text = Field(default="GPU", description="The Ray resource that counts them.")
    serving_gpu: Whole | None = Field(
        default=None, ge=0, description="How many a Ray started by the run declares."
    )
    schedule_seconds: Number = Field(
        default=3600.0, gt=0, description="Waiting for accelerators; until then it is no failure."
    )
    image_seconds: Number = Field(
        default=1800.0, gt=0, description="From scheduled to the container's start: pull and mount."
    )
    ready_seconds: Number = Field(
        default=120.0, gt=0, description="From the start (of the container) to the first served request."
    )
    stop_seconds: Number = Field(
        default=5.0, ge=0, description="From SIGTERM to SIGKILL; the pod's terminationGracePeriodSeconds."
    )
    port: Whole | None = Field(default=None, ge=1, le=65_535, description="A fixed port; none: a free one.")
    pinning: Literal["auto", "none"] | Pinning = Field(
        default="auto",
        description="Keep engine and load on different cores: auto, none, or {engine: [0], load: [1]}.",
    )
    namespace: DnsLabel | None = Field(
        default=None, description="Of the trials; default that of the kubeconfig's context, or of the pod."
    )
    runtime: DnsSubdomain | None = Field(
        default=None, description="OME's ClusterServingRuntime, or a ServingRuntime of the namespace."
    )
    gpu_resource: QualifiedKey = Field(
        default="nvidia.com/gpu", description="The extended resource by which pods ask for accelerators."
    )
    accelerator_claim: Text | None = Field(
        default=None,
        description="Claim accelerators instead: a ResourceClaimTemplate's name, {count} in it for how many.",
    )
    node_classes: dict[Text, NodeClass] | None = Field(
        default=None,
        min_length=1,
        description="Name -> {node_selector, tolerations}; the place deploy.node_class chooses among them.",
    )
    queue: DnsLabel | None = Field(
        default=None, description="Of Kueue, in the trials' namespace: trials wait in it. Not production."
    )
    endpoint: Literal["service", "pod"] = Field(
        default="service", description="Load the Service's address, or the pod's where Services lead nowhere."
    )
    token: Token | None = Field(default=None, description="Bearer token: {secret: NAME, key: token}.")
    tls: Tls | None = Field(
        default=None, description="The engine speaks TLS, and this CA signed it: {secret: NAME, key: ca.crt}."
    )
    owner: Literal["auto", "none"] = Field(
        default="auto", description="auto: trials go when the RayCluster does that the driver runs in."
    )
    image: Text | None = Field(default=None, description="The engine's container image.")
    command: tuple[Text, ...] = Field(default=(), description="The container's command; default the image's.")
    arguments: tuple[Text, ...] = Field(
        default=(), description="Before the trial's flags; $(MODEL_PATH) is where the model is."
    )
    container_port: Whole = Field(
        default=8000, ge=1, le=65_535, description="On which the engine listens, and the Service too."
    )
    readiness_path: Annotated[Text, Field(pattern="^/")] = Field(
        default="/health", description="Answers 200 once the engine serves."
    )
    pod: Pod = Field(default_factory=Pod, description="Passed through to every serving pod.")
    env: dict[str, str] = Field(
        default_factory=dict, description="Variables of the engine, the same for all trials."
    )
    env_secrets: dict[str, EnvSecret] | None = Field(
        default=None, description="Variables from Secrets: {HF_TOKEN: {secret: NAME, key: token}}."
    )

    @model_validator(mode="before")
    @classmethod
    def _by_backend(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        backend = given.get("backend", "local")
        ignored = [key for key in _foreign(backend) if given.get(key) is not None]
        if ignored:
            raise Faults([_without(key, given[key]) for key in ignored])
        if given.get("accelerator_claim") is not None and given.get("gpu_resource") is not None:
            right = "without it; deploy.accelerator_claim claims them"
            raise Fault(got=show(given["gpu_resource"]), right=right, at=("gpu_resource",))
        present = {k: v for k, v in given.items() if k not in _foreign(backend)}
        defaults = _DEFAULTS.get(backend, _CLUSTER) if isinstance(backend, str) else {}
        return {**defaults, **present}

    @model_serializer(mode="wrap")
    def _own_keys(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        foreign = _foreign(self.backend)
        if self.accelerator_claim is not None:
            foreign = [*foreign, "gpu_resource"]
        return {key: value for key, value in content.items() if key not in foreign}

    @field_validator("backend")
    @classmethod
    def _known(cls, backend: str) -> str:
        if backend not in BACKENDS:
            raise Fault(got=show(backend), right=f"one of {', '.join(BACKENDS)}")
        return backend

    @model_validator(mode="after")
    def _secrets_by_reference(self) -> Deploy:
        on_cluster = self.backend in ("ome", "kubernetes")
        right = "deploy.env_secrets: {%s: {secret: NAME, key: KEY}}" if on_cluster else _INHERITED
        for name, value in self.env.items():
            if SECRET_NAME.search(name) and value and not value.isdigit() and "$(" not in value:
                raise Fault(got="a value", right=right % name, at=("env", name))
            if name in (self.env_secrets or ()):
                raise Fault(got="a value", right="one of env and env_secrets", at=("env_secrets", name))
        for index, word in enumerate(self.arguments):
            flag, equals, value = word.partition("=")
            following = value if equals else next(iter(self.arguments[index + 1 :]), "$(")
            if flag in _SECRET_FLAGS and "$(" not in following:
                right = f"{flag} $(API_KEY), and deploy.env_secrets: {{API_KEY: {{secret: NAME, key: KEY}}}}"
                raise Fault(got="a value", right=right, at=("arguments", index))
        return self

    @field_validator("env", "env_secrets")
    @classmethod
    def _named(cls, env: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        for name in env or ():
            try:
                variable_name(name)
            except Fault as fault:
                raise Fault(got=fault.got, right=fault.right, at=(name,)) from fault
        return env

    @field_validator("accelerator_claim")
    @classmethod
    def _template_name(cls, name: str | None) -> str | None:
        try:
            dns_subdomain((name or "x").replace(_COUNT, "1"))
        except Fault as fault:
            right = f"a ResourceClaimTemplate's name such as gpus-{_COUNT}"
            raise Fault(got=show(name), right=right) from fault
        return name

    def claim_template(self, accelerators: int) -> str | None:
        """The ResourceClaimTemplate for so many; None where none are taken, or they are not claimed."""
        if self.accelerator_claim is None or not accelerators:
            return None
        return self.accelerator_claim.replace(_COUNT, str(accelerators))

    @model_validator(mode="after")
    def _told_once(self) -> Deploy:
        claim = self.accelerator_claim
        if claim is not None and isinstance(self.accelerators, str) and _COUNT not in claim:
            right = f"a template for each number of accelerators, such as gpus-{_COUNT}"
            raise Fault(got=show(claim), right=right, at=("accelerator_claim",))
        if self.queue is not None and _QUEUE in self.pod.labels:
            raise Fault(got=show(self.queue), right="one of both", at=("pod", "labels", _QUEUE))
        return self

    @model_validator(mode="after")
    def _accelerators_apart(self) -> Deploy:
        for kind in ("requests", "limits"):
            if self.gpu_resource in getattr(self.pod.resources, kind):
                at = ("pod", "resources", kind, self.gpu_resource)
                raise Fault(got="the accelerators", right="deploy.accelerators, which counts them", at=at)
        return self
