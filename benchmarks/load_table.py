"""The load benchmark's tables: one line a case while it runs, Markdown at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from load_target import Case, Target

_PLAIN = (
    "                 |   rate  sent  |  TTFT ms      | error of TTFT ms  |  ITL ms     |  CPU |  lag \n"
    "streams  gap ms  |  ideal ideal  |  mean    p99  |  mean   p99   max |  p99 truth  | us/t |   ms "
)


@dataclass(frozen=True)
class Row:
    """One case, what was found, how it was judged."""

    case: Case
    found: dict[str, Any]
    targets: list[Target]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "case": asdict(self.case),
            "found": self.found,
            "targets": [asdict(t) for t in self.targets],
        }


def plain(row: Row, *, title: bool) -> str:
    """A line of figures, and one for each target that is missed."""
    case, f = row.case, row.found
    lines = [_PLAIN] if title else []
    name = f"{case.streams:7d} {case.gap_us / 1e3:7.0f}  |"
    if "failed" not in f:
        e = f["error"]
        rate, ttft, itl = (
            (f["rate_share"], f["sent_share"]),
            (f["ttft_mean_ms"], f["ttft_p99_ms"]),
            f["itl_p99_ms"],
        )
        name += (
            f" {rate[0]:6.3f} {rate[1]:5.3f}  | {ttft[0]:5.1f} {ttft[1]:6.1f}  |"
            f" {e['ttft_mean']:5.2f} {e['ttft_p99']:5.2f} {e['ttft_max']:5.1f} |"
            f" {itl:5.1f} {e['truth_gap_p99']:5.1f}  |"
            f" {f['us_per_token']:4.1f} | {f['lag_p99_ms']:4.1f}  {_marks(f)}"
        )
    lines.append(name.rstrip())
    lines += [f"    missed: {t.name} {t.value:.3g}, target {t.limit}" for t in row.targets if not t.met]
    return "\n".join(lines)


def beside_line(peer: dict[str, Any], *, title: bool) -> str:
    """One other tool: what it says, what the log says."""
    start = (
        "beside it: requests/s said, logged | TTFT mean said, true | p99 said, true | CPU us/t\n"
        if title
        else ""
    )
    if "failed" in peer:
        return f"{start}{peer['tool']}: {peer['failed']}"
    said, true = "reported_ttft", "truth_ttft"
    return (
        f"{start}{peer['tool']:20s} {peer['reported_requests_per_second']:7.1f}"
        f" {peer.get('requests_per_second', math.nan):7.1f} |"
        f" {peer[f'{said}_mean_ms']:7.1f} {peer.get(f'{true}_mean_ms', math.nan):7.1f} |"
        f" {peer[f'{said}_p99_ms']:7.1f} {peer.get(f'{true}_p99_ms', math.nan):7.1f} |"
        f" {peer.get('us_per_token', math.nan):6.1f}"
    )


def markdown_beside(rows: Sequence[Row], peers: Sequence[dict[str, Any]], streams: int) -> str:
    """Other tools and this one, at the same number of streams."""
    lines = [
        f"| {streams} streams | requests/s by the server's log | it says | µs CPU a token |"
        " TTFT mean / p99 ms: it says | the truth |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        f = row.found
        if row.case.streams == streams and not row.case.spread and "failed" not in f:
            e, rate = f["error"], f["requests_per_second"]
            sent = f["sent_share"] / f["rate_share"] * rate if f["rate_share"] else math.nan
            lines.append(
                f"| this one | {sent:.1f} | {rate:.1f} | {f['us_per_token']:.0f} |"
                f" {f['ttft_mean_ms']:.1f} / {f['ttft_p99_ms']:.1f} |"
                f" {e['truth_ttft_mean']:.1f} / {e['truth_ttft_p99']:.1f} |"
            )
    for p in peers:
        if "failed" in p:
            lines.append(f"| {p['tool']} | {p['failed']} | | | | |")
            continue
        lines.append(
            f"| {p['tool']} | {p.get('requests_per_second', math.nan):.1f} |"
            f" {p['reported_requests_per_second']:.1f} | {p.get('us_per_token', math.nan):.0f} |"
            f" {p['reported_ttft_mean_ms']:.1f} / {p['reported_ttft_p99_ms']:.1f} |"
            f" {p.get('truth_ttft_mean_ms', math.nan):.1f} / {p.get('truth_ttft_p99_ms', math.nan):.1f} |"
        )
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """The load generator's own table for the README."""
    lines = [
        "| streams | gap ms | rate, % of ideal | TTFT mean / p99 ms | its error per request, mean / p99 ms |"
        " ITL p99 ms | µs CPU a token | marks | targets |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        case, f = row.case, row.found
        start = f"| {case.streams} | {case.gap_us / 1e3:g} |"
        if "failed" in f:
            lines.append(f"{start} failed: {f['failed']} | | | | | | missed |")
            continue
        e = f["error"]
        verdict = "; ".join(f"{t.name} {t.limit}: {'met' if t.met else 'MISSED'}" for t in row.targets)
        lines.append(
            f"{start} {100 * f['rate_share']:.1f} | {f['ttft_mean_ms']:.1f} / {f['ttft_p99_ms']:.1f} |"
            f" {_or_dash(e['ttft_mean'])} / {_or_dash(e['ttft_p99'])} |"
            f" {f['itl_p99_ms']:.1f} | {f['us_per_token']:.1f} | {_marks(f) or '-'} | {verdict} |"
        )
    return "\n".join(lines)


def _or_dash(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _marks(found: dict[str, Any]) -> str:
    marks = [m.replace("_", "-") for m in ("client_bound", "invalid", "dirty") if found[m]]
    return ", ".join([*marks, *(f"{count} {kind}" for kind, count in found["errors"].items())])
