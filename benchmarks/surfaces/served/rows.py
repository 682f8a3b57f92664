"""From an experiment and its engine to the rows of a surface."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from served.plan import Engine, Facts, Failed, Memory, Params
from served.replica import Load, Measured, Replica, Rules
from served.step_times import StepTimes
from served.tables import key_of, tables_of

from tuner.errors import FailureClass
from tuner.spec import Experiment

PER_ACCELERATOR = "output_tokens_per_second_per_accelerator"
METRICS = ("output_tokens_per_second", "requests_per_second", "ttft_p95_ms", "tpot_p95_ms", "e2e_p95_ms")
MACHINE_CV = 0.015  # between deployments of the same configuration: clocks, placement, allocation
REJECTED_AT_MOST = 0.01
LOAD_SEED = 20_240


class SurfaceRows:
    """Simulates the configurations of one experiment; what never filled its cache is simulated once."""

    def __init__(self, experiment: Experiment, engine: Engine, facts: Facts) -> None:
        self._experiment, self._engine, self._facts = experiment, engine, facts
        self._seen: dict[tuple[Any, ...], list[tuple[int, Measured]]] = {}
        self._times: dict[tuple[str, float], StepTimes] = {}

    def rows(self, configurations: Iterable[Params]) -> list[dict[str, Any]]:
        """One row a configuration, in their order."""
        planned: list[tuple[Params, dict[str, Any] | Failed]] = []
        for params in configurations:
            try:
                planned.append((params, self._engine.layout(params, self._facts)))
            except Failed as failed:
                planned.append((params, failed))
        scales = {self._engine.attention_scale(params, self._facts) for params, _ in planned}
        tables = tables_of([layout for _, layout in planned if isinstance(layout, dict)])
        self._times = {
            (key, scale): StepTimes(found, attention_scale=scale)
            for key, found in tables.items()
            for scale in scales
        }
        memory = {key: Memory.of(found) for key, found in tables.items()}
        found = []
        for params, layout in planned:
            try:
                if isinstance(layout, Failed):
                    raise layout
                key = key_of(layout)
                rules = self._engine.rules(params, self._facts, memory[key])
                found.append(self._measured(params, rules, key))
            except Failed as failed:
                found.append(self._failed(params, failed))
        return found

    def _measured(self, params: Params, rules: Rules, key: str) -> dict[str, Any]:
        replicas = self._engine.replicas(params)
        measured = self._simulated(params, rules, key, replicas)
        sent = len(measured.requests) + measured.rejected
        if not measured.requests or measured.rejected > REJECTED_AT_MOST * sent:
            raise Failed(FailureClass.REQUESTS_FAILED, 1.0)
        deploy = self._deploy_seconds(params, 1.0)
        if deploy > self._experiment.deploy.ready_seconds:
            raise Failed(FailureClass.NEVER_READY, 1.0)
        metrics = self._metrics(measured, replicas)
        accelerators = self._experiment.space.accelerators(dict(params))
        metrics[PER_ACCELERATOR] = metrics["output_tokens_per_second"] / accelerators
        window = self._experiment.workload.rounds * self._experiment.workload.round_seconds
        requests = len(measured.requests) / measured.seconds * window * replicas
        busy = min(1.0, measured.preemptions / max(1, len(measured.requests)))
        noise = math.hypot(MACHINE_CV, 0.6 / math.sqrt(max(requests, 1.0)), 0.04 * busy)
        return {
            **params,
            **{name: _digits(value) for name, value in metrics.items()},
            "deploy_seconds": _digits(deploy),
            "failure": "",
            "noise_cv": _digits(min(max(noise, 0.02), 0.08), 2),
        }

    def _failed(self, params: Params, failed: Failed) -> dict[str, Any]:
        ready = self._experiment.deploy.ready_seconds
        seconds = min(self._deploy_seconds(params, failed.share), ready)
        if failed.kind is FailureClass.NEVER_READY:
            seconds = ready
        return {**params, "deploy_seconds": _digits(seconds), "failure": str(failed.kind), "noise_cv": ""}

    def _deploy_seconds(self, params: Params, share: float) -> float:
        """Reading arguments takes 12 s; then loading by the storage's bandwidth, then the rest; +-3 %."""
        size = self._facts.checkpoints[params.get("weights", "only")][3]
        whole = self._engine.start_seconds(params, self._facts) + size / self._facts.load_bytes_per_second
        text = repr(sorted(params.items()))
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        spread = random.Random(seed).lognormvariate(0.0, 0.03)
        return (12.0 + share * max(0.0, whole - 12.0)) * spread

    def _simulated(self, params: Params, rules: Rules, key: str, replicas: int) -> Measured:
        host = self._engine.host(params, self._facts)
        probes = tuple(round(host(b, t, 1.0), 6) for b, t in ((1, 0), (48, 0), (300, 0), (1, 900), (1, 64)))
        scale = self._engine.attention_scale(params, self._facts)
        same = (key, scale, replicas, probes, _without_cache(rules))
        for kv_tokens, earlier in self._seen.get(same, ()):
            enough = not earlier.kv_bound and rules.kv_tokens >= kv_tokens
            if enough or kv_tokens == rules.kv_tokens:
                return earlier
        point = self._experiment.workload.points[0]
        load = Load(
            draw=point.lengths.sample,
            concurrency=max(1, round((point.concurrency or 0) / replicas)) if point.concurrency else 0,
            rate=(point.request_rate or 0.0) / replicas,
            warmup_seconds=max(self._experiment.workload.warmup_seconds, 30.0),
            window_seconds=self._experiment.workload.rounds * self._experiment.workload.round_seconds,
        )
        measured = Replica(rules, self._times[key, scale], host, load, LOAD_SEED).run()
        self._seen.setdefault(same, []).append((rules.kv_tokens, measured))
        return measured

    def _metrics(self, measured: Measured, replicas: int) -> dict[str, float]:
        done = measured.requests
        longer = [r for r in done if r.output > 1]
        ttft = [r.first - r.sent for r in done]
        tpot = [(r.last - r.first) / (r.output - 1) for r in longer]
        e2e = [r.last - r.sent for r in done]
        found = {
            "output_tokens_per_second": measured.output_tokens / measured.seconds * replicas,
            "requests_per_second": len(done) / measured.seconds * replicas,
            "ttft_p95_ms": _quantile(ttft, 0.95),
            "tpot_p95_ms": _quantile(tpot, 0.95),
            "e2e_p95_ms": _quantile(e2e, 0.95),
        }
        if (limits := self._experiment.goodput) is not None:
            good = sum(
                (limits.ttft_ms is None or a <= limits.ttft_ms)
                and (limits.tpot_ms is None or b <= limits.tpot_ms)
                and (limits.e2e_ms is None or c <= limits.e2e_ms)
                for a, b, c in zip(ttft, tpot, e2e, strict=True)
            )
            found["goodput"] = good / measured.seconds * replicas
        found["error_rate"] = 0.0
        return found


def _without_cache(rules: Rules) -> tuple[Any, ...]:
    return tuple(getattr(rules, name) for name in Rules.__dataclass_fields__ if name != "kv_tokens")


def _quantile(values: list[float], q: float) -> float:
    """By nearest rank, as the load generator's histograms have it."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else math.nan


def _digits(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def mean_noise(rows: Iterable[dict[str, Any]]) -> float:
    """Of the rows that were measured."""
    return fmean(float(r["noise_cv"]) for r in rows if r["noise_cv"] != "")
