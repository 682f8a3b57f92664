"""The `model` and `storage` sections."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tuner.spec.faults import Fault, Faults, show
from tuner.spec.model_facts import Facts
from tuner.spec.names import ContainerPath, DnsLabel, DnsSubdomain, RelativePath
from tuner.spec.section import Section, Text, Whole


class Synthetic(Section):
    """A llama-shaped GGUF with random weights, made on the spot and cached. The defaults make 29 MB."""

    hidden_size: Whole = Field(default=512, ge=32, description="Width; a multiple of 32 and of 2 * heads.")
    layers: Whole = Field(default=8, ge=1)
    heads: Whole = Field(default=8, ge=1, description="Attention heads; a multiple of kv_heads.")
    kv_heads: Whole = Field(default=8, ge=1)
    feed_forward: Whole = Field(
        default=1408, ge=32, description="Width of the gated feed-forward; a multiple of 32."
    )
    vocabulary: Whole = Field(default=1300, ge=300, description="Tokens, each of them whole text.")
    context: Whole = Field(default=4096, ge=16, description="Tokens the model says it was trained for.")
    weights: Literal["q8_0", "f16"] = "q8_0"
    seed: Whole = Field(default=0, ge=0, description="Of weights and words.")

    @model_validator(mode="after")
    def _sound(self) -> Synthetic:
        for key, of in (
            ("hidden_size", 32),
            ("hidden_size", 2 * self.heads),
            ("feed_forward", 32),
            ("heads", self.kv_heads),
        ):
            if (value := getattr(self, key)) % of:
                raise Fault(got=str(value), right=f"a multiple of {of}", at=(key,))
        return self


class Model(Section):
    """What is served: a file, a model made on the spot, or one that the cluster knows by name."""

    path: Text | None = Field(
        default=None,
        description="File or directory; relative to where the command runs (backend local). On backend "
        "kubernetes without storage: what MODEL_PATH says.",
    )
    synthetic: Synthetic | None = Field(
        default=None, description="Make a random-weight model instead (backend local)."
    )
    name: Text = Field(default="model", description="The name in requests; on OME the model's own.")
    kind: Literal["ClusterBaseModel", "BaseModel"] = Field(
        default="ClusterBaseModel", description="On OME: of the whole cluster, or of the trials' namespace."
    )
    namespace: DnsLabel | None = Field(default=None, description="Where the model's claim stands.")
    display_name: Text | None = Field(default=None, description="Such as meta.llama-3.2-1b-instruct.")
    format: Text | None = Field(default=None, description="modelFormat.name, such as safetensors.")
    format_version: Text | None = Field(default=None, description="modelFormat.version, such as 1.0.0.")
    framework: Text | None = Field(default=None, description="modelFramework.name, such as transformers.")
    framework_version: Text | None = Field(default=None, description="modelFramework.version.")
    architecture: Text | None = Field(default=None, description="Such as LlamaForCausalLM.")
    model_type: Text | None = Field(default=None, description="Such as llama.")
    parameter_count: Text | None = Field(default=None, description='Such as "1.24B".')
    context_length: Whole | None = Field(default=None, ge=1, description="Tokens it was trained for.")
    max_tokens: Whole | None = Field(
        default=None, ge=1, description="maxTokens of the ClusterBaseModel; default context_length."
    )
    facts: Facts | None = Field(
        default=None, description="Sizes by which memory is estimated before anything is deployed."
    )
    vendor: Text | None = Field(default=None, description="Such as meta.")
    storage_path: ContainerPath | None = Field(
        default=None, description="OME's own path for the model on a node."
    )


class Storage(Section):
    """Where the model's files are on a cluster."""

    type: Literal["pvc", "hostPath"] = Field(description="A claim that any node mounts, or a node's disk.")
    pvc_name: DnsSubdomain | None = Field(
        default=None, description="The PersistentVolumeClaim, in the trials' namespace."
    )
    pvc_subpath: RelativePath | None = Field(
        default=None, description="Directory within the claim; the place storage.pvc_subpath varies it."
    )
    mount_path: ContainerPath | None = Field(
        default=None,
        description="In the container; default OME's own path for the model, else /raid/models/NAME.",
    )
    mount: Literal["auto", "policy", "webhook", "native", "inline", "external"] = Field(
        default="auto", description="Who mounts the claim; auto: the first of these that the cluster has."
    )
    host_path: ContainerPath | None = Field(
        default=None, description="For hostPath on backend kubernetes: the directory on every node."
    )

    @model_validator(mode="after")
    def _sound(self) -> Storage:
        if self.type == "pvc":
            if self.pvc_name is None:
                raise Fault(got="nothing", right="the claim's name", at=("pvc_name",))
            foreign: tuple[str, ...] = ("host_path",)
        else:
            foreign = ("pvc_name", "pvc_subpath")
        found = [
            Fault(got=show(value), right=f"without it: the type is {self.type}", at=(key,))
            for key in foreign
            if (value := getattr(self, key)) is not None
        ]
        if self.type == "hostPath" and self.mount != "auto":
            found.append(Fault(got=show(self.mount), right="without it: the type is hostPath", at=("mount",)))
        if found:
            raise Faults(found)
        return self
