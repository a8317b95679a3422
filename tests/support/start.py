"""Runs a script of ours as a process: forked from one that has made its imports, or from nothing."""

from __future__ import annotations

import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

FORKS = Path(__file__).with_name("forks.py")
INTERPRETERS = ("PYTHON", "LC_", "LANG")
"""How the variables begin that Python itself reads when it starts: a fork is past that."""
PATIENCE = 60.0
"""Seconds that a run may take before the test gives up; far more than it needs."""


class Process(Protocol):
    """What `subprocess.Popen` has, too."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...


def start(
    script: Path,
    words: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    stdio: tuple[int, int, int],
    under: Sequence[str] = (),
    session: bool = False,
    cold: bool = False,
) -> Process:
    """Run the script with these words; `stdio` are descriptors for stdin, stdout and stderr.

    `session` makes it the leader of a session. It is forked unless it is to be `cold`, to run `under` another
    program, the environment speaks to Python, or this system has no descriptors for processes.
    """
    own = {name for name in environ if name.startswith(INTERPRETERS) and environ[name] != "C.UTF-8"}
    if cold or under or own or not hasattr(os, "pidfd_open"):
        stdin, stdout, stderr = stdio
        return subprocess.Popen(
            [*under, sys.executable, str(script), *words],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=dict(environ),
            start_new_session=session,
            # A test run in the background ignores Ctrl-C, and would hand that on.
            preexec_fn=_heed_interrupts,
        )
    wanted = {"argv": [str(script), *words], "environ": dict(environ), "cwd": str(cwd), "session": session}
    stream, theirs = socket.socketpair()
    with theirs:
        stream.sendall(json.dumps(wanted).encode() + b"\n")
        socket.send_fds(_forks(), [b"."], [theirs.fileno(), *stdio])
    return Forked(stream)


def run(
    script: Path,
    words: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    under: Sequence[str] = (),
    cold: bool = False,
) -> tuple[int, str, str]:
    """Run it to the end without input: its status, what it wrote to stdout, and to stderr."""
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    with open(os.devnull) as nothing, open(out, "rb"), open(err, "rb"):
        with open(to_out, "wb"), open(to_err, "wb"):
            stdio = (nothing.fileno(), to_out, to_err)
            process = start(script, words, environ=environ, cwd=cwd, stdio=stdio, under=under, cold=cold)
        try:
            said, complained = drained(out, err)
            return process.wait(PATIENCE), said, complained
        finally:
            process.send_signal(signal.SIGKILL)


def drained(*pipes: int) -> list[str]:
    """What is written to each of the pipes until all are closed. Raises TimeoutError when nothing comes."""
    read = dict.fromkeys(pipes, b"")
    with selectors.DefaultSelector() as still_open:
        for pipe in pipes:
            still_open.register(pipe, selectors.EVENT_READ)
        while still_open.get_map():
            ready = still_open.select(PATIENCE)
            if not ready:
                raise TimeoutError(f"nothing was written for {PATIENCE:g} s after {read}")
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                read[key.fd] += data
                if not data:
                    still_open.unregister(key.fd)
    return [text.decode() for text in read.values()]


class Forked:
    """A run that another process is the parent of, which tells its end on `stream`."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self.pid = int(self._line())
        self._status: int | None = None

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Its status as `subprocess` tells it. Raises subprocess.TimeoutExpired."""
        if self._status is None:
            self._stream.settimeout(timeout)
            try:
                self._status = int(self._line())
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("agent", timeout or 0) from None
            self._stream.close()
        return self._status

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = self._stream.recv(1)
            if not byte:
                raise RuntimeError("the process that runs are forked from has ended")
            line += byte
        return line


@functools.cache
def _forks() -> socket.socket:
    """To the process that runs are forked from, started with as little as a test gives a run."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            [sys.executable, str(FORKS), str(theirs.fileno())],
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return ours


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
