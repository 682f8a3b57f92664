"""Figures for people: four significant digits, seconds as one would say them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from tuner.spec.metrics import METRICS


def figure(value: Any) -> str:
    """A value of a metric or a parameter; "-" where there is none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "-"
    if value and math.isfinite(value) and 1e-3 <= abs(value) < 1e7:
        digits = max(0, 3 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.4g}"


def moment(at: float) -> str:
    """A Unix time by this machine's clock: 2026-11-25 22:00 CET."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def duration(seconds: float) -> str:
    """'0.4 s', '12 s', '3 min 05 s', '2 h 10 min'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def limit_text(metric: str, limit: float) -> str:
    """An SLO's limit: "at most 300", "at least 100" where more is better."""
    known = METRICS.get(metric.rpartition(".")[2])
    bound = "at least" if known is not None and known.better == "higher" else "at most"
    return f"{bound} {figure(limit)}"


def broken(name: str, *, width: int = 14) -> str:
    """A long name in lines of about `width` characters, broken behind its underscores."""
    lines = [""]
    for word in name.replace("_", "_ ").split():
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)
