"""Keeps the provider's cache warm while the prompt waits (`--keep-warm`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from sessions.session import Session

LOOK = 1.0
"""Seconds after which the clock is looked at again: a machine that slept has no notion of how long."""


class KeepWarm:
    """A timer that runs while nobody is at work. It never holds anybody up: what begins stops it at once."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called when a request was made: the bill is another one."""
        self._changed = changed
        self._timer: asyncio.Task[None] | None = None

    def start(self, session: Session) -> None:
        """The prompt waits now. Nothing happens unless the session was set up to be kept warm."""
        self.stop()
        if session.setup.keep_warm:
            self._timer = asyncio.create_task(self._wait(session))

    def stop(self) -> None:
        """Somebody is at work, or leaves. A request that is on its way is booked beside them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _wait(self, session: Session) -> None:
        """Keep the entry alive for as long as that pays; then the person may find it cold."""
        while (plan := await session.warming.plan(time.time())) is not None and plan.verdict.worth:
            await _until(plan.at)
            if not await session.warming.keep():
                return  # it failed; or the machine slept past the entry's end, and there is nothing to keep
            self._changed()


async def _until(moment: float) -> None:
    """Wait until that time, seconds since the epoch."""
    while (left := moment - time.time()) > 0:  # noqa: ASYNC110  what is awaited is the clock on the wall
        await asyncio.sleep(min(left, LOOK))
