"""A small HTTP server in the engine's place, for tests of deploying: starts at once and dies when told to.

Takes what engine_program.py takes; of llama-server's flags --port alone means something. GET /die?CODE ends
it with that exit code, GET /memory takes memory until the container's limit ends it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from engine_program import _CUDA_OUT_OF_MEMORY, _say, split_failures, take_memory


class Answers(BaseHTTPRequestHandler):
    """Health, metrics, a version, and ways to die."""

    def do_GET(self) -> None:
        path, _, given = self.path.partition("?")
        if path == "/die":
            _say(f"dying as told with {given}")
            os._exit(int(given or 77))
        if path == "/memory":
            threading.Thread(target=lambda: os._exit(take_memory())).start()
        body = {"/health": "{}", "/metrics": "# none", "/props": json.dumps({"build_info": "stub 1"})}.get(
            path
        )
        self._answer(404 if body is None else 200, body or "")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(200, json.dumps({"choices": [{"text": "x"}]}))

    def log_message(self, *_: object) -> None:
        """Nothing: health is asked each second."""

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


def main() -> None:
    """Serve, or fail as asked."""
    arguments, failures = split_failures(sys.argv[1:])
    ignore = "ignore-sigterm" in failures
    signal.signal(signal.SIGTERM, lambda *_: None if ignore else os._exit(143))
    _say(f"stub starts: {arguments}")
    if "slow" in failures:
        time.sleep(float(failures["slow"]))
    if "accelerator-oom" in failures:
        _say(_CUDA_OUT_OF_MEMORY)
        os._exit(1)
    if failures.get("memory") == "":
        os._exit(take_memory())
    if "exit" in failures and "@" not in failures["exit"]:
        _say(f"RuntimeError: failing as asked: {failures}")
        os._exit(int(failures["exit"]))
    while "never-ready" in failures:
        time.sleep(1)
    port = int(arguments[arguments.index("--port") + 1])
    ThreadingHTTPServer(("0.0.0.0", port), Answers).serve_forever()


if __name__ == "__main__":
    main()
