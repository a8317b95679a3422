"""Books model calls that belong to no conversation: they were billed, so the statistics must have them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from agent.host import CallReport, Purpose
from agent.settled import settled
from providers.call import Call
from providers.pricing import Rates
from providers.types import Prefix
from sessions.chronicle import Chronicle
from sessions.fields import timestamp
from sessions.fresh import new_session_id
from sessions.records import CallLine, SessionLine


class Aside:
    """A journal of calls alone, in a folder of its own name beside the projects'.

    Nothing is written before the first call. It holds no prefix and no message, so there is nothing to
    resume in it.
    """

    def __init__(self, home: Path, cwd: Path, purpose: Purpose, rates: Mapping[str, Rates]) -> None:
        self.id = new_session_id()
        self.calls: list[CallLine] = []
        """Those that were booked, in order."""
        self._purpose: Purpose = purpose
        now = timestamp(time.time())
        first = SessionLine(
            id=self.id, parent=None, at=now, session=self.id, cwd=str(cwd), created=now, origin=None
        )
        path = home / "sessions" / purpose / f"{self.id}.jsonl"
        self._chronicle = Chronicle(path, first=first, journal=None, head=None, rates=rates)

    @asynccontextmanager
    async def booked(self, call: Call, prefix: Prefix) -> AsyncIterator[Call]:
        """Enter the call and book it when the block ends, however it ends. Raises JournalError."""
        outcome = "cancelled"
        try:
            async with call:
                yield call
            outcome = "ok"
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            await settled(self._book(call, prefix, outcome))

    def close(self) -> None:
        self._chronicle.close()

    async def _book(self, call: Call, prefix: Prefix, outcome: str) -> None:
        report = CallReport.of(call, prefix, self._purpose, outcome)
        line = await self._chronicle.priced(report, prefix.model)
        if not self.calls:
            await self._chronicle.note("title", self._purpose)
        self.calls.append(line)
        await self._chronicle.book(line)
