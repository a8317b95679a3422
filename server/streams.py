"""Streams a run to a client: as it goes, or once more later."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from providers.types import JSON
from server import sse
from server.form import Form
from server.presence import ClientLeft, Presence
from server.run import Run
from server.sending import begin_stream, send_body
from server.shelf import Shelved


class Replayed:
    """An ASGI response: a run's stream once more, from the start or from what the client had of it."""

    def __init__(self, form: Form, earlier: Run | Shelved, *, silence: float, after: int) -> None:
        """`after` is the last `sequence_number` that the client had; -1 for none."""
        self._silence = silence
        self._form = form
        self._earlier = earlier
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with Presence(receive) as presence:
            with suppress(ClientLeft):
                await presence.unless_gone(self._told(send))

    async def _told(self, send: Send) -> None:
        match self._earlier:
            case Shelved() as shelved:
                await tell_again(shelved, self._form, send, after=self._after)
            case run:
                await tell(run, self._form, send, silence=self._silence, after=self._after)


async def tell(run: Run, form: Form, send: Send, *, silence: float, after: int = -1) -> None:
    """Send everything that the run tells, until it is over; after `silence` seconds of nothing a comment."""
    translator = form.translator(run)
    with run.listen() as listener:
        await begin_stream(send, about(run))
        await send_body(send, _frames(form, translator.begin(), after))
        spoke = time.monotonic()
        while (told := await listener.more(max(0.0, spoke + silence - time.monotonic()))) is not None:
            data = _frames(form, (each for event in told for each in translator.feed(event)), after)
            if data or time.monotonic() >= spoke + silence:
                await send_body(send, data or sse.KEEP_ALIVE)
                spoke = time.monotonic()
    assert run.outcome is not None, "a listener hears nothing more only when the run is over"
    await send_body(send, _frames(form, translator.end(run.outcome), after) + form.last, more=False)


async def tell_again(shelved: Shelved, form: Form, send: Send, *, after: int) -> None:
    """Send a stream of an answer of which only the one object is left.

    It may have fewer events than the first one had: its last one is told whatever the client had of that.
    """
    await begin_stream(send, {"x-session-id": shelved.session})
    body = shelved.body or {}
    *told, last = form.replayed(body.get("response", body))
    if last.get("sequence_number", after + 1) <= after:
        last = {**last, "sequence_number": after + 1}
    await send_body(send, _frames(form, [*told, last], after) + form.last, more=False)


def _frames(form: Form, objects: Iterable[Mapping[str, JSON]], after: int) -> bytes:
    heard = (each for each in objects if after < 0 or each.get("sequence_number", 0) > after)
    return sse.frames(heard, named=form.named)


def about(run: Run) -> dict[str, str]:
    """The headers that tell of a run."""
    return {"x-session-id": run.session.id}
