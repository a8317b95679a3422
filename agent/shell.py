"""Runs a program in a session of its own, so that it can be ended with everything it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.processes import family

if TYPE_CHECKING:
    import asyncio

CHUNK = 65_536
GRACE = 0.2
"""Seconds for the rest of the output when the program has ended and something else holds the pipe."""
PATIENCE = 2.0
"""Seconds between asking processes to end and ending them."""
LOOK_AGAIN = 0.02
"""Seconds between looks at whether they have ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` is the exit code, negative for a signal. `background`: processes that it started still run."""

    code: int
    timed_out: bool
    stopped: bool
    """Whether `take` had enough."""
    background: bool
    group: int


async def run(
    argv: list[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    take: Callable[[bytes], bool],
) -> Ended:
    """Run a program with no input, its output and errors as one stream in pieces to `take`.

    Returns when the program itself ends: what it left in the background goes on, and isn't waited for. When
    the time is up, when `take` returns False, and when the caller is cancelled, the program and all it
    started are gone before this returns. Raises OSError when it can't be started.
    """
    running = _Running(argv, folder, environment, take)
    try:
        timed_out = not await running.finished(seconds)
        if timed_out or running.enough:
            await _to_the_end(running.end())
        return Ended(
            code=await running.exited,
            timed_out=timed_out,
            stopped=running.enough,
            background=not timed_out and not running.enough and running.has_family(),
            group=running.pid,
        )
    except BaseException:
        await _to_the_end(running.end())
        raise
    finally:
        running.close()


class _Running:
    """A program that runs: its pipe and its end, both watched by the event loop."""

    def __init__(
        self, argv: list[str], folder: Path, environment: Mapping[str, str], take: Callable[[bytes], bool]
    ) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._take = take
        self.enough = False
        self._pipe, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(writing)
        self.pid = self._process.pid
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self._read)
        threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True).start()

    def _wait(self) -> None:
        """In a thread of its own: an executor's few threads could all be waiting for other programs."""
        code = self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._set_exited, code)

    def _set_exited(self, code: int) -> None:
        if not self.exited.done():
            self.exited.set_result(code)

    def _read(self) -> None:
        try:
            piece = os.read(self._pipe, CHUNK)
        except BlockingIOError:
            return
        if piece and self._take(piece):
            return
        self.enough = bool(piece)
        self._stop_reading()

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._pipe)
        if not self._drained.done():
            self._drained.set_result(None)

    async def finished(self, seconds: float) -> bool:
        """Wait until it has ended and its output is read, or `take` had enough; False on time-out."""
        import asyncio

        deadline = self._loop.time() + seconds
        either: set[asyncio.Future[Any]] = {self.exited, self._drained}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not self.exited.done() and not self.enough:  # it closed its output and goes on, or the time is up
            await asyncio.wait({self.exited}, timeout=max(0.0, deadline - self._loop.time()))
        if self.exited.done():
            await asyncio.wait({self._drained}, timeout=GRACE)
        return self.exited.done() or self.enough

    def has_family(self) -> bool:
        return bool(family(self.pid))

    async def end(self) -> None:
        """End the program and all it started, politely first."""
        import asyncio

        known = family(self.pid)
        try:
            for sent in (signal.SIGTERM, signal.SIGKILL):
                _send(sent, known)
                deadline = self._loop.time() + PATIENCE
                while (left := family(self.pid, known)) and self._loop.time() < deadline:
                    known |= left
                    await asyncio.sleep(LOOK_AGAIN)
                if not left:
                    break
        except asyncio.CancelledError:  # the loop itself is being closed
            _send(signal.SIGKILL, family(self.pid, known))
            raise
        await self.exited

    def close(self) -> None:
        self._stop_reading()
        os.close(self._pipe)


def _send(sent: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, sent)


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Await the work however often the caller is cancelled meanwhile, then be cancelled; it takes seconds."""
    import asyncio

    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
