"""The `model` and `storage` sections."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tuner.spec.faults import Fault
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
        default=None, description="File or directory; relative to where the command runs (backend local)."
    )
    synthetic: Synthetic | None = Field(
        default=None, description="Make a random-weight model instead (backend local)."
    )
    name: Text = Field(default="model", description="The name in requests; on OME the ClusterBaseModel's.")
    namespace: Text | None = Field(default=None, description="Where the model stands in the cluster.")
    display_name: Text | None = None
    format: Text | None = Field(default=None, description="modelFormat.name, such as safetensors.")
    format_version: Text | None = None
    framework: Text | None = None
    architecture: Text | None = Field(default=None, description="Such as LlamaForCausalLM.")
    model_type: Text | None = Field(default=None, description="Such as llama.")
    parameter_count: Text | None = Field(default=None, description='Such as "1.24B".')
    context_length: Whole | None = Field(default=None, ge=1)
    max_tokens: Whole | None = Field(default=None, ge=1)
    vendor: Text | None = None
    storage_path: Text | None = Field(default=None, description="OME's own path for the model on a node.")


class Storage(Section):
    """Where the model's files are on a cluster."""

    type: Literal["pvc", "hostPath"]
    pvc_name: Text | None = Field(
        default=None, description="The PersistentVolumeClaim, in the trials' namespace."
    )
    pvc_subpath: Text | None = Field(default=None, description="Directory within the claim.")
    mount_path: Text | None = Field(
        default=None, description="In the container; default OME's own path for the model."
    )
    mount: Literal["auto", "policy", "webhook", "native", "inline", "external"] = Field(
        default="auto", description="Who mounts the claim."
    )

    @model_validator(mode="after")
    def _sound(self) -> Storage:
        if self.type == "pvc" and self.pvc_name is None:
            raise Fault(got="nothing", right="the claim's name", at=("pvc_name",))
        if self.pvc_subpath is not None and (
            self.pvc_subpath.startswith("/") or ".." in self.pvc_subpath.split("/")
        ):
            raise Fault(got=repr(self.pvc_subpath), right="a relative path without ..", at=("pvc_subpath",))
        if self.mount_path is not None and not self.mount_path.startswith("/"):
            raise Fault(got=repr(self.mount_path), right="an absolute path", at=("mount_path",))
        return self
