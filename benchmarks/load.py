"""The load generator's own error, against a server whose truth is known, and beside other tools.

    python benchmarks/load.py [--streams 1 16 64 256] [--large 4096] [--peers none|all|NAME ...]
                              [--seconds 8] [--markdown] [--json FILE]

Each case runs as a trial's benchmark actor does: the load in a process of its own, pinned to a core that the
server does not use. The server (truth/) logs what it really sent; errors are the client's TTFT minus the
server's, request by request. Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from load_table import Row, beside_line, markdown, markdown_beside, plain
from load_target import Case, cases, judge
from peers.beside import TOOLS, run_beside
from truth.compare import compare, recording, sent_tokens_per_second
from truth.server import TruthServer

from tuner.load import HttpLoad
from tuner.spec.workload import Workload
from tuner.trial.ports import Endpoint

MODEL = "truth"


@dataclass(frozen=True)
class Where:
    """The server as a client's process needs it: its address, process and log, and the client's cores."""

    url: str
    pid: int
    cores: tuple[int, ...]
    log: Path


def measure(case: Case) -> dict[str, Any]:
    """One case: a server, a client in a process of its own, the comparison."""
    cores = sorted(os.sched_getaffinity(0))
    alone = len(cores) > 1 and not case.spread
    flags = {"first_us": case.first_us, "gap_us": case.gap_us, "tokens": case.tokens, "nice": -10}
    if alone:
        flags["cpu"] = cores[0]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "truth.log"
        with TruthServer(log=log, **flags) as server:
            context = multiprocessing.get_context("spawn")
            mine, theirs = context.Pipe()
            where = Where(server.url, server.pid, tuple(cores[1:]) if alone else (), log)
            client = context.Process(target=_client, args=(theirs, case, where))
            client.start()
            theirs.close()
            try:
                found: dict[str, Any] = mine.recv()
            except EOFError:
                found = {"failed": "the client's process ended without a word"}
            client.join(30)
    return found


def _client(answer: Connection, case: Case, where: Where) -> None:
    try:
        answer.send(_round(case, where))
    except Exception as error:
        traceback.print_exc()
        answer.send({"failed": f"{type(error).__name__}: {error}"})


def _round(case: Case, where: Where) -> dict[str, Any]:
    workload = Workload.model_validate(
        {
            "scenario": f"D(48,{case.tokens})",
            "concurrency": case.streams,
            "round_seconds": case.seconds,
        }
    )
    load = HttpLoad(workload)
    endpoint = Endpoint(url=where.url, model=MODEL, load_cpus=where.cores, serving=f"pid {where.pid}")
    try:
        with recording(window_seconds=case.seconds) as seen:
            load.open(endpoint, salt=f"bench {os.getpid()}")
            round_result = load.run_round(1, cancel=lambda: False)
    finally:
        load.close()
    (point,) = round_result.points
    records = list(TruthServer.read(where.url, where.log))
    ttft, itl, trust = point.histograms["ttft_ms"], point.histograms["itl_ms"], point.trust
    tokens_per_second = point.output_tokens / point.window_seconds
    return {
        "requests": point.requests,
        "requests_per_second": tokens_per_second / case.tokens,
        "rate_share": tokens_per_second / case.ideal_tokens_per_second,
        "sent_share": sent_tokens_per_second(records, seen) / case.ideal_tokens_per_second,
        "us_per_token": 1e6 * seen.cpu_seconds / point.output_tokens if point.output_tokens else float("nan"),
        "ttft_mean_ms": ttft.mean(),
        "ttft_p99_ms": ttft.quantile(0.99),
        "itl_p99_ms": itl.quantile(0.99),
        "error": compare(
            seen, records, reported_mean_ms=ttft.mean(), reported_p99_ms=ttft.quantile(0.99)
        ).to_json(),
        "lag_p99_ms": trust.client_lag_p99_ms,
        "client_cpu_share": trust.client_cpu_share,
        "foreign_cpu_cores": trust.foreign_cpu_cores,
        "client_bound": trust.client_bound,
        "invalid": trust.invalid,
        "dirty": trust.dirty,
        "errors": point.errors,
        "reasons": list(trust.reasons),
        "beyond_window_seconds": round_result.seconds - point.window_seconds,
    }


def _peers(given: list[str]) -> list[str]:
    if given == ["none"]:
        return []
    names = list(TOOLS) if given == ["all"] else given
    for name in names:
        if name not in TOOLS:
            raise SystemExit(f"--peers {name}: would be right: none, all, {', '.join(TOOLS)}")
    return names


def _beside(name: str, streams: int, seconds: int) -> dict[str, Any]:
    case = Case(streams=streams, gap_us=10_000, seconds=seconds)
    return run_beside(
        TOOLS[name],
        streams=streams,
        seconds=seconds,
        tokens=case.tokens,
        ideal_per_second=case.ideal_tokens_per_second / case.tokens,
    )


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, nargs="*", default=[1, 16, 64, 256])
    parser.add_argument(
        "--large", type=int, default=4096, help="streams of the two large cases; 0 for neither"
    )
    parser.add_argument("--peers", nargs="+", default=["none"], help="none, all, or names")
    parser.add_argument("--peer-streams", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=8.0, help="of a window")
    parser.add_argument("--markdown", action="store_true", help="tables for the README")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    _peers(options.peers)  # a wrong name is told now, not after minutes
    rows: list[Row] = []
    for case in cases(options.streams, options.large, options.seconds):
        found = measure(case)
        rows.append(Row(case, found, judge(case, found)))
        print(plain(rows[-1], title=len(rows) == 1), flush=True)
    peers: list[dict[str, Any]] = []
    for name in _peers(options.peers):
        peers.append(_beside(name, options.peer_streams, round(options.seconds)))
        print(beside_line(peers[-1], title=len(peers) == 1), flush=True)
    if options.markdown:
        print("\n" + markdown(rows))
        if peers:
            print("\n" + markdown_beside(rows, peers, options.peer_streams))
    if options.json:
        options.json.write_text(json.dumps({"ours": [r.to_json() for r in rows], "peers": peers}, indent=1))
    raise SystemExit(0 if all(target.met for row in rows for target in row.targets) else 1)


if __name__ == "__main__":
    main()
