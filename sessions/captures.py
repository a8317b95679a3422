"""Captures a workspace's files for the sessions that work there: who ask meanwhile share the next capture."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from checkpoint.files import FileStore
from checkpoint.types import Capture


class Captures:
    """The async face of one workspace's kept files. It belongs to one event loop.

    A capture takes several processes of git's and the store's lock: of many sessions at work, a hundred would
    wait in line for what one capture can tell them all.
    """

    def __init__(self, project: Path, home: Path) -> None:
        self._project = project
        self._home = home
        self._asked: list[tuple[str, asyncio.Future[Capture]]] = []
        self._at_work: asyncio.Task[None] | None = None

    @cached_property
    def files(self) -> FileStore:
        """The store. To find it blocks, for a moment, the first time."""
        return FileStore.open(self._project, self._home)

    async def capture(self, ref: str, extra: Iterable[Path] = ()) -> Capture:
        """Keep the files as they are at some moment from now on, under this name (see `FileStore.capture`).

        Raises CheckpointError.
        """
        if extra := tuple(extra):  # these are the caller's alone
            return await asyncio.to_thread(self._capture, (ref,), extra)
        future: asyncio.Future[Capture] = asyncio.get_running_loop().create_future()
        self._asked.append((ref, future))
        if self._at_work is None or self._at_work.done():
            self._at_work = asyncio.create_task(self._answer())
        return await future

    async def _answer(self) -> None:
        """Make captures until nobody waits for one; each is begun after those it serves have asked."""
        while self._asked:
            asked, self._asked = self._asked, []
            names = tuple(ref for ref, _ in asked)
            made = (await asyncio.gather(asyncio.to_thread(self._capture, names), return_exceptions=True))[0]
            for _, future in asked:
                if future.done():  # whoever waited has gone
                    continue
                if isinstance(made, BaseException):
                    future.set_exception(made)
                else:
                    future.set_result(made)

    def _capture(self, refs: tuple[str, ...], extra: tuple[Path, ...] = ()) -> Capture:
        return self.files.capture(*refs, extra=extra)
