"""The process that runs of `agent` are forked from: python forks.py SOCKET, on Linux.

It has imported what a run imports, which takes a second or two with a vendor's SDK, and a fork has it at
once. Apart from that a forked run is one like any other: a process with its own arguments, environment,
folder and standard streams, which ends as Python ends.

SOCKET is a Unix socket's descriptor. Each message on it is one byte with four descriptors: a stream that
tells what to run, and the run's stdin, stdout and stderr. What comes back on that stream are two lines: the
run's process id, and its status once it ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("providers", "agent", "checkpoint", "sessions", "cli", "server")
LIBRARIES = (
    *("anthropic", "openai", "openai.resources.chat", "openai.resources.responses", "ollama"),
    *("httpx2", "httpcore2", "anyio._backends._asyncio", "truststore"),
    *("genai_prices", "genai_prices.data", "genai_prices.decompose", "genai_prices.validation"),
    *("typer._adapters", "typer.rich_utils"),
)
"""What the rooms import only once they need it."""

MOST_FILES = 1024


def warm_up() -> None:
    sys.path[0] = str(ROOT)
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            importlib.import_module(module.name)
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()


def next_run(asked: socket.socket) -> list[int]:
    """Fork a child for each message; returns in the child alone, with the descriptors that it was given.

    Once nobody can ask any more, the process ends.
    """
    with selectors.DefaultSelector() as awaited:
        awaited.register(asked, selectors.EVENT_READ)
        while True:
            for key, _ in awaited.select():
                if key.data is not None:
                    awaited.unregister(key.fd)
                    os.close(key.fd)
                    tell_end(*key.data)
                    continue
                byte, given, _, _ = socket.recv_fds(asked, 1, 4)
                if not byte:
                    sys.exit()
                pid = os.fork()
                if not pid:
                    return given
                for stdio in given[1:]:
                    os.close(stdio)
                stream = socket.socket(fileno=given[0])
                stream.sendall(f"{pid}\n".encode())
                awaited.register(os.pidfd_open(pid), selectors.EVENT_READ, (stream, pid))


def tell_end(stream: socket.socket, pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    with stream, suppress(OSError):  # whoever asked may be gone
        stream.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def become(told: int, *stdio: int) -> str:
    """Take the place that the stream `told` tells; the script to run there."""
    with socket.socket(fileno=told) as stream, stream.makefile("rb") as lines:
        run = json.loads(lines.readline())
    if run["session"]:
        os.setsid()
    os.chdir(run["cwd"])
    coerced = {name: text for name, text in os.environ.items() if name == "LC_CTYPE"}
    os.environ.clear()
    os.environ.update(coerced | run["environ"])  # Python sets it where no language is named
    time.tzset()
    for place, given in enumerate(stdio):
        os.dup2(given, place)
    os.closerange(3, MOST_FILES)  # other runs' as well
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = stdio_at(0, sys.stdin)
    sys.stdout = stdio_at(1, sys.stdout)
    sys.stderr = stdio_at(2, sys.stderr)
    sys.argv = run["argv"]
    script: str = sys.argv[0]
    sys.path[0] = os.path.dirname(script)
    return script


def stdio_at(place: int, inherited: TextIO) -> TextIO:
    """A stream as Python makes it at its start: the inherited one knows what its file could do, not this one.

    stderr is written line by line wherever it leads.
    """
    mode, buffering = ("w" if place else "r"), (1 if place == 2 else -1)
    return open(place, mode, buffering, errors=inherited.errors, closefd=False)


if __name__ == "__main__":
    warm_up()
    script = become(*next_run(socket.socket(fileno=int(sys.argv[1]))))
    runpy.run_path(script, run_name="__main__")
