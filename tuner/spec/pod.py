"""What a cluster needs of its own in every serving pod, passed through; and references to Secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from tuner.spec.faults import Fault, Faults
from tuner.spec.names import DnsSubdomain, LabelValue, QualifiedKey, Quantity, SecretKeyName
from tuner.spec.section import Section, Text, Whole

# Of a variable whose value belongs into a Secret; the trial's side masks the values of such ones in logs.
SECRET_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$", re.IGNORECASE
)
# The tuner or OME writes these; another value would be lost, or the pods would not be found.
_RESERVED_PREFIX = "autotuner.io/"
_RESERVED = frozenset(
    {
        "app",
        "component",
        "serving-runtime",
        "base-model-name",
        "base-model-size",
        "base-model-type",
        "base-model-vendor",
        "fine-tuned-serving",
        "app.kubernetes.io/instance",
        "app.kubernetes.io/managed-by",
        "ome.io/inferenceservice",
        "ome.io/base-model-name",
        "ome.io/base-model-format",
        "ome.io/base-model-format-version",
        "ome.io/base-model-vendor",
        "ome.io/serving-runtime",
        "ome.io/storage-type",
        "ome.io/pvc-name",
        "ome.io/pvc-subpath",
        "ome.io/mount-path",
    }
)


class Toleration(Section):
    """One toleration, in Kubernetes' own words."""

    key: QualifiedKey | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: Whole | None = None


class NodeClass(Section):
    """A class of nodes: what a pod must say to get there."""

    node_selector: dict[QualifiedKey, LabelValue] = Field(
        min_length=1, description="Labels that its nodes have, beside deploy.pod.node_selector."
    )
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Beside deploy.pod.tolerations.")


class Resources(Section):
    """Requests and limits beside the accelerators, such as {cpu: 8, memory: 64Gi}."""

    requests: dict[QualifiedKey, Quantity] = Field(default_factory=dict)
    limits: dict[QualifiedKey, Quantity] = Field(default_factory=dict)


class SecretKey(Section):
    """One entry of a Secret in the trials' namespace."""

    secret: DnsSubdomain = Field(description="The Secret's name.")
    key: SecretKeyName | None = Field(default=None, description="Which of its entries.")


class EnvSecret(SecretKey):
    """Where a variable's value comes from."""

    key: SecretKeyName = Field(description="Which of its entries.")


class Token(SecretKey):
    """The bearer token that the engine asks for."""

    key: SecretKeyName = "token"


class Tls(SecretKey):
    """The CA that signed the engine's certificate; with it the engine is spoken to over https."""

    key: SecretKeyName = "ca.crt"


class Pod(Section):
    """Passed through to every serving pod."""

    tolerations: tuple[Toleration, ...] = Field(
        default=(), description="{key, operator, value, effect, tolerationSeconds}; replace the runtime's."
    )
    node_selector: dict[QualifiedKey, LabelValue] = Field(
        default_factory=dict, description="Labels that the node has."
    )
    priority_class: DnsSubdomain | None = Field(default=None, description="priorityClassName.")
    labels: dict[QualifiedKey, LabelValue] = Field(
        default_factory=dict, description="Such as a queue's name; on the pods and what makes them."
    )
    annotations: dict[QualifiedKey, str] = Field(
        default_factory=dict, description="On the pods and what makes them."
    )
    image_pull_secrets: tuple[DnsSubdomain, ...] = Field(default=(), description="Names of Secrets.")
    shared_memory: Quantity | None = Field(
        default=None, description="Size of /dev/shm, such as 16Gi; default the container runtime's 64Mi."
    )
    security_context: dict[Text, Any] = Field(
        default_factory=dict, description="The pod's securityContext, in Kubernetes' own words."
    )
    container_security_context: dict[Text, Any] = Field(
        default_factory=dict, description="The engine container's securityContext."
    )
    service_account: DnsSubdomain | None = Field(default=None, description="serviceAccountName.")
    runtime_class: DnsSubdomain | None = Field(default=None, description="runtimeClassName.")
    resources: Resources = Field(
        default_factory=Resources, description="requests and limits beside the accelerators."
    )

    @field_validator("labels", "annotations")
    @classmethod
    def _free(cls, given: Mapping[str, str]) -> Mapping[str, str]:
        taken = [k for k in given if k in _RESERVED or k.startswith(_RESERVED_PREFIX)]
        if taken:
            right = "a key of your own: the tuner or OME writes this one"
            raise Faults([Fault(got=f"the key {key}", right=right, at=(key,)) for key in taken])
        return given
