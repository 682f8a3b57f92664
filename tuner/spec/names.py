"""Names, paths and quantities as Kubernetes takes them; a check returns it or says what is right."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from tuner.spec.faults import Fault, show
from tuner.spec.section import Text

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_KEY_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_QUANTITY = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?")
_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def dns_label(value: str) -> str:
    """A DNS-1123 label: a namespace, a volume.

    Raises:
        Fault: it is none.
    """
    if not _LABEL.fullmatch(value):
        raise Fault(
            got=show(value),
            right=f"1 to 63 lower case letters, digits and -, such as {_fitting(value, 63, '')}",
        )
    return value


def dns_service_label(value: str) -> str:
    """A DNS-1035 label: what a Service may be called, so a letter first.

    Raises:
        Fault: it is none.
    """
    if not _SERVICE.fullmatch(value):
        fitting = _fitting(value, 61, "").lstrip("0123456789-") or "name"
        raise Fault(
            got=show(value), right=f"1 to 63 lower case letters, digits and -, a letter first: {fitting}"
        )
    return value


def dns_subdomain(value: str) -> str:
    """A DNS-1123 subdomain: what most objects may be called.

    Raises:
        Fault: it is none.
    """
    if len(value) > 253 or not all(_LABEL.fullmatch(part) for part in value.split(".")):
        right = f"lower case letters, digits, - and ., such as {_fitting(value, 253, '.')}"
        raise Fault(got=show(value), right=right)
    return value


def qualified_key(value: str) -> str:
    """The key of a label or an annotation, or an extended resource: name or prefix/name.

    Raises:
        Fault: it is none.
    """
    prefix, slash, name = value.rpartition("/")
    bad_prefix = slash and (
        len(prefix) > 253 or not all(_LABEL.fullmatch(part) for part in prefix.split("."))
    )
    if bad_prefix or not _KEY_NAME.fullmatch(name):
        right = "a key such as example.com/team: letters, digits, -, _ and ., at most 63 after the /"
        raise Fault(got=show(value), right=right)
    return value


def label_value(value: str) -> str:
    """The value of a label.

    Raises:
        Fault: it is none.
    """
    if value and not _KEY_NAME.fullmatch(value):
        raise Fault(got=show(value), right="at most 63 letters, digits, -, _ and ., or nothing")
    return value


def quantity(value: object) -> str:
    """An amount such as 500m, 4 or 64Gi, as text.

    Raises:
        Fault: it is none.
    """
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if not _QUANTITY.fullmatch(text):
        raise Fault(got=show(value), right="an amount such as 4, 500m or 64Gi")
    return text


def variable_name(value: str) -> str:
    """The name of an environment variable.

    Raises:
        Fault: it is none.
    """
    if not _VARIABLE.fullmatch(value):
        raise Fault(got=show(value), right="a variable's name such as HF_HOME")
    return value


def secret_key(value: str) -> str:
    """A key within a Secret.

    Raises:
        Fault: it is none.
    """
    if not _SECRET_KEY.fullmatch(value):
        raise Fault(got=show(value), right="a key of the Secret such as token: letters, digits, -, _ and .")
    return value


def relative_path(value: str) -> str:
    """A directory within a claim: relative, and never out of it.

    Raises:
        Fault: it is none.
    """
    if not value or value.startswith("/") or ".." in value.split("/") or not value.isprintable():
        fitting = "/".join(p for p in value.split("/") if p not in ("", "..") and p.isprintable())
        raise Fault(
            got=show(value), right=f"a relative path without .., such as {fitting or 'meta/llama-3-8b'}"
        )
    return value


def container_path(value: str) -> str:
    """A directory in a container: absolute, and nothing that Kubernetes or the admission would read into it.

    Raises:
        Fault: it is none.
    """
    sound = re.match(r"/[^/]", value) and not re.search(r"[:$]", value) and value.isprintable()
    if not sound or ".." in value.split("/"):
        raise Fault(
            got=show(value), right='an absolute path without "..", ":" and "$", such as /raid/models/m'
        )
    return value


def _fitting(value: str, longest: int, also: str) -> str:
    text = re.sub(rf"[^a-z0-9{re.escape(also)}]+", "-", value.lower())
    parts = [p.strip("-")[:63].strip("-") for p in (text.split(".") if also else [text])]
    return ".".join(p for p in parts if p)[:longest].strip("-.") or "name"


DnsLabel = Annotated[Text, AfterValidator(dns_label)]
DnsSubdomain = Annotated[Text, AfterValidator(dns_subdomain)]
QualifiedKey = Annotated[Text, AfterValidator(qualified_key)]
LabelValue = Annotated[str, AfterValidator(label_value)]
RelativePath = Annotated[Text, AfterValidator(relative_path)]
ContainerPath = Annotated[Text, AfterValidator(container_path)]
SecretKeyName = Annotated[Text, AfterValidator(secret_key)]
Quantity = Annotated[str, BeforeValidator(quantity), WithJsonSchema({"type": ["string", "number"]})]
