"""Whether the runtime says that it serves such a model: format, framework, architecture and size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.deploy.kubernetes.checks.finding import Finding, fault, warning
from tuner.deploy.kubernetes.checks.site import Site

_SIZES = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_SIZE = re.compile(r"([0-9.]+)([KMBT]?)")
_WORDS = ("modelArchitecture", "quantization")
_NAMED = ("modelFormat", "modelFramework")


@dataclass(frozen=True, slots=True)
class _Difference:
    """What differs, in a few words; `certain` where every reading of OME's rules refuses it."""

    text: str
    certain: bool


def support(site: Site) -> Iterator[Finding]:
    """An error on OME 0.1.5, which then makes nothing of a trial, where it is certain; else a warning."""
    model, runtime = site.model, site.runtime.found
    if not model.spec or runtime is None:
        return
    spec = runtime["spec"]
    apart = [list(_apart(each, model.spec)) for each in spec.get("supportedModelFormats") or ()]
    differences = min(apart, key=len, default=[]) or list(_size(spec.get("modelSizeRange"), model.spec))
    if not differences:
        return
    told = "; ".join(each.text for each in differences)
    text = f"it does not say that it serves {model.kind} {site.wanted.model.name}: {told}"
    certain = site.mounts_itself is False and any(each.certain for each in differences)
    remedy = "the model with what spec.supportedModelFormats of the runtime has, or another runtime"
    yield (fault if certain else warning)(f"runtime {site.wanted.deploy.runtime}", text, remedy)


def _apart(supported: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[_Difference]:
    for key in _WORDS:
        asked, has = supported.get(key), model.get(key)
        if asked != has:
            yield _differ(key, has, asked, certain=bool(asked and has))
    for key in _NAMED:
        asked, has = supported.get(key) or {}, model.get(key) or {}
        if asked.get("name") != has.get("name"):
            yield _differ(key, _named(has), _named(asked), certain=bool(asked and has))
        elif asked.get("version") != has.get("version") and asked.get("operator") in (None, "", "Equal"):
            yield _differ(key, _named(has), _named(asked), certain=False)


def _named(given: Mapping[str, Any]) -> str:
    return " ".join(str(given[key]) for key in ("name", "version") if given.get(key))


def _differ(key: str, has: str | None, asked: str | None, *, certain: bool) -> _Difference:
    return _Difference(f"its {key} is {has or 'not said'}, the runtime has {asked or 'none'}", certain)


def _size(span: Mapping[str, Any] | None, model: Mapping[str, Any]) -> Iterator[_Difference]:
    size = _count(model.get("modelParameterSize"))
    least, most = (_count((span or {}).get(key)) for key in ("min", "max"))
    if span is None or size is None or least is None or most is None or least <= size <= most:
        return
    text = f"its size is {model['modelParameterSize']}, the runtime has {span['min']} to {span['max']}"
    yield _Difference(text, certain=True)


def _count(size: object) -> float | None:
    match = _SIZE.fullmatch(str(size or ""))
    return float(match[1]) * _SIZES[match[2]] if match else None
