"""Whether the runtime says that it serves such a model: format, framework, architecture and size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tuner.deploy.kubernetes.checks.finding import Finding, fault, warning
from tuner.deploy.kubernetes.checks.site import Site

_SIZES = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_SIZE = re.compile(r"([0-9.]+)([KMBT]?)")
_WORDS = ("modelArchitecture", "quantization")
_NAMED = ("modelFormat", "modelFramework")


def support(site: Site) -> Iterator[Finding]:
    """An error on OME 0.1.5, which then makes nothing of a trial; a warning where another version may be."""
    model, runtime = site.model, site.runtime.found
    if not model.spec or runtime is None:
        return
    spec = runtime["spec"]
    formats = spec.get("supportedModelFormats") or ()
    apart = [_apart(each, model.spec) for each in formats]
    reasons = min(apart, key=len, default=[]) or _size(spec.get("modelSizeRange"), model.spec)
    if not reasons:
        return
    subject = f"runtime {site.wanted.deploy.runtime}"
    text = f"it does not say that it serves {model.kind} {site.wanted.model.name}: {'; '.join(reasons)}"
    remedy = "the model with what spec.supportedModelFormats of the runtime has, or another runtime"
    yield (fault if site.mounts_itself is False else warning)(subject, text, remedy)


def _apart(supported: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    """What differs, in a few words each; what only one of them says does."""
    found = []
    for key in _WORDS:
        if supported.get(key) != model.get(key):
            found.append(_differ(key, model.get(key), supported.get(key)))
    for key in _NAMED:
        asked, has = supported.get(key), model.get(key)
        if _named(asked) != _named(has) and not (asked and has and _any_version(asked, has)):
            found.append(_differ(key, _named(has), _named(asked)))
    return found


def _any_version(asked: Mapping[str, Any], has: Mapping[str, Any]) -> bool:
    """Whether only versions differ, and the runtime compares them in its own way."""
    return asked.get("name") == has.get("name") and asked.get("operator") not in (None, "", "Equal")


def _named(given: Mapping[str, Any] | None) -> str | None:
    return " ".join(str(given[key]) for key in ("name", "version") if given.get(key)) if given else None


def _differ(key: str, has: str | None, asked: str | None) -> str:
    return f"its {key} is {has or 'not said'}, the runtime has {asked or 'none'}"


def _size(span: Mapping[str, Any] | None, model: Mapping[str, Any]) -> list[str]:
    size = _count(model.get("modelParameterSize"))
    least, most = (_count((span or {}).get(key)) for key in ("min", "max"))
    if span is None or size is None or least is None or most is None or least <= size <= most:
        return []
    return [f"its size is {model['modelParameterSize']}, the runtime has {span['min']} to {span['max']}"]


def _count(size: object) -> float | None:
    match = _SIZE.fullmatch(str(size or ""))
    return float(match[1]) * _SIZES[match[2]] if match else None
