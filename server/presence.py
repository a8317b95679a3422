"""Whether the client that sent a request is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientLeft(Exception):
    """The client closed its connection."""


class Presence:
    """Whoever sent the request: knows when they leave."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def __aenter__(self) -> Presence:
        self._leaving = asyncio.create_task(self._left())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leaving.cancel()

    async def unless_gone(self, work: Coroutine[None, None, T]) -> T:
        """Await the work. Raises ClientLeft, and cancels the work, where the client leaves before its end."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientLeft
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
