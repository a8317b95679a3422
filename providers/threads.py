"""Lets a coroutine wait for what blocks in a thread of its own, and leave it there at any time.

The threads are daemons: one that hangs on a socket holds up neither the event loop nor the program's end, as
those of `asyncio.to_thread` would.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

AHEAD = 64
"""Items that a reader may be ahead of the coroutine that takes them."""


async def aside(work: Callable[[], Item], discard: Callable[[Item], None]) -> Item:
    """What `work` returns or raises. If the caller is cancelled first, what it returns goes to `discard`."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Item] = loop.create_future()

    def returned(value: Item) -> None:
        if future.done():
            discard(value)
        else:
            future.set_result(value)

    def failed(error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    def run() -> None:
        try:
            value = work()
        except Exception as error:  # whatever it is, it is the waiting coroutine's
            _tell(loop, failed, error)
        else:
            if not _tell(loop, returned, value):
                discard(value)

    threading.Thread(target=run, name="cachet-aside", daemon=True).start()
    try:
        return await future
    except asyncio.CancelledError:
        if future.done() and not future.cancelled() and future.exception() is None:
            discard(future.result())
        raise


class ReadAhead(Generic[Item]):
    """The items of a blocking generator, read in a thread: an async iterator that can be left.

    What the generator raises is raised here. `interrupt` makes a read that is under way return at once; it
    is called by `aclose` and must not block. The generator is closed in its own thread.
    """

    def __init__(self, items: Generator[Item], interrupt: Callable[[], None]) -> None:
        self._items = items
        self._interrupt = interrupt
        self._loop = asyncio.get_running_loop()
        self._read: asyncio.Queue[tuple[Item] | Exception | None] = asyncio.Queue()
        """Items in a tuple of their own, then the error that ended them, or None."""
        self._room = threading.Semaphore(AHEAD)
        self._left = False
        self._over = False
        threading.Thread(target=self._run, name="cachet-read-ahead", daemon=True).start()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        if self._over:
            raise StopAsyncIteration
        match await self._read.get():
            case (item,):
                self._room.release()
                return item
            case Exception() as error:
                self._over = True
                raise error
            case _:
                self._over = True
                raise StopAsyncIteration

    async def aclose(self) -> None:
        """Leave: nothing more is read. Does not wait for the thread."""
        if self._left:
            return
        self._left = True
        self._room.release()
        if not self._over:
            self._interrupt()
        self._over = True

    def _run(self) -> None:
        ending: Exception | None = None
        with closing(self._items):
            try:
                for item in self._items:
                    self._room.acquire()
                    if self._left or not _tell(self._loop, self._read.put_nowait, (item,)):
                        return
            except Exception as error:  # whatever it is, it is the reading coroutine's
                ending = error
        _tell(self._loop, self._read.put_nowait, ending)


Told = TypeVar("Told")


def _tell(loop: asyncio.AbstractEventLoop, take: Callable[[Told], None], what: Told) -> bool:
    """Whether the loop was still there to be told."""
    try:
        loop.call_soon_threadsafe(take, what)
    except RuntimeError:
        return False
    return True
