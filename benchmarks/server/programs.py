"""Programs that run while the benchmark measures them: started, awaited, weighed, stopped."""

from __future__ import annotations

import http.client
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

OPEN_FILES = 16384
"""How many files each program may have open: a stream needs two, and ours a journal."""
PATIENCE = 180.0
"""Seconds that a program may take until it answers."""


class NotStarted(Exception):
    """A program ended, or stayed silent, before it answered; says what it wrote last."""


@contextmanager
def running(
    argv: Sequence[str], log: Path, *, cwd: Path, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A program with a session of its own, which is ended, children included, when the block is left."""
    with log.open("wb") as written:
        program = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield program
    finally:
        _end(program)


def _end(program: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(program.pid, sign)
            program.wait(15)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    program.wait()


def until_answers(program: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    """Return once a GET of `path` is answered with 200; raises NotStarted."""
    until = time.monotonic() + PATIENCE
    while program.poll() is None and time.monotonic() < until:
        if _answers(port, path):
            return
        time.sleep(0.2)
    how = "stayed silent" if program.poll() is None else f"ended with {program.returncode}"
    raise NotStarted(f"{program.args!r} {how}; it wrote: {log.read_text(errors='replace')[-2000:]}")


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port of loopback's that nothing listens at just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def allow_many_files() -> None:
    """Let this process and its children open as many files as hundreds of streams need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def memory(pid: int) -> float:
    """Resident memory of a process and all its descendants, in megabytes."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True)
    rows = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    family = {pid}
    while grown := {child for child, parent, _ in rows if parent in family} - family:
        family |= grown
    return sum(size for member, _, size in rows if member in family) / 1024


def plain_environ(**more: str) -> dict[str, str]:
    """A person's environment without keys or proxies, and with what is given."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    return {**kept, "NO_PROXY": "127.0.0.1", "PYTHONUNBUFFERED": "1", **more}
