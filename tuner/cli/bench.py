"""`tuner bench`: the load generator by itself, against any OpenAI-style server."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.load.goodput import Limits
    from tuner.spec.workload import Workload
    from tuner.trial.ports import Endpoint
    from tuner.trial.rounds import RoundResult

NAME = "bench"
HELP = "load a server that is there and measure it: rates, latencies, and how far they can be trusted"
_INTERRUPTED = 130
_EPILOG = """\
examples:
  tuner bench --url http://127.0.0.1:8000 --scenario "D(512,128)" --concurrency 32
  tuner bench --url https://llm.example --token-env LLM_TOKEN --ca ca.pem --chat \\
      --scenario "N(480,240)/(300,150)" --rate 4 --arrivals poisson --rounds 4 --json > measured.json
  tuner bench --url http://127.0.0.1:8000 --scenario "D(512,128)" --rate 2 --ramp-to 20 \\
      --goodput ttft:500 tpot:40
  tuner bench --url http://127.0.0.1:8000 --experiment quickstart --hdr latency.hgrm

scenarios, in tokens:
  D(in,out)                              every request the same
  N(mean_in,sd_in)/(mean_out,sd_out)     normal
  U(min_in,max_in)/(min_out,max_out)     uniform, the maximum excluded; U(max_in,max_out) from 1

what is measured:
  TTFT is first token - send, with --rate - the intended send, so that waiting is not left out. TPOT is
  (last token - first token) / (output tokens - tokens in the first chunk). ITL is all gaps pooled. E2E is
  last token - send. Tokens are the server's own count (usage); where it sends none, chunks, and it says so.
  Each round is a ramp, a window of --seconds and a drain; only the window counts. With --ramp-to the load
  changes evenly over the window; before it there is what it begins with, after it what it ends with.

whether to believe it:
  CANNOT be trusted means that the client was too slow (client-bound), or that the load was not the one
  asked for (invalid); the lines below it say why. Above half of a core the load is made by several
  processes, at most one for each core that this one may use (taskset -c limits it).

