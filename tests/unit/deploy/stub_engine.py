"""Behaves like a serving engine, or misbehaves as told; imports nothing that starts slowly."""

import os
import signal
import socket
import subprocess
import sys
import time


def http(status, body):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


ANSWERS = {
    "/health": http("200 OK", "ok"),
    "/metrics": http("200 OK", "# none"),
    "/props": http("200 OK", '{"build_info": "stub 1"}'),
}
NOT_FOUND = http("404 Not Found", "")
LOADING = http("503 Unavailable", "loading")


STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("child up", flush=True)
time.sleep(60)
"""


def flag(name, default=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def main():
    print("stub starts", flush=True)
    if "--ignore-term" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--grandchild" in sys.argv:  # one that leaves the session and ignores SIGTERM
        subprocess.Popen([sys.executable, "-I", "-S", "-c", STUBBORN], start_new_session=True)
    if "--say" in sys.argv:
        print(flag("--say"), file=sys.stderr, flush=True)
    if "--exit" in sys.argv:
        sys.exit(int(flag("--exit")))
    if "--signal" in sys.argv:
        os.kill(os.getpid(), int(flag("--signal")))
    if "--chatter" in sys.argv:
        for number in range(int(flag("--chatter"))):
            print("line", number, flush=True)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", int(flag("--port"))))
    except OSError as error:
        print("error:", error, file=sys.stderr, flush=True)
        sys.exit(1)
    listener.listen(64)
    print("threads", os.environ.get("OMP_NUM_THREADS"), "cpus", sorted(os.sched_getaffinity(0)), flush=True)
    while True:
        connection, _ = listener.accept()
        path = connection.recv(65536).split(b" ")[1].decode()
        answer = LOADING if "--unhealthy" in sys.argv else ANSWERS.get(path, NOT_FOUND)
        if path == "/die":
            print("stub: error: told to die", flush=True)
            os._exit(int(flag("--die-with", "3")))
        if path == "/slow":
            time.sleep(30)
        connection.sendall(answer)
        connection.close()


main()
