"""The terminal's side of the chat: the prompt that stands first, the lines that wait, the one at work.

It loads nothing but prompt-toolkit, so that a person can type while everything else is still being imported.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from cli.completion import LineCompleter
from cli.input import Prompt, Wiring
from cli.paste import pasted

if TYPE_CHECKING:
    from cli.footer import Fragment


class Worker(Protocol):
    """The session's side: what a line means and does."""

    def live(self, rows: int) -> str:
        """What still changes, as ANSI text of at most so many lines."""
        ...

    def footer(self, width: int) -> tuple[Fragment, ...]: ...

    def at_once(self, line: str) -> Coroutine[None, None, None] | None:
        """What the line does without waiting for the one at work; None if it has to wait."""
        ...

    async def do(self, line: str) -> None:
        """Do the line. It shows its own errors, and raises nothing but CancelledError."""
        ...

    async def close(self) -> str:
        """End it; the last word to print."""
        ...


_STARTING = (("class:footer", "starting…"),)

Begin: TypeAlias = "Callable[[Front], Awaitable[Worker]]"
"""Makes the worker, while the person may type already. What it raises ends the chat."""


class Front:
    """Hands the person's lines to the worker, one after the other."""

    def __init__(self, home: Path, root: Path) -> None:
        self.completer = LineCompleter(root)
        self.prompt = Prompt(self._wiring(), self.completer, home / "history")
        self._worker: Worker | None = None
        self._lines: deque[str] = deque()
        self._arrived = asyncio.Event()
        self._job: asyncio.Task[None] | None = None
        self._beside: set[asyncio.Task[None]] = set()

    async def run(self, begin: Begin, first: str | None = None) -> int:
        """Chat until the person leaves; the exit code. `first` is sent first: nothing in it is a command."""
        if first:
            self._lines.append(pasted(first))
            self._arrived.set()
        standing = asyncio.Event()
        reading = asyncio.create_task(self.prompt.run(standing.set))
        working = asyncio.create_task(self._work(begin, standing))
        try:
            await asyncio.wait({reading, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(reading, working)
        return 0

    def aside(self, work: Coroutine[None, None, None]) -> None:
        """Do this beside the lines, until the chat ends."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def stop(self) -> None:
        """End the line at work; those that waited come back to the input."""
        if self._job is None:
            return
        self._job.cancel()
        if self._lines:
            self.prompt.fill("\n".join(self._lines))
            self._lines.clear()

    def _wiring(self) -> Wiring:
        return Wiring(
            live=lambda rows: self._worker.live(rows) if self._worker else "",
            footer=lambda width: self._worker.footer(width) if self._worker else _STARTING,
            queued=lambda: tuple(self._lines),
            submit=self._submit,
            recall=lambda: self._lines.pop(),
            working=lambda: self._job is not None,
            stop=self.stop,
            quit=lambda: self.prompt.exit(),
        )

    def _submit(self, line: str) -> None:
        work = self._worker.at_once(line) if self._worker and self._job else None
        if work is not None:
            self.aside(work)
            return
        self._lines.append(line)
        self._arrived.set()
        self.prompt.refresh()

    async def _work(self, begin: Begin, standing: asyncio.Event) -> None:
        """Make the worker once the prompt stands, then do line after line."""
        await standing.wait()
        self._worker = worker = await begin(self)
        self.prompt.refresh()
        while True:
            await self._arrived.wait()
            while self._lines:
                await self._do(worker, self._lines.popleft())
            self._arrived.clear()

    async def _do(self, worker: Worker, line: str) -> None:
        self._job = asyncio.create_task(worker.do(line))
        try:
            await asyncio.wait({self._job})
        finally:
            if not self._job.done():
                self._job.cancel()
                await asyncio.wait({self._job})
            self._job = None
            self.prompt.refresh()

    async def _end(self, reading: asyncio.Task[None], working: asyncio.Task[None]) -> None:
        """Stop what runs and say the last word. Raises what ended the chat, if the person didn't."""
        ended = [task for task in (working, reading) if task.done()]
        self.prompt.exit()
        working.cancel()
        for task in self._beside:
            task.cancel()
        await asyncio.gather(reading, working, *self._beside, return_exceptions=True)
        last_word = await self._worker.close() if self._worker else ""
        try:
            for task in ended:
                task.result()
        except EOFError:  # the terminal is gone: there is nobody to tell
            return
        if last_word:
            print(last_word)