exit codes:
  0    measured, also where it cannot be trusted
  1    the server's or the machine's fault: nothing answers, or every request fails
  2    a mistake on the command line
  130  interrupted; what was measured so far is printed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    where = parser.add_argument_group("server")
    where.add_argument("--url", required=True, help="without the API's path, such as http://127.0.0.1:8000")
    where.add_argument("--model", help="name to send (default: the first that the server lists)")
    where.add_argument("--chat", action="store_true", help="chat completions instead of completions")
    where.add_argument("--token-env", metavar="NAME", help="environment variable that holds a bearer token")
    where.add_argument("--ca", type=Path, metavar="FILE", help="PEM certificates to trust, not the system's")
    load = parser.add_argument_group("load")
    load.add_argument("--scenario", metavar="TEXT", help='lengths in tokens, such as "D(512,128)"')
    load.add_argument("--concurrency", type=int, metavar="N", help="requests in flight (closed loop)")
    load.add_argument("--rate", type=float, metavar="R", help="requests per second (open loop)")
    load.add_argument(
        "--ramp-to", type=float, metavar="TO", help="what --rate or --concurrency goes to over each window"
    )
    load.add_argument("--arrivals", choices=("constant", "poisson", "gamma"), help="(default: poisson)")
    load.add_argument("--burstiness", type=float, metavar="B", help="gamma's shape; below 1 is burstier")
    load.add_argument("--shared-prefix", type=int, metavar="TOKENS", help="that all prompts start with")
    load.add_argument("--experiment", metavar="FILE", help="an experiment whose workload to take instead")
    load.add_argument(
        "--goodput",
        nargs="+",
        action="extend",
        metavar="NAME:MS",
        help="limits of one request, of ttft, tpot and e2e, such as ttft:200 tpot:20; those within all of "
        "them are counted",
    )
    long = parser.add_argument_group("how long")
    long.add_argument("--seconds", type=float, help="of each window (default: 30)")
    long.add_argument("--rounds", type=int, help="(default: 1; intervals of most rates need several)")
    long.add_argument("--warmup", type=float, metavar="SECONDS", help="before the first round (default: 5)")
    long.add_argument("--timeout", type=float, metavar="SECONDS", help="of a request (default: 120)")
    long.add_argument(
        "--seed", type=int, help="of lengths and arrivals (default: 0); prompts are new each time"
    )
    out = parser.add_argument_group("output")
    out.add_argument("--json", action="store_true", help="a JSON document instead of the table")
    out.add_argument(
        "--hdr",
        type=Path,
        metavar="FILE",
        help="write percentile distributions for HdrHistogram's plotter, in ms: one file for each latency, "
        "with the load point and .ttft, .tpot, .itl or .e2e before FILE's ending",
    )
    out.add_argument(
        "--processes", type=int, metavar="N", help="client processes (default: as many as needed)"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, print, and say with the exit code how it went."""
    from tuner.cli.bench_options import (  # noqa: PLC0415
        endpoint_of,
        in_words,
        limits_in_words,
        limits_of,
        workload_of,
    )
    from tuner.cli.bench_table import document, tables  # noqa: PLC0415
    from tuner.errors import UserError  # noqa: PLC0415
    from tuner.results.plain_json import dumps  # noqa: PLC0415

    if options.processes is not None and options.processes < 1:
        raise UserError(f"--processes: got {options.processes}; would be right: at least 1")
    if options.hdr is not None and not options.hdr.absolute().parent.is_dir():
        raise UserError(f"--hdr: {options.hdr.parent} is no directory; would be right: one that is there")
    workload, limits = workload_of(options), limits_of(options)
    endpoint = endpoint_of(options)
    bench = _Bench(workload, endpoint, options, limits)
    rounds = bench.measured()
    if options.json:
        found = document(
            endpoint, workload, rounds, bench.round_trip_ms, limits=limits, interrupted=bench.interrupted
        )
        print(dumps(found, indent=2))
    else:
        asked = {point.name: in_words(point) for point in workload.points}
        print(f"{endpoint.url}  model {endpoint.model}  {_extent(workload, len(rounds))}")
        print(f"goodput counts requests with {limits_in_words(limits)}\n" if limits is not None else "")
        print(tables(rounds, asked, round_trip_ms=bench.round_trip_ms) or "nothing was measured")
        if bench.interrupted and bench.so_far:
            print(f"\ninterrupted; of the window that was cut: {_line(bench.so_far)}")
    if options.hdr is not None and rounds:
        _write_hdr(options.hdr, rounds)
    if bench.interrupted:
        return _INTERRUPTED
    return 0 if all(point.requests or point.output_tokens for one in rounds for point in one.points) else 1


class _Bench:
    """One session of load, with what was measured so far at hand when it is interrupted.

    Attributes:
        round_trip_ms: of the network, client to server and back; None where it could not be measured.
        so_far: the last interim figures of the window that is passing; {} outside one.
    """

    def __init__(
        self, workload: Workload, endpoint: Endpoint, options: argparse.Namespace, limits: Limits | None
    ) -> None:
        from tuner.load import HttpLoad  # noqa: PLC0415

        self.interrupted = False
        self.round_trip_ms: float | None = None
        self.so_far: dict[str, Any] = {}
        self._workload = workload
        self._endpoint = endpoint
        self._live = sys.stderr.isatty()
        self._load = HttpLoad(
            workload,
            api="chat" if options.chat else "completions",
            limits=limits,
            on_progress=self._told,
            processes=options.processes,
        )

    def measured(self) -> list[RoundResult]:
        """The rounds that were passed whole.

        Raises:
            WorldError: the server does not answer, or refuses what is asked of it.
        """
        from tuner.errors import Cancelled, WorldError  # noqa: PLC0415
        from tuner.trial.ports import LoadError  # noqa: PLC0415

        rounds: list[RoundResult] = []
        restore = self._listen_for_interrupt()
        try:
            self._load.open(self._endpoint, salt=secrets.token_hex(8))
            self.round_trip_ms = self._load.round_trip_ms()
            if self._workload.warmup_seconds:
                self._say(f"warming up for {self._workload.warmup_seconds:g} s")
                self._load.warm_up(seconds=self._workload.warmup_seconds, cancel=self._cancelled)
            for number in range(1, self._workload.rounds + 1):
                self._say(f"round {number} of {self._workload.rounds}")
                rounds.append(self._load.run_round(number, cancel=self._cancelled))
                self.so_far = {}
        except Cancelled:
            pass
        except LoadError as error:
            raise WorldError(str(error)) from error
        finally:
            restore()
            self._load.close()
            self._say("")
        return rounds

    def _cancelled(self) -> bool:
        return self.interrupted

    def _told(self, so_far: dict[str, Any]) -> None:
        self.so_far = so_far
        self._say(_line(so_far))

    def _say(self, line: str) -> None:
        if self._live:
            print(f"\r\x1b[2K{line[:110]}", end="", file=sys.stderr, flush=True)

    def _listen_for_interrupt(self) -> Callable[[], None]:
        """Once: stop and print. Twice: as Python does."""

        def interrupt(*_: object) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, before)

        def restore() -> None:
            signal.signal(signal.SIGINT, before)

        before = signal.signal(signal.SIGINT, interrupt)
        return restore


def _extent(workload: Workload, rounds: int) -> str:
    return f"{rounds} round{'s' if rounds != 1 else ''} of {workload.round_seconds:g} s, seed {workload.seed}"


def _line(so_far: dict[str, Any]) -> str:
    return (
        f"{so_far['point']}, round {so_far['round']}: {so_far['elapsed_seconds']:.0f} of "
        f"{so_far['window_seconds']:g} s, {so_far['output_tokens_per_second']:.0f} output tokens/s, "
        f"TTFT p50 {so_far['ttft_p50_ms']:.1f} ms, {so_far['requests']} requests, {so_far['failed']} failed"
    )


def _write_hdr(path: Path, rounds: list[RoundResult]) -> None:
    from tuner.cli.bench_hdr import hdr_text  # noqa: PLC0415
    from tuner.cli.bench_table import by_point  # noqa: PLC0415
    from tuner.errors import WorldError  # noqa: PLC0415
    from tuner.trial.histogram import Histogram  # noqa: PLC0415
    from tuner.trial.objective import totals  # noqa: PLC0415

    for point, results in by_point(rounds).items():
        for name, histogram in totals(results).histograms.items():
            assert isinstance(histogram, Histogram)
            one = path.with_name(f"{path.stem}.{point}.{name.removesuffix('_ms')}{path.suffix}")
            try:
                one.write_text(hdr_text(histogram), encoding="utf-8")
            except OSError as error:
                raise WorldError(f"--hdr: {one} cannot be written: {error.strerror}") from error
