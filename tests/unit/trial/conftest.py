"""The fakes of both ports, and rounds made of plain figures."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tuner.trial.histogram import Histogram
from tuner.trial.life import TrialLife
from tuner.trial.ports import Asked, Phase, TrialConfig
from tuner.trial.rounds import PointResult, RoundResult, Trust

_CONFORMANCE = Path(__file__).parents[2] / "conformance"


def _module(stem: str) -> ModuleType:
    name = f"trial_tests_{stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _CONFORMANCE / f"{stem}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules[name]


FakeBackend = _module("fakes_backend").FakeBackend
FakeLoad = _module("fakes_load").FakeLoad
_made_round = _module("fakes_load").made_round


@pytest.fixture
def made_round() -> Callable[..., RoundResult]:
    """A round of one point in which all requests are alike."""
    return _made_round


@pytest.fixture
def point() -> Callable[..., PointResult]:
    """One load point of a round, from plain figures; latencies are TTFT in ms."""

    def made(
        name: str = "load",
        *,
        tokens: int = 1000,
        seconds: float = 10.0,
        ttft: list[float] | None = None,
        requests: int | None = None,
        errors: dict[str, int] | None = None,
        parts: tuple[float, ...] = (),
        trust: Trust | None = None,
    ) -> PointResult:
        seen = [50.0] if ttft is None else ttft
        return PointResult(
            point=name,
            window_seconds=seconds,
            requests=len(seen) if requests is None else requests,
            output_tokens=tokens,
            input_tokens=10,
            errors=errors or {},
            cut=0,
            histograms={
                "ttft_ms": Histogram(seen),
                "tpot_ms": Histogram([10.0]),
                "itl_ms": Histogram([10.0]),
                "e2e_ms": Histogram([100.0]),
            },
            parts=parts,
            trust=trust or Trust(),
        )

    return made


@pytest.fixture
def one_round() -> Callable[..., RoundResult]:
    """A round of these points."""

    def made(*points: PointResult, number: int = 1) -> RoundResult:
        return RoundResult(number, 1_700_000_000.0, 10.5, points)

    return made


class Stage:
    """One trial's life on the fakes, under a clock that only sleeping moves."""

    def __init__(
        self,
        *,
        rounds: int = 3,
        loads: tuple[float, ...] = (),
        previous: str | None = None,
        asked: Asked | None = None,
        **backend: Any,
    ) -> None:
        self.seconds = 0.0
        self.cancelled = False
        self.said: list[str] = []
        self.backend = FakeBackend(**backend)
        self.load = FakeLoad()
        self.trial = TrialConfig("demo-run-1", 7, Phase.SEARCH, 1, {"tp": 2}, asked=asked or Asked())
        self.life = TrialLife(
            self.trial,
            backend=self.backend,
            load=self.load,
            rounds=rounds,
            loads=loads,
            warmup_seconds=2.0,
            clock=lambda: self.seconds,
            now=lambda: 1_700_000_000.0 + self.seconds,
            sleep=self._sleep,
            progress=self.said.append,
            cancel=lambda: self.cancelled,
            previous=(previous,) if previous else (),
        )

    def _sleep(self, seconds: float) -> None:
        self.seconds += max(seconds, 1.0)


@pytest.fixture
def stage() -> type[Stage]:
    """Makes a `Stage`."""
    return Stage
