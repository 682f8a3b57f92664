"""What the options of `tuner bench` ask for: a workload, an endpoint, its model."""

from __future__ import annotations

import argparse
import json
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

    from tuner.load.goodput import Limits
    from tuner.spec.experiment import Experiment
    from tuner.spec.workload import LoadPoint, Workload
    from tuner.trial.ports import Endpoint

_MODELS_SECONDS = 10.0
_OF_A_POINT = {  # option -> key of a load point
    "scenario": "scenario",
    "concurrency": "concurrency",
    "rate": "request_rate",
    "ramp_to": "ramp_to",
    "arrivals": "arrivals",
    "burstiness": "burstiness",
    "shared_prefix": "shared_prefix",
}
_OF_ALL = {  # option -> key of the workload
    "seconds": "round_seconds",
    "rounds": "rounds",
    "warmup": "warmup_seconds",
    "timeout": "request_timeout_seconds",
    "seed": "seed",
}


def workload_of(options: argparse.Namespace) -> Workload:
    """The experiment's workload, or the one load point that the options describe.

    Raises:
        UserError: the options contradict each other, or ask for a load that cannot be.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from tuner.errors import UserError  # noqa: PLC0415
    from tuner.spec.workload import Workload  # noqa: PLC0415

    point = {key: v for name, key in _OF_A_POINT.items() if (v := getattr(options, name)) is not None}
    rest = {key: v for name, key in _OF_ALL.items() if (v := getattr(options, name)) is not None}
    if options.experiment is None:
        if "scenario" not in point:
            raise UserError(
                '--scenario: got none; would be right: one, such as "D(512,128)", or an --experiment'
            )
        if ("concurrency" in point) == ("request_rate" in point):
            got = "both" if "concurrency" in point else "neither"
            raise UserError(
                f"--concurrency and --rate: got {got}; would be right: one of them (a closed or an open loop)"
            )
        given: dict[str, Any] = {"round_seconds": 30.0, "rounds": 1, **rest, "points": [point]}
    else:
        if point:
            named = next(name for name, key in _OF_A_POINT.items() if key in point)
            raise UserError(
                f"--{named.replace('_', '-')} and --experiment: got both; would be right: one of them, "
                "as the experiment's workload says it"
            )
        given = {**_experiment(options.experiment).workload.model_dump(), **rest}
    try:
        return Workload.model_validate(given)
    except ValidationError as error:
        raise UserError(_explained(error)) from error


def in_words(point: LoadPoint) -> str:
    """A load point for people."""
    if point.concurrency is not None:
        return f"{point.described()}, {point.level} in flight"
    what = "conversations" if point.converses else "requests"
    return f"{point.described()}, {point.level} {what}/s, {point.arrivals} arrivals"


def limits_of(options: argparse.Namespace) -> Limits | None:
    """What a request must keep to be a good one: as --goodput says, else as the experiment does.

    Raises:
        UserError: --goodput is no list of limits.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from tuner.errors import UserError  # noqa: PLC0415
    from tuner.load.goodput import Limits  # noqa: PLC0415
    from tuner.spec.goodput import Goodput  # noqa: PLC0415

    if options.goodput is None:
        found = _experiment(options.experiment).goodput if options.experiment is not None else None
    else:
        given = [_limit(text) for text in options.goodput]
        try:
            if len(dict(given)) < len(given) or None in dict(given).values():
                raise ValueError("a name twice, or without a limit")
            found = Goodput.model_validate(dict(given))
        except (ValidationError, ValueError) as error:
            raise UserError(
                f"--goodput: got {' '.join(options.goodput)}; would be right: such as ttft:500 tpot:40 "
                "e2e:9000, each at most once, milliseconds"
            ) from error
    return Limits(**found.model_dump(exclude_none=True)) if found is not None else None


def _limit(text: str) -> tuple[str, Any]:
    """`ttft:200`, as other load generators write it, or `ttft_ms=200`, as an experiment names it."""
    from tuner.spec.document import parse_value  # noqa: PLC0415

    name, _, limit = text.replace("=", ":").partition(":")
    return f"{name.removesuffix('_ms')}_ms", parse_value(limit)


def limits_in_words(limits: Limits) -> str:
    """The limits of one request for people."""
    named = ((name, getattr(limits, f"{name}_ms")) for name in ("ttft", "tpot", "e2e"))
    return ", ".join(f"{name.upper()} of at most {ms:g} ms" for name, ms in named if ms is not None)


def endpoint_of(options: argparse.Namespace) -> Endpoint:
    """Where the load goes; the model is the server's first where none is named.

    Raises:
        UserError: a file or a variable that is named cannot be read.
        WorldError: the server does not say which model it serves.
    """
    from tuner.errors import UserError  # noqa: PLC0415
    from tuner.load.origin import Origin  # noqa: PLC0415
    from tuner.trial.ports import Endpoint, LoadError  # noqa: PLC0415

    url = options.url.rstrip("/").removesuffix("/v1")
    token = None
    if options.token_env is not None:
        token = os.environ.get(options.token_env)
        if not token:
            raise UserError(
                f"--token-env: {options.token_env} is not set; would be right: a variable that is"
            )
    ca_pem = _text(options.ca) if options.ca is not None else None
    given = {"url": url, "metrics_url": f"{url}/metrics", "token": token, "ca_pem": ca_pem}
    endpoint = Endpoint(model=options.model or "", **given)
    try:
        Origin.of(endpoint)
    except LoadError as error:
        raise UserError(f"--url or --ca: {error}") from error
    return endpoint if options.model else Endpoint(model=_first_model(endpoint), **given)


def _text(path: Path) -> str:
    from tuner.errors import UserError  # noqa: PLC0415

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--ca: {path} cannot be read: {error}; would be right: PEM certificates") from error


def _experiment(given: str) -> Experiment:
    from tuner.spec.load import load_experiment  # noqa: PLC0415
    from tuner.spec.shipped import search_space  # noqa: PLC0415

    return load_experiment(search_space(given))


def _first_model(endpoint: Endpoint) -> str:
    """What GET /v1/models names first."""
    from tuner.errors import WorldError  # noqa: PLC0415

    url = f"{endpoint.url}/v1/models"
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    tls = ssl.create_default_context(cadata=endpoint.ca_pem) if url.startswith("https") else None
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_MODELS_SECONDS, context=tls) as answer:
            return str(json.load(answer)["data"][0]["id"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        why = getattr(error, "reason", error) or type(error).__name__
        raise WorldError(f"GET {url} names no model: {why}; would be right: a server, or --model") from error


def _explained(error: ValidationError) -> str:
    """The first thing that is wrong with the options, by the option's own name."""
    from tuner.spec.faults import Fault, Faults  # noqa: PLC0415

    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    fault = cause.faults[0] if isinstance(cause, Faults) else cause
    at = fault.at if isinstance(fault, Fault) else ()
    options = {key: name for name, key in {**_OF_A_POINT, **_OF_ALL}.items()}
    key = next((part for part in reversed((*first["loc"], *at)) if part in options), None)
    where = f"--{options[str(key)].replace('_', '-')}: " if key is not None else ""
    said = first["msg"].removeprefix("Value error, ")
    if said.startswith("got "):
        return where + said
    return f"{where}got {first['input']!r}; would be right: {said.removeprefix('Input should be ')}"
