"""The program `agent serve`, started and stopped as a person or a system does it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from tests.support.asgi import PATIENCE
from tests.support.clients import Door
from tests.support.program import AGENT, Program, Ran, whole
from tests.support.start import Process, start


@dataclass(frozen=True, slots=True)
class Serving(Door):
    """The server that runs."""

    process: Process
    out: IO[str]
    err: IO[str]

    def stop(self, *signals: signal.Signals) -> Ran:
        """Send these signals, one after the other, and wait for the end."""
        for sent in signals:
            self.process.send_signal(sent)
        code = self.process.wait(PATIENCE)
        return Ran(code, whole(self.out), whole(self.err))

    def wait_until_closing(self) -> None:
        """Return once no new connection is taken any more."""
        _, _, port = self.url.rpartition(":")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", int(port)), PATIENCE).close()
            except ConnectionError:
                return
        raise AssertionError("it still takes connections")


@contextmanager
def serving(person: Program, *words: str, secret: str = "") -> Iterator[Serving]:
    """`agent serve` on a free port. `secret` is the key, where this start makes none."""
    with (
        open(os.devnull) as nothing,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        stdio = (nothing.fileno(), out.fileno(), err.fileno())
        words = ("serve", "--port", "0", *words)
        process = start(AGENT, words, environ=person.environ, cwd=person.project, stdio=stdio)
        try:
            said = _announced(process, out, err)
            url = re.findall(r"on (http://\S+)/v1", said)
            made = re.findall(r"sk-cachet-\S+", said)
            yield Serving(url[0], made[0] if made else secret, person.home, person.project, process, out, err)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)


def _announced(process: Process, out: IO[str], err: IO[str]) -> str:
    """What it says until it takes requests."""
    deadline = time.monotonic() + PATIENCE
    while "Ctrl-C" not in (said := whole(out)):
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            assert time.monotonic() < deadline, said
        else:
            raise AssertionError(whole(err))
    return said
