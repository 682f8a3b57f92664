"""`tuner webhook serve` and `tuner webhook certs`."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.errors import TunerError, UserError, WorldError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from tuner.webhook.certs import Certificates

_SERVE = """\
Answer the API server's admission reviews at https://HOST:PORT/mutate, with /readyz, /livez and /metrics on
the same port. Certificate and key are looked at again every few seconds and may be replaced at any time. On
SIGTERM it turns not ready, serves on for the drain and ends. Logs are one JSON object a line, on stderr.
"""
_CERTS = """\
Make the webhook's certificate, or renew it where less than a third of its life is left; otherwise do nothing.
Run it daily. A new CA signs each certificate and its key is thrown away; the bundle keeps earlier CAs until
they end, so that a renewal never interrupts.
"""
_EPILOG = """\
examples:
  tuner webhook certs --apply                      Secret and CA bundle in the cluster of the kubeconfig
  tuner webhook certs --out certs --host 127.0.0.1  files, for a webhook reached by URL
  tuner webhook serve --cert certs/tls.crt --key certs/tls.key --port 8443
"""


def parser(prog: str = "tuner webhook") -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog=prog,
        description="The admission webhook that mounts models from claims; see docs/mounting.md.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="serve admission reviews", description=_SERVE))
    _add_certs(commands.add_parser("certs", help="make or renew its certificate", description=_CERTS))
    return made


def _add_serve(one: argparse.ArgumentParser) -> None:
    one.add_argument("--cert", type=Path, required=True, metavar="FILE", help="PEM certificate")
    one.add_argument("--key", type=Path, required=True, metavar="FILE", help="PEM private key")
    one.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all)")
    one.add_argument("--port", type=_port, default=8443, help="default: 8443; 0 takes a free one")
    one.add_argument(
        "--drain-seconds",
        type=_seconds,
        default=5.0,
        metavar="S",
        help="serve on so long after SIGTERM (default: 5)",
    )
    one.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")


def _add_certs(one: argparse.ArgumentParser) -> None:
    one.add_argument("--namespace", default="autotuner-system", help="of the Service (default: %(default)s)")
    one.add_argument("--service", default="ome-pvc-mount", help="its name (default: %(default)s)")
    one.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="one more DNS name or IP address of the server; may be repeated",
    )
    one.add_argument(
        "--days", type=_days, default=180.0, help="life of a new certificate (default: %(default)g)"
    )
    where = one.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="DIR", help="write tls.crt, tls.key and ca.crt there")
    where.add_argument(
        "--apply", action="store_true", help="write the Secret and the CA bundle into the cluster"
    )
    one.add_argument("--secret", default="ome-pvc-mount-tls", help="with --apply (default: %(default)s)")
    one.add_argument(
        "--configuration",
        default="ome-pvc-mount",
        help="MutatingWebhookConfiguration, with --apply (default: %(default)s)",
    )


def main(arguments: Sequence[str] | None = None, *, prog: str = "tuner webhook") -> int:
    """Run one command; the exit code. Errors are one line on stderr."""
    given = parser(prog).parse_args(arguments)
    try:
        return _serve(given) if given.command == "serve" else _certs(given)
    except TunerError as error:
        if given.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except ModuleNotFoundError as error:
        print(f"error: {error}; install ray-serving-tuner[webhook]", file=sys.stderr)  # noqa: T201
        return UserError.exit_code
    except KeyboardInterrupt:
        return 130


def _serve(given: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415  --help answers at once

    from tuner.webhook.log_lines import log_json_lines  # noqa: PLC0415
    from tuner.webhook.server import AdmissionServer, serve_until_signalled  # noqa: PLC0415
    from tuner.webhook.tls import ReloadingTls  # noqa: PLC0415

    log_json_lines(given.log_level)
    server = AdmissionServer(
        tls=ReloadingTls(given.cert, given.key),
        host=given.host,
        port=given.port,
        drain_seconds=given.drain_seconds,
    )
    try:
        asyncio.run(serve_until_signalled(server))
    except OSError as error:
        raise WorldError(f"cannot listen on {given.host}:{given.port}: {error.strerror}") from error
    return 0


def _certs(given: argparse.Namespace) -> int:
    from tuner.webhook.certs import ensured, service_names  # noqa: PLC0415

    names = [*service_names(given.service, given.namespace), *given.host]
    now, lifetime = datetime.now(UTC), timedelta(days=given.days)

    def renewed(present: Certificates | None) -> tuple[Certificates, str]:
        return ensured(present, names, now=now, lifetime=lifetime)

    where, made, reason = _into_cluster(given, renewed) if given.apply else _into_files(given.out, renewed)
    done = f"made anew ({reason})" if reason else "still good"
    print(f"{where}: {done}, until {made.expires_at:%Y-%m-%d %H:%M} UTC")  # noqa: T201
    return 0


_Renewed = Callable[["Certificates | None"], "tuple[Certificates, str]"]


def _into_files(folder: Path, renewed: _Renewed) -> tuple[str, Certificates, str]:
    from tuner.webhook.certs_files import read_certificates, write_certificates  # noqa: PLC0415

    made, reason = renewed(read_certificates(folder))
    if reason:
        write_certificates(folder, made)
    return str(folder), made, reason


def _into_cluster(given: argparse.Namespace, renewed: _Renewed) -> tuple[str, Certificates, str]:
    from tuner.webhook.certs_cluster import ClusterCertificates  # noqa: PLC0415

    cluster = ClusterCertificates(
        client=_client(),
        namespace=given.namespace,
        secret=given.secret,
        configuration=given.configuration,
    )
    stored = cluster.read()
    made, reason = renewed(stored.certificates)
    cluster.trust(made.ca_bundle)  # before the servers show it
    if reason:
        cluster.write(made, over=stored)
    return f"secret {given.namespace}/{given.secret}", made, reason


def _client() -> ApiClient:
    """Of the cluster that this runs in, else of the kubeconfig."""
    from kubernetes import client, config  # noqa: PLC0415

    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
            config.load_incluster_config()  # type: ignore[no-untyped-call]
        else:
            # named here: the library reads the variable once, when it is imported
            config.load_kube_config(config_file=os.environ.get("KUBECONFIG"))  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise UserError(f"no cluster to apply to: {error}; set KUBECONFIG") from error
    return client.ApiClient()


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is no port; 0 to 65535 would be right")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: 0 to 3600 seconds would be right")
    return number


def _days(text: str) -> float:
    number = float(text)
    if not 1 <= number <= 3650:
        raise argparse.ArgumentTypeError(f"{text}: 1 to 3650 days would be right")
    return number
