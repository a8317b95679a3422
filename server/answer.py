"""Answers one request for a turn: as one object or as a stream, for as long as the client is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar

from starlette.types import Receive, Scope, Send

from server.form import Form
from server.presence import ClientLeft, Presence
from server.run import Run
from server.sending import send_object
from server.service import Ask, Service
from server.shelf import Shelved
from server.streams import about, tell, tell_again

T = TypeVar("T")

FIRST_WORD = 10.0
"""Seconds that a stream waits for something to say, so that a failure before that is an HTTP status."""


class TurnAnswer:
    """An ASGI response. A client that leaves cancels its run, unless that is in the background."""

    def __init__(self, service: Service, form: Form, ask: Ask) -> None:
        self._service = service
        self._form = form
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._ask.asked
        async with Presence(receive) as presence:
            try:
                match await presence.unless_gone(self._service.taken(self._ask)):
                    case Shelved() as shelved:
                        await self._replay(shelved, send)
                    case Run() as run if asked.stream:
                        await self._stream(run, presence, send)
                    case Run() as run if asked.background and not run.over:
                        await send_object(send, 200, self._form.started(run) or {}, about(run))
                    case Run() as run:
                        await self._whole(run, presence, send)
            except ClientLeft:
                return

    async def _whole(self, run: Run, presence: Presence, send: Send) -> None:
        outcome = await self._heard(run, presence, run.ended())
        status, body = self._form.whole(run, outcome)
        error = outcome.error
        await send_object(send, status, body, about(run) | (error.headers() if error else {}))

    async def _replay(self, shelved: Shelved, send: Send) -> None:
        if self._ask.asked.stream and shelved.status == 200:
            await tell_again(shelved, self._form, send, after=-1)
        else:
            again = {"x-should-retry": "false"} if shelved.status >= 400 else {}  # it would be this once more
            await send_object(
                send, shelved.status, shelved.body or {}, {"x-session-id": shelved.session} | again
            )

    async def _stream(self, run: Run, presence: Presence, send: Send) -> None:
        if not self._form.begins_at_once and await self._failed_at_once(run, presence):
            await self._whole(run, presence, send)
        else:
            await self._heard(run, presence, tell(run, self._form, send, silence=self._service.silence))

    async def _failed_at_once(self, run: Run, presence: Presence) -> bool:
        """Whether the run is over before it said anything: then its failure can be an HTTP status."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORD):
                await self._heard(run, presence, _first_word(run))
        return run.outcome is not None and run.outcome.status in ("failed", "cancelled") and not run.spoke

    async def _heard(self, run: Run, presence: Presence, work: Coroutine[None, None, T]) -> T:
        """Do the work while the client is there.

        Raises ClientLeft, after the run was told to stop: unless it is in the background, or answers another
        request, too.
        """
        try:
            return await presence.unless_gone(work)
        except (ClientLeft, OSError) as gone:
            if not run.asked.background and not run.heard:
                run.cancel()
            raise ClientLeft from gone


async def _first_word(run: Run) -> None:
    with run.listen() as listener:
        while not run.spoke and await listener.more(None) is not None:
            pass
